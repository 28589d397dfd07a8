"""Files that earlier versions of LyCORIS wrote (tests/support/lycoris_files.py), against their own forward."""

from pathlib import Path

import pytest
import torch
from pack.training.files.names import UNET_PREFIX
from pack.training.networks.build import adapter_from_tensors
from pack.training.networks.foreign import to_kohya
from pack.training.tools.deltas import check_module, delta_weight, unread
from safetensors.torch import load_file
from torch import nn

FILES = sorted((Path(__file__).parent / "data").glob("lycoris-*.safetensors"))
PATHS = {
    "linear": "down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k",
    "kernel": "down_blocks_0_resnets_0_conv1",
}


def cases():
    for path in FILES:
        for name in dict.fromkeys(key.rpartition("/")[0] for key in load_file(path)):
            yield pytest.param(path, name, id=f"{path.stem} {name}")


def fault_of(version, case, parts):
    """What a version computes otherwise than its own later ones, which read the same file: their tensors and factor."""
    if (version, case) == ("2.2.0", "glora"):
        return parts, float(parts["alpha"]) / parts["b1.weight"].shape[0], "its forward scales twice"
    if (version, case) == ("3.0.0", "loha"):
        return {**parts, "hada_w2_a": parts["hada_w1_a"]}, 1.0, "its forward takes w1_a for w2_a"
    return parts, 1.0, ""


def test_every_version_of_the_table_is_here():
    versions = [path.stem.removeprefix("lycoris-") for path in FILES]
    assert [version[:2] for version in versions] == ["1.", "2.", "3.", "3."]


@pytest.mark.parametrize(("path", "name"), cases())
def test_what_the_version_computes_is_computed_here(path, name):
    found = {
        key.removeprefix(f"{name}/"): tensor for key, tensor in load_file(path).items() if key.startswith(f"{name}/")
    }
    weight, change = found.pop("weight"), found.pop("change")
    module = f"{UNET_PREFIX}{PATHS[name.partition('/')[2]]}"
    file = to_kohya({f"{module}.{key.removeprefix('tensor.')}": tensor for key, tensor in found.items()}, "sd15")
    parts = {key.removeprefix(f"{module}."): tensor for key, tensor in file.items()}
    check_module(module, parts)
    assert unread(parts) == []
    close = {"rtol": 1e-4, "atol": 1e-5 * float(change.abs().max())}
    computed, factor, fault = fault_of(path.stem.removeprefix("lycoris-"), name.partition("/")[0], parts)
    torch.testing.assert_close(factor * delta_weight(computed, weight), change, **close)
    if fault:
        return
    layer = nn.Linear(12, 16, bias=False) if change.ndim == 2 else nn.Conv2d(8, 8, 3, padding=1, bias=False)
    layer.weight.data = weight
    adapter = adapter_from_tensors(layer, {key: tensor.clone() for key, tensor in parts.items()})
    assert adapter is not None
    torch.testing.assert_close(adapter.delta_weight().detach().view(change.shape), change, **close)

"""What other tools write, by each operation: it works to rounding by the tool's own formula, or says what it cannot."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pack.tests.unit.tools.test_deltas import CASES, LAYERS, trained
from pack.training.files.formats import split_modules
from pack.training.files.lora_file import save_lora
from pack.training.networks.build import adapter_from_tensors
from pack.training.networks.foreign import ignored_note, load_kohya, to_kohya
from pack.training.tools.bake import bake_weight
from pack.training.tools.deltas import bias_change, delta_weight, needs_weight
from pack.training.tools.inspection import inspect_lora
from pack.training.tools.merge import MergeSettings, merge
from pack.training.tools.ranks import RankChoice
from pack.training.tools.resize import resize
from pack.training.tools.strengths import Strengths
from peft import LoHaConfig, LoKrConfig, LoraConfig, OFTConfig, get_peft_model
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from torch import Tensor, nn

LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.0.resnets.0.conv1"
ORIGINAL = {LINEAR: "input_blocks.1.1.transformer_blocks.0.attn1.to_q", CONV: "input_blocks.1.0.in_layers.2"}
KERNELS = {LINEAR: "linear", CONV: "conv 3x3"}
NOT_RESIZED = ("glora", "oft", "boft", "ia3")


@dataclass(frozen=True)
class File:
    """A file of one module, the layer that it changes and the change by the tool's own formula."""

    tensors: dict[str, Tensor]
    layer: nn.Module
    change: Tensor


def underscored(prefix: str) -> Callable[[str], str]:
    return lambda path: prefix + path.replace(".", "_")


NAMINGS: dict[str, Callable[[str], str]] = {
    "kohya": underscored("lora_unet_"),
    "SimpleTuner": underscored("lycoris_"),
    "ComfyUI": lambda path: f"diffusion_model.{ORIGINAL[path]}",
}
"""Prefix and path; LyCORIS names tensors alike in all of them."""


def of_lycoris(naming: str, case: str, path: str) -> File:
    """What the installed library's module holds; since 1.8 the names are these."""
    layer = LAYERS[KERNELS[path]]()
    parts, change = trained(case, layer)
    return File({f"{NAMINGS[naming](path)}.{suffix}": tensor for suffix, tensor in parts.items()}, layer, change)


def of_onetrainer(path: str) -> File:
    """LoHa with the factors as the weights of layers: (O, R, 1, 1) and (R, I, K, K) where a convolution is changed."""
    layer = LAYERS[KERNELS[path]]()
    tail = (3, 3) if path == CONV else ()
    up, down = [torch.randn(32, 4, *[1] * len(tail)) for _ in "12"], [torch.randn(4, 24, *tail) for _ in "12"]
    products = [(a.flatten(1) @ b.flatten(1)).view(layer.weight.shape) for a, b in zip(up, down, strict=True)]
    name = underscored("lora_unet_")(path)
    tensors = {f"{name}.hada_w{i + 1}_{s}": one[i] for s, one in (("a", up), ("b", down)) for i in (0, 1)}
    return File(tensors | {f"{name}.alpha": torch.tensor(2.0)}, layer, products[0] * products[1] * 2 / 4)


def of_core_trainer(path: str) -> File:
    """LoRA with flattened factors, alpha 1, and a change of the bias."""
    layer = LAYERS[KERNELS[path]]()
    up, down = torch.randn(32, 4), torch.randn(4, layer.weight[0].numel())
    name = f"diffusion_model.{ORIGINAL[path]}"
    tensors = {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(1.0), "diff_b": torch.randn(32)}
    change = (up @ down / 4).view(layer.weight.shape)
    return File({f"{name}.{suffix}": tensor for suffix, tensor in tensors.items()}, layer, change)


def of_core_extractor(path: str) -> File:
    """LoRA without alpha, convolutions in their shape, and a change of the bias."""
    made = of_core_trainer(path)
    name = f"diffusion_model.{ORIGINAL[path]}"
    down = made.tensors[f"{name}.lora_down.weight"].view(4, *made.layer.weight.shape[1:])
    tensors = {key: tensor for key, tensor in made.tensors.items() if not key.endswith("alpha")}
    up = made.tensors[f"{name}.lora_up.weight"].view(32, 4, *[1] * (down.ndim - 2))
    tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
    return File(tensors, made.layer, made.change * 4)


def of_ai_toolkit(path: str) -> File:
    """LoKr with both factors whole, the rank nobody uses stored in a type that has no such number."""
    layer = LAYERS[KERNELS[path]]()
    w1, w2 = torch.randn(4, 4), torch.randn(8, 6, *layer.weight.shape[2:])
    change = torch.kron(w1.view(4, 4, *[1] * (w2.ndim - 2)), w2)
    name = underscored("lora_unet_")(path)
    return File(
        {f"{name}.lokr_w1": w1, f"{name}.lokr_w2": w2, f"{name}.alpha": torch.tensor(1e10).half()}, layer, change
    )


class Tree(nn.Module):
    """One layer at a path of diffusers'."""

    def __init__(self, path: str, layer: nn.Module) -> None:
        super().__init__()
        *parents, last = path.split(".")
        place: nn.Module = self
        for name in parents:
            place.add_module(name, nn.Module())
            place = place.get_submodule(name)
        place.add_module(last, layer)


def of_peft(config: type, prefix: str, path: str, **settings: object) -> File:
    """What peft itself writes and merges."""
    layer = LAYERS[KERNELS[path]]()
    before = layer.weight.detach().clone()
    model = get_peft_model(Tree(path, layer), config(target_modules=[path], **settings))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    tensors = {
        key.replace("base_model.model.", prefix): t.clone() for key, t in get_peft_model_state_dict(model).items()
    }
    merged = model.merge_and_unload().get_submodule(path).weight.detach()
    plain = LAYERS[KERNELS[path]]()
    plain.weight.data = before
    return File(tensors, plain, merged - before)


FILES: dict[str, Callable[[str], File]] = {
    **{
        f"{naming}: {case}": lambda path, naming=naming, case=case: of_lycoris(naming, case, path)
        for naming in NAMINGS
        for case in CASES
    },
    "OneTrainer: loha": of_onetrainer,
    "ai-toolkit: lokr full": of_ai_toolkit,
    "ComfyUI's trainer: lora": of_core_trainer,
    "ComfyUI's extractor: lora": of_core_extractor,
    "diffusers: lora": lambda path: of_peft(LoraConfig, "unet.", path, r=4, lora_alpha=4),
    "diffusers: dora": lambda path: of_peft(LoraConfig, "unet.", path, r=4, lora_alpha=4, use_dora=True),
    "peft: lora": lambda path: of_peft(LoraConfig, "base_model.model.", path, r=4, lora_alpha=4),
    "peft: dora": lambda path: of_peft(LoraConfig, "base_model.model.", path, r=4, lora_alpha=4, use_dora=True),
    "peft: loha": lambda path: of_peft(LoHaConfig, "base_model.model.", path, r=4, alpha=4),
    "peft: lokr": lambda path: of_peft(LoKrConfig, "base_model.model.", path, r=2, alpha=2),
}


def algorithm(name: str) -> str:
    return name.split(": ")[1].split()[0]


@pytest.fixture(params=[(name, path) for name in FILES for path in KERNELS], ids=lambda p: f"{p[0]} {KERNELS[p[1]]}")
def cell(request: pytest.FixtureRequest) -> tuple[str, File]:
    torch.manual_seed(0)
    name, path = request.param
    return name, FILES[name](path)


def near(got: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(got, wanted.reshape(got.shape), rtol=0, atol=2e-5 * float(wanted.abs().max()))


def read(file: File, tmp_path: Path) -> dict[str, Tensor]:
    """Through a file on the disk, as Load LoRA File does."""
    save_lora(tmp_path / "theirs.safetensors", file.tensors, {})
    return load_kohya(tmp_path / "theirs.safetensors", "sd15").tensors


def test_loaded_inspected_merged_into_a_model_and_saved_again(cell: tuple[str, File], tmp_path: Path):
    _, file = cell
    tensors = read(file, tmp_path)
    ((name, parts),) = split_modules(tensors).items()
    weight = file.layer.weight.detach()
    near(delta_weight(parts, weight), file.change)
    near(bake_weight(weight, parts, 0.5) - weight, 0.5 * file.change)
    assert inspect_lora(tensors, "sd15", {}).modules[0].name == name
    save_lora(tmp_path / "ours.safetensors", tensors, {})
    again = split_modules(load_kohya(tmp_path / "ours.safetensors", "sd15").tensors)[name]
    near(delta_weight(again, weight), file.change)


def test_merged(cell: tuple[str, File], tmp_path: Path):
    _, file = cell
    tensors = read(file, tmp_path)
    lora = (tensors, Strengths(unet=0.5))
    source = lambda name: file.layer.weight.detach()  # noqa: E731
    merged, _ = merge([lora, lora], "sd15", MergeSettings(choice=RankChoice(rank=64)), source)
    ((_, parts),) = split_modules(merged).items()
    near(delta_weight(parts, None, file.layer.weight.shape), file.change)
    before = bias_change(next(iter(split_modules(tensors).values())))
    assert (before is None) == (bias_change(parts) is None)
    if before is not None:
        near(bias_change(parts), before)
    if any(needs_weight(own) for own in split_modules(tensors).values()):
        with pytest.raises(ValueError, match="connect the model"):
            merge([lora, lora], "sd15", MergeSettings())


def test_resized(cell: tuple[str, File], tmp_path: Path):
    name, file = cell
    tensors = read(file, tmp_path)
    if algorithm(name) in NOT_RESIZED:
        with pytest.raises(ValueError, match="depends on the base model"):
            resize(tensors, RankChoice(rank=64))
        return
    resized, _ = resize(tensors, RankChoice(rank=64))
    ((_, parts),) = split_modules(resized).items()
    near(delta_weight(parts, file.layer.weight.detach()), file.change)


def test_trained_on(cell: tuple[str, File], tmp_path: Path):
    name, file = cell
    ((_, parts),) = split_modules(read(file, tmp_path)).items()
    left = dict(parts)
    adapter = adapter_from_tensors(file.layer, left)
    if "rescaled" in name:
        assert set(left) == {"rescale"}  # which is refused by name
        return
    assert adapter is not None
    assert not set(left) - {"alpha"}
    if "constrained" not in name:  # trained on without
        near(adapter.delta_weight().detach(), file.change)


@pytest.mark.parametrize("path", KERNELS)
def test_oft_of_peft_and_onetrainer_is_refused_by_name(path: str):
    settings = {"oft_block_size": 8, "use_cayley_neumann": False}
    file = of_peft(OFTConfig, "unet.", path, **settings)
    with pytest.raises(ValueError, match="oft_R.*algorithm that is not known here"):
        to_kohya(file.tensors, "sd15")


def test_a_text_encoder_of_comfyui_s_extractor_is_read_whole():
    """Norms, embeddings, the projection: nothing is left out, and the family is detected."""
    prefix = "text_encoders.clip_l.transformer."
    low = lambda *shape: (torch.randn(shape[0], 2), torch.randn(2, shape[1]))  # noqa: E731
    tensors: dict[str, Tensor] = {}
    for path, shape in {
        "text_model.embeddings.token_embedding": (100, 16),
        "text_model.embeddings.position_embedding": (77, 16),
        "text_model.encoder.layers.0.mlp.fc1": (64, 16),
        "text_projection": (16, 16),
    }.items():
        tensors |= dict(
            zip((f"{prefix}{path}.lora_up.weight", f"{prefix}{path}.lora_down.weight"), low(*shape), strict=True)
        )
    tensors[f"{prefix}text_model.final_layer_norm.diff"] = torch.randn(16)
    tensors[f"{prefix}text_model.final_layer_norm.diff_b"] = torch.randn(16)
    read = to_kohya(tensors)
    assert set(split_modules(read)) == {
        f"lora_te_{name}"
        for name in (
            "text_model_embeddings_token_embedding", "text_model_embeddings_position_embedding",
            "text_model_encoder_layers_0_mlp_fc1", "text_projection", "text_model_final_layer_norm",
        )
    }  # fmt: skip
    merged, _ = merge([(read, Strengths()), (read, Strengths())], "sd15", MergeSettings())
    assert set(split_modules(merged)) == set(split_modules(read))
    near(merged["lora_te_text_model_final_layer_norm.diff"], 2 * tensors[f"{prefix}text_model.final_layer_norm.diff"])
    assert set(split_modules(resize(read, RankChoice(rank=1))[0])) == set(split_modules(read))


OPERATIONS = {
    "merge": lambda tensors: merge([(tensors, Strengths())], "sd15", MergeSettings()),
    "resize": lambda tensors: resize(tensors, RankChoice()),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("extra", ["reshape_weight", "rescale", "hada_w1_b"])
def test_a_tensor_that_no_formula_reads_is_named(operation: str, extra: str):
    name = underscored("lora_unet_")(LINEAR)
    tensors = {f"{name}.lora_up.weight": torch.ones(32, 4), f"{name}.lora_down.weight": torch.ones(4, 24)}
    tensors[f"{name}.{extra}"] = torch.ones(2)
    with pytest.raises(ValueError, match=rf"{LINEAR.replace('.', '_')} holds {extra}"):
        OPERATIONS[operation](tensors)
    assert any(extra in text for text in inspect_lora(tensors, "sd15", {}).warnings)


def test_embeddings_in_a_file_are_named():
    name = underscored("lora_unet_")(LINEAR)
    tensors = {f"{name}.lora_up.weight": torch.ones(32, 4), f"{name}.lora_down.weight": torch.ones(4, 24)}
    assert not ignored_note(tensors)
    assert "bundle_emb.mine.clip_l" in ignored_note(tensors | {"bundle_emb.mine.clip_l": torch.ones(2, 768)})


@pytest.mark.parametrize("case", CASES)
def test_an_alpha_of_zero_is_named_where_the_module_does_nothing_for_it(case: str, tmp_path: Path):
    """ComfyUI and sd-scripts read it differently there; in OFT it is a limit, and whole factors do not read it."""
    layer = LAYERS["linear"]()
    parts = dict(trained(case, layer)[0])
    if "alpha" not in parts:
        return
    name = underscored("lora_unet_")(LINEAR)
    for alpha in (0.0, 4.0):
        parts["alpha"] = torch.tensor(alpha)
        save_file(
            {f"{name}.{suffix}": tensor.contiguous() for suffix, tensor in parts.items()}, tmp_path / "a.safetensors"
        )
        bare = {suffix: tensor for suffix, tensor in parts.items() if suffix != "dora_scale"}
        is_silent = not delta_weight(bare, layer.weight.detach()).any()
        assert (name in load_kohya(tmp_path / "a.safetensors").note) == is_silent

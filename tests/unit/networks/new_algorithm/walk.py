"""Every way of a LoRA with the added algorithm, in a copy of the pack: `python walk.py COPY FOLDER`."""

import runpy
import sys
from dataclasses import replace
from pathlib import Path

COPY, FOLDER = map(Path, sys.argv[1:])
runpy.run_path(str(COPY / "tests" / "support" / "alias.py"))["alias_pack"]()

import torch  # noqa: E402
from pack.tests.support.toy_model import ToyBase, run, toy_request, with_steps  # noqa: E402
from pack.training.files.formats import split_modules  # noqa: E402
from pack.training.networks.algorithms import NAMES  # noqa: E402
from pack.training.networks.foreign import load_kohya  # noqa: E402
from pack.training.networks.network import Network  # noqa: E402
from pack.training.networks.settings import NetworkSettings  # noqa: E402
from pack.training.tools.deltas import delta_weight  # noqa: E402
from pack.training.tools.inspection import inspect_lora  # noqa: E402
from pack.training.tools.merge import MergeSettings, merge  # noqa: E402
from pack.training.tools.ranks import RankChoice  # noqa: E402
from pack.training.tools.resize import resize  # noqa: E402
from pack.training.tools.strengths import Strengths  # noqa: E402

torch.set_num_threads(1)


def changes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The change of every module as a matrix."""
    return {name: delta_weight(parts).flatten(1) for name, parts in split_modules(tensors).items()}


def check_same(found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> None:
    """Refuse changes that differ by more than rounding."""
    assert found.keys() == wanted.keys()
    for name, change in wanted.items():
        assert change.norm() > 0, name
        torch.testing.assert_close(found[name], change, rtol=1e-4, atol=1e-6, msg=name)


assert NAMES[-1] == "gated"
network = NetworkSettings(
    algorithm="gated", rank=4, conv_rank=2, rank_stabilized=True, targets="blocks", include=("*middle_block*",)
)
request = toy_request(FOLDER, 4, network=network)
result = run(request)
assert result.tensors
longer = run(replace(with_steps(request, 6), base=ToyBase()))
assert longer.message.startswith("continued from step 4"), longer.message

(path,) = (FOLDER / "run").glob("*-step000006.safetensors")
file = load_kohya(path, "sd15")
assert file.tensors.keys() == longer.tensors.keys()
trained = changes(file.tensors)
check_same(changes(longer.tensors), trained)

base = ToyBase()
loaded = Network.from_tensors(base.parts(), "sd15", file.tensors)
assert {type(adapter).__name__ for adapter in loaded.adapters} == {"GatedAdapter"}
own = {one.target.key: one.adapter.delta_weight().detach().flatten(1) for one in loaded.attachments}
check_same(own, trained)

info = inspect_lora(file.tensors, "sd15", file.metadata)
assert "algorithm: gated" in info.text(), info.text()
assert all(module.rank in (2, 4) and module.norm for module in info.modules)

twice, _ = merge([(file.tensors, Strengths(unet=2.0)), (file.tensors, Strengths(unet=-1.0))], "sd15", MergeSettings())
check_same(changes(twice), trained)
resized, report = resize(file.tensors, RankChoice(rank=4))
assert all("lora_up.weight" in parts for parts in split_modules(resized).values())
check_same(changes(resized), trained)
print("walked", len(trained), "modules")

"""Run folders written by an earlier version, and its results: `python tests/support/old_runs.py`.

Written once, before the code is moved; a test then finds them, resumes them and compares the weights.
"""

import runpy
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

import torch  # noqa: E402
from pack.tests.support.toy_model import ToyBase, raising, run, toy_request  # noqa: E402
from pack.training.data.dataset import Subset  # noqa: E402
from pack.training.loop.job import StopTraining  # noqa: E402
from pack.training.loop.stages import Stage  # noqa: E402
from pack.training.networks.settings import NetworkSettings  # noqa: E402
from pack.training.optimizers.settings import OptimizerSettings  # noqa: E402
from pack.training.run.saver import SaveSettings  # noqa: E402
from pack.training.session.request import TrainRequest  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

OLD_RUNS = Path(__file__).resolve().parent / "old_runs"
STOPPED_AT = 5
ADAMW = OptimizerSettings(learning_rate=1e-2)
NETWORK = NetworkSettings(rank=2, include=("*middle_block*",))
LOKR = NetworkSettings(
    algorithm="lokr", rank=2, parts=("unet", "text_encoder"), include=("*middle_block*", "*layers.1.mlp*")
)


@dataclass(frozen=True)
class OldRun:
    """A run on disk and what is wanted of it later."""

    stages: tuple[Stage, ...]
    """What was requested when it started."""
    wanted: tuple[Stage, ...]
    """What is requested now."""
    message: str
    """How the node's message about it starts now."""
    network: NetworkSettings = NETWORK
    optimizer: OptimizerSettings = ADAMW
    is_stopped: bool = False
    is_nearest: bool = False
    """Its dataset had `nearest_bucket` on, which counted where it has no effect, when it started."""

    def begun(self, folder: Path) -> TrainRequest:
        """What was requested when it started, for the toy model, in `folder/run`."""
        request = self.request(folder, self.stages)
        return replace(request, dataset=request.dataset.map(_nearest)) if self.is_nearest else request

    def request(self, folder: Path, stages: tuple[Stage, ...]) -> TrainRequest:
        """What is requested now of these stages."""
        saving = SaveSettings(save_every=4, save_dtype="float32")
        request = toy_request(folder, base=ToyBase(), network=self.network, optimizer=self.optimizer, saving=saving)
        return replace(request, stages=stages)


EIGHT = (Stage(steps=8, batch_size=2),)
TWO = (Stage(steps=4, batch_size=2), Stage(steps=4, optimizer=replace(ADAMW, learning_rate=3e-3)))
RUNS = {
    "finished": OldRun(EIGHT, EIGHT, "already trained: 8 steps"),
    "lengthened": OldRun(EIGHT, (Stage(steps=11, batch_size=2),), "continued from step 8 of 11"),
    "stopped": OldRun(EIGHT, EIGHT, f"continued from step {STOPPED_AT} of 8", is_stopped=True),
    "two stages": OldRun(TWO, TWO, f"continued from step {STOPPED_AT} of 8", is_stopped=True),
    "ema": OldRun(
        EIGHT, EIGHT, f"continued from step {STOPPED_AT} of 8", optimizer=replace(ADAMW, ema_decay=0.9), is_stopped=True
    ),
    "nearest bucket": OldRun(
        EIGHT, EIGHT, f"continued from step {STOPPED_AT} of 8", is_stopped=True, is_nearest=True
    ),
    "text encoder": OldRun(EIGHT, EIGHT, f"continued from step {STOPPED_AT} of 8", network=LOKR, is_stopped=True),
}  # fmt: skip


def _nearest(subset: Subset) -> Subset:
    return replace(subset, buckets=replace(subset.buckets, nearest_bucket=True))


def make(name: str, folder: Path) -> None:
    """Begins the run in `folder`, and stops it where it is to be stopped."""
    old = RUNS[name]
    callbacks = [raising(STOPPED_AT, StopTraining())] if old.is_stopped else []
    run(old.begun(folder), *callbacks)


def go_on(name: str, folder: Path) -> tuple[str, dict[str, torch.Tensor]]:
    """What the node says when the run is wanted now, and its tensors."""
    result = run(RUNS[name].request(folder, RUNS[name].wanted))
    return result.message, result.tensors


def archive(name: str) -> Path:
    """The run folder as it was, packed."""
    return OLD_RUNS / f"{name.replace(' ', '_')}.zip"


def expected(name: str) -> Path:
    """Tensors that the run ended with when it was gone on with by the code that wrote it."""
    return archive(name).with_suffix(".safetensors")


def write(name: str) -> None:
    """Packs the run and its results."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        make(name, folder)
        with zipfile.ZipFile(archive(name), "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                packed.write(path, path.relative_to(folder))
        save_file(go_on(name, folder)[1], expected(name))


def main(write_one: Callable[[str], None] = write) -> None:
    """Writes all that are not there."""
    torch.set_num_threads(1)
    OLD_RUNS.mkdir(exist_ok=True)
    for name in RUNS:
        if not archive(name).exists():
            write_one(name)
            print(name)


if __name__ == "__main__":
    sys.exit(main())

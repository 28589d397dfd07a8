"""A simulated user of the Train node: queues names with changed settings, cancels at any moment. On the toy model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from pack.tests.support.toy_model import At, ToyBase, ToyHooks, toy_request
from pack.training.files.lora_file import load_lora
from pack.training.loop.job import Callback, TrainJob, TrainState
from pack.training.loop.rate_changes import with_change
from pack.training.loop.stages import Stage
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.folder import RunFolder
from pack.training.run.naming import name_folder
from pack.training.run.saver import Saver, SaveSettings
from pack.training.session.request import Hooks, Session, TrainRequest, TrainResult
from pack.training.session.session import run_training
from torch import Tensor

CONSTANT = OptimizerSettings(learning_rate=1e-2)
OTHER_RATE = OptimizerSettings(learning_rate=3e-3)
BASE = ToyBase()


class Canceled(BaseException):
    """The host's cancel button."""


class Person:
    """Queues runs below one folder of LoRAs."""

    def __init__(self, loras: Path) -> None:
        self.loras = loras
        self.session: Session | None = None
        """Of the last queue."""
        self.messages: list[str] = []
        """What the node said, in order."""

    def request(self, name: str = "mira", steps: int = 6, **changes: object) -> TrainRequest:
        """Constant rate, saved every two steps; `changes` are fields of the request."""
        settings = {
            "base": BASE,
            "optimizer": CONSTANT,
            "stages": (Stage(steps=steps, batch_size=2),),
            "saving": SaveSettings(save_every=2, save_dtype="float32"),
            **changes,
        }
        return replace(toy_request(self.loras, **settings), root=name_folder(self.loras, name))

    def queue(
        self,
        name: str = "mira",
        *callbacks: Callback | Callable[[Saver], Callback],
        cancel_at: str = "",
        steps: int = 6,
        **changes: object,
    ) -> TrainResult:
        """Queues the graph; `cancel_at` is the beginning of what the node shows when cancel is pressed.

        A callback that acts on the run is given as a function of its saver.
        """
        self.messages = []
        hooks = ToyHooks(callbacks, self.messages)
        result = run_training(self.request(name, steps, **changes), canceling(hooks.hooks(), cancel_at))
        self.session = hooks.sessions[-1]
        self.messages.append(result.message)
        return result

    def cancel(self, name: str = "mira", at: str = "encoding images", **changes: object) -> None:
        """Queues, and cancels before the end."""
        try:
            self.queue(name, cancel_at=at, **changes)
        except Canceled:
            return
        raise AssertionError(f"it was never shown: {at}")

    def lora(self, name: str = "mira") -> Path:
        """The file people load."""
        return self.loras / name / f"{name}.safetensors"

    def files(self, name: str = "mira") -> dict[str, bytes]:
        """The LoRAs people see."""
        return {path.name: path.read_bytes() for path in sorted((self.loras / name).glob("*.safetensors"))}

    def contents(self) -> set[bytes]:
        """All LoRAs that there are, seen or not."""
        return {path.read_bytes() for path in self.loras.rglob("*.safetensors")}


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    """The same bits."""
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def halve(saver: Saver) -> Callback:
    """The button that halves the learning rate, after the first step."""

    def press(job: TrainJob, state: TrainState) -> None:
        state.rate_changes = with_change(state.rate_changes, state.step, 0.5)
        saver.keep_rates(state)

    return At(1, press)


def canceling(hooks: Hooks, at: str) -> Hooks:
    """Hooks that cancel when a progress text begins so."""

    def progress(what: str, done: int, of: int) -> None:
        hooks.progress(what, done, of)
        if at and what.startswith(at):
            raise Canceled

    return replace(hooks, progress=progress)


def steps_of(path: Path) -> str:
    """Steps after which a LoRA was written, by its header."""
    return load_lora(path).metadata["ss_steps"]


def kept_files(folder: RunFolder) -> list[Path]:
    """All LoRAs of a run, visible or in its own folder."""
    return sorted([*folder.step_loras().values(), *folder.private.glob("*.safetensors")])


Action = Callable[[], object]

"""Toy sessions in forked processes: started in milliseconds, ended in any way, and what they leave on disk."""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from pack.tests.support.toy_model import ToyBase, run, toy_request
from pack.training.files import atomic, lora_file
from pack.training.files.lora_file import load_lora
from pack.training.loop.job import Callback
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run import state
from pack.training.run.folder import RunFolder, current_run
from pack.training.run.lines import read_lines
from pack.training.run.record import load_record
from pack.training.run.saver import SaveSettings
from pack.training.run.state import load_state
from pack.training.session.request import TrainRequest

STEPS, SAVE_EVERY = 12, 4
BASE = ToyBase()


def killing_request(root: Path) -> TrainRequest:
    """Two stages, an EMA and dropout, saved every four steps."""
    return toy_request(
        root,
        base=BASE,
        network=NetworkSettings(rank=4, dropout=0.2, include=("*middle_block*",)),
        optimizer=OptimizerSettings(learning_rate=1e-2, ema_decay=0.9),
        stages=(Stage(steps=7, batch_size=2), Stage(steps=STEPS - 7, batch_size=1, grad_accumulation_steps=2)),
        saving=SaveSettings(save_every=SAVE_EVERY),
    )


def forked(body: Callable[[], object]) -> int:
    """Id of a child process that runs `body` and ends with 0, or with 1 and the error on standard error."""
    child = os.fork()
    if child:
        return child
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a process of tests may have asked for another answer
        torch.set_num_threads(1)
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stderr.flush()
    os._exit(code)


def exit_code(child: int) -> int:
    """0, 1, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def session(root: Path, *callbacks: Callback) -> Callable[[], object]:
    """Body of a child that trains."""
    return lambda: run(killing_request(root), *callbacks)


class WriteMoments:
    """Counts the moments of writing files (inside the content, before flush, rename and folder flush)."""

    def __init__(self, fatal: int = 0) -> None:
        """At moment number `fatal` the process ends with SIGKILL; 0 = never."""
        self.fatal = fatal
        self.count = 0

    def install(self) -> None:
        """For the rest of this process."""
        for name in ("_sync_file", "_replace", "sync_folder"):
            setattr(atomic, name, self._before(getattr(atomic, name)))
        for module in (lora_file, state):
            module.tensor_area = self._within(module.tensor_area)

    def _moment(self) -> None:
        self.count += 1
        if self.count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def _before(self, function: Callable[..., object]) -> Callable[..., object]:
        def wrapped(*arguments: object) -> object:
            self._moment()
            return function(*arguments)

        return wrapped

    def _within(self, pieces: Callable[..., Iterator[object]]) -> Callable[..., Iterator[object]]:
        def wrapped(*arguments: object) -> Iterator[object]:
            for index, piece in enumerate(pieces(*arguments)):
                if index == 5:
                    self._moment()
                yield piece

        return wrapped


@dataclass(frozen=True, slots=True)
class Left:
    """What a process left on disk."""

    broken: tuple[str, ...]
    """Files that a reader would take and that are not whole."""
    steps_done: int
    """By the metrics, which are written at every step."""
    steps_saved: int
    """By the newest state."""

    @property
    def lost(self) -> int:
        """Steps to be trained again."""
        return max(0, self.steps_done - self.steps_saved)


def left_in(root: Path) -> Left:
    """Reads everything below a run's root as loaders and the next session would."""
    broken = [path.name for path in root.rglob("*.safetensors") if not _is_whole_lora(path)]
    broken += [path.name for path in root.rglob("*.state") if load_state(path) is None]
    broken += [path.name for path in root.rglob("run.json") if load_record(path) is None]
    run_id = current_run(root)
    if run_id is None:
        return Left(tuple(broken), 0, 0)
    folder = RunFolder(root, run_id)
    done = max((line["step"] for line in read_lines(folder.metrics)), default=0)
    return Left(tuple(broken), done, max(folder.states(), default=0))


def _is_whole_lora(path: Path) -> bool:
    try:
        load_lora(path)
    except ValueError:
        return False
    return True


def final_bits(root: Path) -> dict[str, bytes]:
    """What must be equal however often a run was ended: last state, LoRAs of the plan's steps, figures."""
    run_id = current_run(root)
    assert run_id is not None
    folder = RunFolder(root, run_id)
    lines = [{**line, "seconds": 0} for line in read_lines(folder.metrics)]
    planned = {step for step in folder.step_loras() if step % SAVE_EVERY == 0 or step in (7, STEPS)}
    loras = {str(step): folder.step_lora(step).read_bytes() for step in planned}
    return {
        "state": folder.state(STEPS).read_bytes(),
        "latest": folder.latest_lora.read_bytes(),
        "metrics": json.dumps(lines).encode(),
        **loras,
    }

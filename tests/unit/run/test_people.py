"""A machine that plays people at the Train node: after everything they do, every LoRA they had is still theirs.

Each sequence queues, changes inputs, cancels in every phase, kills, renames, copies and deletes. After each action all
LoRAs that somebody was given are on the disk, whole, and say truly what they are; a queue that ends gives the bits of
a run that was never disturbed; nothing is trained that is there. `LORA_BAKERY_SEQUENCES` is the number of sequences.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pack.tests.support.person import CONSTANT, OTHER_RATE, Canceled, Person
from pack.tests.support.pictures import dataset
from pack.tests.support.toy_model import other_dataset, raising, toy_dataset
from pack.tests.support.toy_runs import exit_code, forked
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.job import Callback, StopTraining
from pack.training.loop.rate_changes import with_change
from pack.training.loop.stages import Stage
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.run.folder import RunFolder, current_run, lora_files
from pack.training.run.picks import save_pick
from pack.training.run.saver import SaveSettings
from pack.training.session.request import ValidationSettings

NUM_SEQUENCES = int(os.environ.get("LORA_BAKERY_SEQUENCES", "25"))
NAMES = ("mira", "nora")
COSINE = replace(CONSTANT, schedule=ScheduleSettings(schedule="cosine"))
PLANS = {
    "4 steps": (Stage(steps=4, batch_size=2),),
    "6 steps": (Stage(steps=6, batch_size=2),),
    "two stages": (Stage(steps=4, batch_size=2), Stage(steps=2, batch_size=2, optimizer=OTHER_RATE)),
    "another second stage": (Stage(steps=4, batch_size=2), Stage(steps=3, batch_size=1, optimizer=OTHER_RATE)),
}
OPTIMIZERS = {"constant": CONSTANT, "lower": OTHER_RATE, "cosine": COSINE}
DATASETS = {"toy": toy_dataset, "other": other_dataset}
BASES = {"toy": "toy", "another under its name": "other"}
HELD_OUT = ValidationSettings(dataset=dataset([(64, 64)], first=50), every=2)
PHASES = ("encoding images", "encoding captions", "step 1", "step 2", "step 5", "validating", "measuring images")


@dataclass(frozen=True)
class Wish:
    """What is asked for at the node."""

    plan: str = "4 steps"
    optimizer: str = "constant"
    data: str = "toy"
    base: str = "toy"
    is_measured: bool = False
    """Held-out images and a report; they decide no weights."""

    def changes(self) -> dict[str, object]:
        """Fields of the request."""
        return {
            "stages": PLANS[self.plan],
            "optimizer": OPTIMIZERS[self.optimizer],
            "dataset": DATASETS[self.data](),
            "base_key": BASES[self.base],
            "is_diagnosed": self.is_measured,
            "validation": HELD_OUT if self.is_measured else ValidationSettings(),
            "on_more_steps": "stretch",  # steps under a schedule of their own have other bits, as asked
        }


WISHES = st.builds(
    Wish,
    plan=st.sampled_from(sorted(PLANS)),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    data=st.sampled_from(sorted(DATASETS)),
    base=st.sampled_from(sorted(BASES)),
    is_measured=st.booleans(),
)


@cache
def undisturbed(wish: Wish) -> dict[str, torch.Tensor]:
    """What a run of these settings ends with when nothing happens to it."""
    with tempfile.TemporaryDirectory() as folder:
        return Person(Path(folder)).queue(**wish.changes()).tensors


class FailsOnce(Callback):
    """The disk refuses one save."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_step(self, job, state, report) -> None:
        if state.step == 1:
            raise OSError(28, "No space left on device", str(self.folder))


class HalvesRate(Callback):
    """Somebody presses the button after a step; the record of the run keeps it."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, job, state, report) -> None:
        if state.step == self.step:
            state.rate_changes = with_change(state.rate_changes, state.step, 0.5)


def refused(path, *_, **__):
    """Opens nothing."""
    raise PermissionError(13, "Permission denied", str(path))


class Dies(Callback):
    """The process is killed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, job, state, report) -> None:
        if state.step == self.step:
            os._exit(9)


class People(RuleBasedStateMachine):
    """Rules are what people do; the invariant is what must hold after each."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="people-"))
        self.person = Person(self.folder / "loras")
        self.given: dict[bytes, int] = {}
        """LoRAs that somebody was given and did not delete: content -> steps."""
        self.finished: dict[tuple[str, Wish], Path] = {}
        """(name, wish) that was trained to its end -> folder of its name."""
        self.is_steered = False
        """Once a rate was changed by hand, or weights were taken from other data, bits are not the settings' own."""

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    def remember(self, folder: RunFolder) -> None:
        for path in folder.step_loras().values():
            self.given[path.read_bytes()] = int(load_lora(path).metadata["ss_steps"])

    @rule(name=st.sampled_from(NAMES), wish=WISHES)
    def queue(self, name: str, wish: Wish) -> None:
        """Queue and wait."""
        wanted = replace(wish, is_measured=False)
        is_there = (name, wanted) in self.finished and self.finished[name, wanted].is_dir()
        result = self.person.queue(name, **wish.changes())
        self.remember(result.folder)
        for key, tensor in ({} if self.is_steered else undisturbed(wanted)).items():
            assert torch.equal(result.tensors[key], tensor), f"{key} of {wish} has other bits: {result.message}"
        if is_there and not self.is_steered:
            assert not result.losses, f"{wish} was trained again: {result.message}"
        self.finished[name, wanted] = self.person.loras / name

    @rule(name=st.sampled_from(NAMES), wish=WISHES, phase=st.sampled_from(PHASES))
    def cancel(self, name: str, wish: Wish, phase: str) -> None:
        """Queue, then press cancel."""
        callbacks = [raising(int(phase.split()[-1]), Canceled())] if "step" in phase else []
        shown = "" if callbacks else phase
        try:
            result = self.person.queue(name, *callbacks, cancel_at=shown, **wish.changes())
        except Canceled:
            return
        self.remember(result.folder)  # it was over before
        self.finished[name, replace(wish, is_measured=False)] = self.person.loras / name

    @rule(name=st.sampled_from(NAMES), wish=WISHES)
    def go_on_with_other_data(self, name: str, wish: Wish) -> None:
        """`on_dataset_change` is continue."""
        self.is_steered = True
        self.remember(self.person.queue(name, **wish.changes(), on_dataset_change="continue").folder)

    @rule(name=st.sampled_from(NAMES), wish=WISHES, step=st.integers(1, 4))
    def change_rate_by_hand(self, name: str, wish: Wish, step: int) -> None:
        """The button that halves it."""
        self.is_steered = True
        self.remember(self.person.queue(name, HalvesRate(step), **wish.changes()).folder)

    @rule(name=st.sampled_from(NAMES), wish=WISHES)
    def virus_scanner(self, name: str, wish: Wish) -> None:
        """States cannot be read for a moment."""
        before = self.contents()
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr("pack.training.run.state.open_tensors", refused)
            try:
                self.remember(self.person.queue(name, **wish.changes()).folder)
            except RuntimeError:
                assert self.contents() == before

    @rule(name=st.sampled_from(NAMES))
    def delete_the_visible_lora(self, name: str) -> None:
        """In the file manager; only that copy is gone."""
        latest = self.person.loras / name / f"{name}.safetensors"
        if latest.is_file():
            content = latest.read_bytes()
            latest.unlink()
            if content not in self.contents():
                self.given.pop(content, None)

    @rule(name=st.sampled_from(NAMES), wish=WISHES, step=st.integers(1, 5))
    def stop_and_keep(self, name: str, wish: Wish, step: int) -> None:
        """Stop & keep."""
        self.remember(self.person.queue(name, raising(step, StopTraining()), **wish.changes()).folder)

    @rule(name=st.sampled_from(NAMES), wish=WISHES, step=st.integers(1, 6))
    def kill(self, name: str, wish: Wish, step: int) -> None:
        """The process dies after a step."""
        code = exit_code(forked(lambda: self.person.queue(name, Dies(step), **wish.changes())))
        assert code in (0, 9)

    @rule(name=st.sampled_from(NAMES), wish=WISHES)
    def full_disk(self, name: str, wish: Wish) -> None:
        """A step fails by the disk."""
        try:
            self.remember(self.person.queue(name, FailsOnce(self.folder), **wish.changes()).folder)
        except OSError:
            return

    @rule(name=st.sampled_from(NAMES), wish=WISHES, keep_last=st.integers(1, 2))
    def keep_few(self, name: str, wish: Wish, keep_last: int) -> None:
        """Retention is asked for: older steps of this run may go, nothing else."""
        saving = SaveSettings(save_every=2, save_dtype="float32", keep_last=keep_last)
        before = set(self.given)
        result = self.person.queue(name, **wish.changes(), saving=saving)
        there = self.contents()
        for content in before - there:
            assert self.given.pop(content) < max(result.folder.step_loras())
        self.remember(result.folder)

    @rule(name=st.sampled_from(NAMES))
    def pick(self, name: str) -> None:
        """Pick the first saved step."""
        root = self.person.loras / name
        run_id = current_run(root)
        if run_id and (steps := RunFolder(root, run_id).step_loras()):
            save_pick(RunFolder(root, run_id), min(steps))

    @rule(name=st.sampled_from(NAMES), damage=st.sampled_from(["", "gone", "unlink"]))
    def damage_marker(self, name: str, damage: str) -> None:
        """The marker is lost or empty."""
        marker = self.person.loras / name / ".run" / "current"
        if marker.is_file():
            marker.unlink() if damage == "unlink" else marker.write_text(damage)

    @rule(name=st.sampled_from(NAMES))
    def free_space(self, name: str) -> None:
        """Delete `.run` and what lies in it; the visible files stay."""
        private = self.person.loras / name / ".run"
        visible = self.contents(without=private)
        self.given = {content: steps for content, steps in self.given.items() if content in visible}
        self.finished = {key: path for key, path in self.finished.items() if path != self.person.loras / name}
        shutil.rmtree(private, ignore_errors=True)

    @precondition(lambda self: not (self.person.loras / "nora").exists())
    @rule(is_copied=st.booleans())
    def rename_or_copy_folder(self, is_copied: bool) -> None:
        """In the file manager."""
        mira, nora = (self.person.loras / name for name in NAMES)
        if not mira.exists():
            return
        shutil.copytree(mira, nora) if is_copied else mira.rename(nora)
        moved = {("nora", wish): nora for (name, wish) in self.finished if name == "mira"}
        kept = self.finished if is_copied else {key: path for key, path in self.finished.items() if key[0] != "mira"}
        self.finished = {**kept, **moved}

    @rule(name=st.sampled_from(NAMES))
    def foreign_file(self, name: str) -> None:
        """A file of another origin is put where the LoRA was."""
        latest = self.person.loras / name / f"{name}.safetensors"
        if latest.is_file():
            source = load_lora(latest)
            before = latest.read_bytes()
            save_lora(latest, {key: tensor * 2 for key, tensor in source.tensors.items()}, {"ss_steps": "77"})
            if before not in self.contents():  # people overwrote what they had put there
                self.given.pop(before, None)
            self.given[latest.read_bytes()] = 77

    def contents(self, without: Path | None = None) -> set[bytes]:
        found = self.person.loras.rglob("*.safetensors")
        return {path.read_bytes() for path in found if without is None or without not in path.parents}

    @invariant()
    def nothing_is_lost(self) -> None:
        if not hasattr(self, "person"):
            return
        there = self.contents()
        lost = sorted(steps for content, steps in self.given.items() if content not in there)
        assert not lost, f"LoRAs after these steps are gone: {lost}"

    @invariant()
    def what_is_seen_is_whole(self) -> None:
        if not hasattr(self, "person") or not self.person.loras.is_dir():
            return
        for root in self.person.loras.iterdir():
            for path in lora_files(root, root.name):
                assert all(bool(tensor.isfinite().all()) for tensor in load_lora(path).tensors.values())


@pytest.mark.slow
@pytest.mark.usefixtures("quick_disk")
def test_people():
    run_state_machine_as_test(
        People,
        settings=settings(
            max_examples=NUM_SEQUENCES,
            stateful_step_count=12,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )

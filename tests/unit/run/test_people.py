"""A machine that plays people at the Train node: after everything they do, every LoRA they had is still theirs.

Each sequence queues, changes inputs, cancels in every phase, kills, renames, copies and deletes. After each action all
LoRAs that people saw and did not delete are on the disk, whole, say truly what they are, and lie where people see them
or where a message said; a queue that ends gives the bits of a run that was never disturbed; nothing is trained that is
there. By day 50 sequences, with `--full` 2,000; `LORA_BAKERY_SEQUENCES` is the number of each of 40 parts,
`LORA_BAKERY_SEED` the first of their seeds.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pack.tests.support.ledger import Ledger
from pack.tests.support.moments import failing_read, failing_write, held
from pack.tests.support.pauses import Dies, Pauses, cancel, end_server, go_on, halve_rate, save_now
from pack.tests.support.person import Canceled, Person
from pack.tests.support.toy_model import raising
from pack.tests.support.toy_runs import WriteMoments, exit_code, forked
from pack.tests.support.wishes import USUAL, Wish
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.job import Callback, StopTraining
from pack.training.run.folder import RunFolder, current_run, run_ids
from pack.training.run.picks import save_pick
from pack.training.run.saver import Saver
from pack.training.run.stops import note_stop
from pack.training.watch.control import RunControl

NUM_SEQUENCES = int(os.environ.get("LORA_BAKERY_SEQUENCES", "50"))
FIRST_SEED = int(os.environ.get("LORA_BAKERY_SEED", "0"))
PARTS = [0, *(pytest.param(part, marks=pytest.mark.full) for part in range(1, 40))]
NAMES = st.sampled_from(["mira", "nora [2]"])
WISHES = st.sampled_from(USUAL)
STEPS = st.integers(1, 8)
MOMENTS = st.integers(1, 40)
FILES = [
    "metrics.jsonl", "base_losses.jsonl", "run.json", "current", "latest", "untold", "pictures", "{name}.safetensors",
    "{name}-step000004.safetensors", "state-000004.state",
]  # fmt: skip
PHASES = st.sampled_from(["encoding images", "encoding captions", "validating", "measuring images"])


class People(RuleBasedStateMachine):
    """Rules are what people do; the invariants are what must hold after each."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="people-"))
        self.person = Person(self.folder / "loras")
        self.ledger = Ledger(self.person.loras)
        self.num_renamed = 0

    def teardown(self) -> None:
        shutil.rmtree(getattr(self, "folder", ""), ignore_errors=True)

    def root(self, name: str) -> Path:
        return self.person.loras / name

    def queued(self, name: str, wish: Wish, *callbacks: object, **changes: object) -> None:
        """Queues; what the node says is heard however it ends."""
        kept = self.ledger.kept_steps(name)
        try:
            result = self.person.queue(name, *callbacks, **{**wish.changes(), **changes})
        finally:
            self.ledger.hear(self.person.messages)
            self.ledger.see(wish)
        self.ledger.check(name, wish, result, kept)

    def tried(self, name: str, wish: Wish, *callbacks: object, **changes: object) -> None:
        """Queues what may be canceled or fail."""
        try:
            self.queued(name, wish, *callbacks, **changes)
        except (Canceled, OSError, RuntimeError) as error:
            self.ledger.hear([str(error)])

    def killed(self, name: str, wish: Wish, *callbacks: Callback, moment: int = 0) -> None:
        """Queues in a process that dies, unless it has ended before."""
        said = self.folder / "said"

        def body() -> None:
            WriteMoments(moment).install()
            self.person.queue(name, *callbacks, **wish.changes())
            said.write_text("\n".join(self.person.messages))

        assert exit_code(forked(body)) in (0, 9, -9)
        self.ledger.hear([said.read_text()] if said.is_file() else [])
        self.ledger.see(wish, is_killed=True)

    @rule(name=NAMES, wish=WISHES)
    def queue(self, name: str, wish: Wish) -> None:
        """And wait."""
        self.queued(name, wish)

    @rule(name=NAMES, wish=WISHES, keep_last=st.integers(1, 2))
    def keep_few(self, name: str, wish: Wish, keep_last: int) -> None:
        """Retention: older steps of this run may go, nothing else."""
        self.queued(name, replace(wish, keep_last=keep_last))

    @rule(name=NAMES, wish=WISHES, phase=PHASES)
    def cancel_while(self, name: str, wish: Wish, phase: str) -> None:
        """Before training and in measures."""
        self.tried(name, wish, cancel_at=phase)

    @rule(name=NAMES, wish=WISHES, step=STEPS)
    def cancel_in_a_step(self, name: str, wish: Wish, step: int) -> None:
        """Also in its preview, which comes behind the save."""
        self.tried(name, wish, raising(step, Canceled()))

    @rule(name=NAMES, wish=WISHES, moment=MOMENTS)
    def interrupt_in_a_save(self, name: str, wish: Wish, moment: int) -> None:
        """Ctrl-C in the terminal."""
        with failing_write(moment, lambda path: Canceled()):
            self.tried(name, wish)

    @rule(name=NAMES, wish=WISHES, moment=MOMENTS)
    def write_fails_once(self, name: str, wish: Wish, moment: int) -> None:
        """The disk takes no more for a moment."""
        with failing_write(moment, lambda path: OSError(28, "No space left on device", str(path))):
            self.tried(name, wish)

    @rule(name=NAMES, wish=WISHES, moment=st.integers(1, 20))
    def read_fails_once(self, name: str, wish: Wish, moment: int) -> None:
        """A virus scanner has a file open."""
        with failing_read(moment):
            self.tried(name, wish)

    @rule(name=NAMES, wish=WISHES, file=st.sampled_from(FILES))
    def file_is_open(self, name: str, wish: Wish, file: str) -> None:
        """In another program, as on Windows: nobody else may write, replace or delete it."""
        with held(PermissionError(13, "Permission denied"), file.format(name=name)):
            self.tried(name, wish)

    @rule(name=NAMES, wish=WISHES, step=STEPS)
    def stop_and_keep(self, name: str, wish: Wish, step: int) -> None:
        """The button; the next queue trains the rest."""
        self.queued(name, wish, raising(step, StopTraining()))
        run_id = current_run(self.root(name))
        if run_id:
            folder = RunFolder(self.root(name), run_id)
            note_stop(folder, max(folder.states(), default=0))

    @rule(name=NAMES, wish=WISHES)
    def stay_stopped(self, name: str, wish: Wish) -> None:
        """`after_stop` is stay."""
        self.queued(name, wish, after_stop="stay")

    @rule(name=NAMES, wish=WISHES, step=STEPS, then=st.sampled_from([go_on, halve_rate, save_now, cancel, end_server]))
    def pause(self, name: str, wish: Wish, step: int, then: Callable[[RunControl], None]) -> None:
        """And do something meanwhile."""
        self.tried(name, wish, lambda saver: Pauses(saver, step, then))

    @precondition(lambda self: not (self.person.loras / "nora [2]").exists())
    @rule(wish=WISHES, step=STEPS)
    def rename_folder_while_paused(self, wish: Wish, step: int) -> None:
        """What is trained then is in a new one."""
        mira, nora = self.root("mira"), self.root("nora [2]")

        def act(control: RunControl) -> None:
            self.ledger.see(Wish())
            mira.rename(nora)
            self.ledger.move("mira", "nora [2]", is_copied=False)
            go_on(control)

        self.tried("mira", wish, lambda saver: Pauses(saver, step, act))

    @rule(name=NAMES, wish=WISHES, step=STEPS, what=st.sampled_from([".run", ".", ".run/current", "the run"]))
    def delete_while_paused(self, name: str, wish: Wish, step: int, what: str) -> None:
        """To free space."""

        def act(control: RunControl, saver: Saver) -> None:
            self.ledger.see(Wish())
            self.ledger.delete(saver.folder.private if what == "the run" else self.root(name) / what)
            go_on(control)

        self.tried(name, wish, lambda saver: Pauses(saver, step, lambda control: act(control, saver)))

    @rule(name=NAMES, wish=WISHES, step=STEPS, ahead=st.integers(0, 3), few=st.booleans())
    def put_a_foreign_lora_while_paused(self, name: str, wish: Wish, step: int, ahead: int, few: bool) -> None:
        """In place of the latest, or of a step that is still to come."""

        def act(control: RunControl, saver: Saver) -> None:
            self.ledger.see(Wish())
            path = saver.folder.step_lora(step + ahead) if ahead else saver.folder.latest_lora
            self.ledger.delete(path)
            save_lora(path, {"a": torch.full((1,), float(step))}, {"ss_session_id": "elsewhere"})
            self.ledger.add_foreign(path)
            go_on(control)

        wish = replace(wish, keep_last=1) if few else wish
        self.tried(name, wish, lambda saver: Pauses(saver, step, lambda control: act(control, saver)))

    @rule(name=NAMES, wish=WISHES)
    def go_on_with_other_data(self, name: str, wish: Wish) -> None:
        """`on_dataset_change` is continue."""
        self.queued(name, wish, on_dataset_change="continue")

    @rule(name=NAMES, wish=WISHES, step=STEPS)
    def kill(self, name: str, wish: Wish, step: int) -> None:
        """Behind a step."""
        self.killed(name, wish, Dies(step))

    @rule(name=NAMES, wish=WISHES, moment=MOMENTS)
    def kill_in_a_write(self, name: str, wish: Wish, moment: int) -> None:
        """In the middle of a file, before its flush, before its name."""
        self.killed(name, wish, moment=moment)

    @rule(name=NAMES)
    def pick(self, name: str) -> None:
        """The first saved step, in the strip."""
        run_id = current_run(self.root(name))
        if run_id and (steps := RunFolder(self.root(name), run_id).step_loras()):
            save_pick(RunFolder(self.root(name), run_id), min(steps))

    @rule(name=NAMES, damage=st.sampled_from(["", "gone", "unlink"]))
    def damage_marker(self, name: str, damage: str) -> None:
        """It is lost, empty or wrong."""
        marker = self.root(name) / ".run" / "current"
        if marker.is_file():
            marker.unlink() if damage == "unlink" else marker.write_text(damage)

    @rule(name=NAMES, index=st.integers(0, 3))
    def delete_a_lora(self, name: str, index: int) -> None:
        """In the file manager; only that copy is gone."""
        if (paths := self.ledger.visible(name)) and index < len(paths):
            self.ledger.delete(paths[index])

    @rule(name=NAMES, index=st.integers(0, 3))
    def rename_a_lora(self, name: str, index: int) -> None:
        """To keep it."""
        if (paths := self.ledger.visible(name)) and index < len(paths):
            self.num_renamed += 1
            paths[index].rename(paths[index].with_name(f"good {self.num_renamed}.safetensors"))

    @rule(name=NAMES, index=st.integers(0, 3), header=st.sampled_from([{}, {"ss_session_id": "elsewhere"}]))
    def put_a_foreign_lora(self, name: str, index: int, header: dict[str, str]) -> None:
        """In place of one that is there."""
        if (paths := self.ledger.visible(name)) and index < len(paths):
            source = load_lora(paths[index])
            self.ledger.delete(paths[index])
            save_lora(paths[index], {key: tensor * 2 for key, tensor in source.tensors.items()}, header)
            self.ledger.add_foreign(paths[index])

    @rule(name=NAMES)
    def edit_the_latest(self, name: str) -> None:
        """With a tool that keeps its header."""
        latest = self.root(name) / f"{name}.safetensors"
        if latest.is_file():
            source = load_lora(latest)
            self.ledger.delete(latest)
            save_lora(latest, source.tensors, {**source.metadata, "modelspec.description": "mine"})
            self.ledger.add_foreign(latest)

    @rule(name=NAMES)
    def delete_states(self, name: str) -> None:
        """They are the largest files."""
        for path in self.root(name).glob(".run/*/*.state"):
            path.unlink()

    @rule(name=NAMES, index=st.integers(0, 2))
    def delete_a_run(self, name: str, index: int) -> None:
        """One folder in `.run`."""
        if index < len(ids := sorted(run_ids(self.root(name)))):
            self.ledger.delete(RunFolder(self.root(name), ids[index]).private)

    @rule(name=NAMES, what=st.sampled_from([".run", "."]))
    def delete_folder(self, name: str, what: str) -> None:
        """`.run`, or all of the name."""
        self.ledger.delete(self.root(name) / what)

    @precondition(lambda self: not (self.person.loras / "nora [2]").exists())
    @rule(is_copied=st.booleans())
    def rename_or_copy_folder(self, is_copied: bool) -> None:
        """In the file manager."""
        mira, nora = self.root("mira"), self.root("nora [2]")
        if mira.exists():
            shutil.copytree(mira, nora) if is_copied else mira.rename(nora)
            self.ledger.move("mira", "nora [2]", is_copied=is_copied)

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.check_nothing_is_lost()

    @invariant()
    def what_is_there_is_whole(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.check_files_are_whole()


@pytest.mark.slow
@pytest.mark.usefixtures("quick_disk")
@pytest.mark.parametrize("part", PARTS)
def test_people(part):
    run_state_machine_as_test(
        seed(FIRST_SEED + part)(People),
        settings=settings(
            max_examples=NUM_SEQUENCES,
            stateful_step_count=12,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""The place of a run under its name while it trains: taken at its first save, and again where people disturb it.

People move, delete and replace files at any time, also between two saves of one session.
"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ..files.file_state import file_state
from ..loop.job import TrainState
from .aside import set_aside
from .folder import current_run
from .found import FoundRun
from .name import repair, take_name
from .record import RunRecord, save_record
from .untold import add_untold


class Place:
    """Where the files of one session go. Each method raises OSError if the disk refuses."""

    def __init__(self, found: FoundRun) -> None:
        self._folder = found.folder
        self._record = found.record
        self._is_taken = False
        self._written: dict[Path, str] = {}
        """LoRAs of this session as it left them, by `file_state`."""
        self._owes_rates = False
        self.told: tuple[str, ...] = ()
        """What taking the name moved, a sentence each."""
        self.trouble = ""
        """Why the run's record cannot be written now, a sentence; empty if it is right."""

    def is_gone(self) -> bool:
        """True if the run's folder was moved or deleted."""
        return not self._folder.record.is_file()

    def keep(self, state: TrainState) -> None:
        """Makes the run's folder again where it was moved or deleted, so that what follows is saved in full."""
        if self._owes_rates:
            self.change_rates(state)
        elif self.is_gone():
            self._write_record(state)

    def change_rates(self, state: TrainState) -> None:
        """Notes changes of the learning rate in the record, now or, if it cannot be written, at the next `keep`."""
        try:
            self._write_record(state)
        except OSError as error:
            self._owes_rates = True
            why = error.strerror or error
            self.trouble = f"the changed learning rate cannot be noted in {self._folder.record.name} now ({why})"

    def keep_rates(self, state: TrainState) -> None:
        """Before weights are saved that changed rates decided: the record says so."""
        if self._owes_rates:
            self._write_record(state)

    def _write_record(self, state: TrainState) -> None:
        is_gone = self.is_gone()
        save_record(self._folder.record, self._planned(state))
        self._owes_rates, self.trouble = False, ""
        if is_gone:
            gone = f"the run's folder in {self._folder.name} was moved or deleted while it trained"
            self.tell(add_untold(self._folder.root, [f"{gone}; it has a new one since step {state.step}"]))

    def take(self, state: TrainState) -> None:
        """Before the LoRA of a step and the latest are written: what lies there and is not the same gives way."""
        if self._is_taken and not self._is_disturbed(state.step):
            return
        if self._is_taken:
            repair(self._folder.root)  # what this session wrote is the run's, whatever became of the marker
        self.tell(take_name(self._folder))
        self.tell(set_aside(self._folder, self._planned(state), state.step))
        self._is_taken = True

    def _planned(self, state: TrainState) -> RunRecord:
        return replace(self._record, rate_changes=state.rate_changes)

    def wrote(self, path: Path) -> None:
        """A LoRA was written."""
        self._written[path] = file_state(path)

    def tell(self, sentences: Iterable[str]) -> None:
        """Adds what is to be told, each sentence once."""
        self.told = tuple(dict.fromkeys([*self.told, *sentences]))

    def _is_disturbed(self, step: int) -> bool:
        paths = (self._folder.step_lora(step), self._folder.latest_lora)
        is_owner = current_run(self._folder.root) == self._folder.run_id
        return not is_owner or any(file_state(path) not in ("", self._written.get(path)) for path in paths)

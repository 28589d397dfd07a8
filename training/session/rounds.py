"""Rounds of a character: train, draw, keep the good pictures, train further. Files on disk tell the current round.

```
<loras>/<name>_round_<n>/<name>_round_<n>.safetensors    what round n trained
<loras>/<name>_round_<n>/round.json                      what it was trained on: {"dataset": ..., "num_images": ...}
```

A round is over when it has a LoRA and the dataset has changed since it was trained.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from re import compile as regex

from ..files.atomic import patiently, write_text_atomic
from ..files.json_files import read_json
from ..run.folder import Unreadable
from ..run.naming import MAX_NAME_LENGTH, check_name, is_same_name, name_folder
from ..run.renamed import visible_latest

_ROUND = regex(r"(.+)_round_(\d+)")
_LONGEST_SUFFIX = len("_round_9999")
_NOTE = "round.json"


@dataclass(frozen=True, slots=True)
class RoundNote:
    """What a round is trained on."""

    dataset: str
    """Fingerprint of the dataset."""
    num_images: int


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a name, the first is 1."""

    loras: Path
    """Folder of all LoRAs."""
    base_name: str
    number: int

    @property
    def name(self) -> str:
        """Name of the LoRA that it trains."""
        return f"{self.base_name}_round_{self.number}"

    @property
    def root(self) -> Path:
        """Its folder."""
        return name_folder(self.loras, self.name)

    @property
    def lora(self) -> Path:
        """The LoRA that it trains, which has another name until the next queue where people renamed its folder."""
        return visible_latest(self.root) or self.root / f"{self.root.name}.safetensors"

    @property
    def note_path(self) -> Path:
        """File with the round's note."""
        return self.root / _NOTE

    @property
    def previous(self) -> "Round | None":
        """The round whose weights this one starts from, if it exists."""
        before = Round(self.loras, self.base_name, self.number - 1)
        return before if before.number >= 1 and before.lora.is_file() else None

    @property
    def note(self) -> RoundNote | None:
        """What it is trained on; None if that is not recorded.

        Raises:
            Unreadable: The record exists but the system refuses to read it now.
        """
        try:
            return RoundNote(**read_json(patiently(lambda: self.note_path.read_text(encoding="utf-8"))))
        except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
            return None
        except OSError as error:
            raise Unreadable(self.note_path, error) from error


def trained_rounds(loras: Path, base_name: str) -> list[Round]:
    """Rounds of a name that have a LoRA, in order."""
    matches = (_ROUND.fullmatch(path.name) for path in loras.glob("*_round_*"))
    numbers = sorted({int(match.group(2)) for match in matches if match and is_same_name(match.group(1), base_name)})
    rounds = (Round(loras, base_name, number) for number in numbers)
    return [one for one in rounds if one.lora.is_file()]


def rounds_up_to(loras: Path, name: str) -> list[Round]:
    """The rounds up to the one of this LoRA's name; empty if it is not the name of a round."""
    match = _ROUND.fullmatch(name)
    if match is None:
        return []
    return [one for one in trained_rounds(loras, match.group(1)) if one.number <= int(match.group(2))]


def rate_of_round(first_rate: float, factor: float, number: int) -> float:
    """Learning rate of a round, counted from 1: the previous round's times the factor."""
    return first_rate * factor ** (number - 1)


def open_round(loras: Path, base_name: str, note: RoundNote, *earlier: RoundNote) -> Round:
    """The round to train with this dataset: the last one while its dataset is the same, else the next one.

    `earlier`: what earlier versions noted of the same dataset.

    Raises:
        ValueError: The name is not a valid folder name, or too long with the round's suffix.
    """
    check_name(base_name)
    if len(base_name) + _LONGEST_SUFFIX > MAX_NAME_LENGTH:
        raise ValueError(f"name must have at most {MAX_NAME_LENGTH - _LONGEST_SUFFIX} characters, got {base_name!r}")
    rounds = trained_rounds(loras, base_name)
    if not rounds:
        current = Round(loras, base_name, 1)
    elif rounds[-1].note in (note, *earlier):
        current = rounds[-1]
    else:
        current = Round(loras, base_name, rounds[-1].number + 1)
    if current.note != note:
        write_text_atomic(current.note_path, json.dumps(asdict(note)) + "\n")
    return current

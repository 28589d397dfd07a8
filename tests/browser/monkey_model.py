"""What should be in the folders of datasets, of a run and of a comparison, whoever has written there in which order."""

import copy
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

from pack.training.data.tags import TagEdits, edit_captions

WORDS = ("fox", "cat", "day", "night", "hat")


@dataclass
class Picture:
    """An image of a folder."""

    caption: str
    is_excluded: bool = False
    mark: str | None = None


Pictures = dict[str, Picture]
"""By stem."""


@dataclass
class Edit:
    """What takes a change back: of these pictures, `what` was `before` and has been `after` since."""

    what: str
    before: dict[str, object]
    after: dict[str, object]
    excluded: dict[str, bool]
    """Names say whether a picture is left out; one that has another name now is not found any more."""
    is_insisted: bool = False
    """It was refused once, since another one has changed the same; now it is done all the same."""

    def take_back(self, pictures: Pictures) -> str:
        """Do it if it can be done: `done`; `late` where another one has changed the same; `gone` if it is missing."""
        if any(stem not in pictures or pictures[stem].is_excluded != is_out for stem, is_out in self.excluded.items()):
            return "gone"
        if self.what == "added":
            for stem in self.before:
                del pictures[stem]
            return "done"
        if not self.is_insisted and any(getattr(pictures[s], self.what) != value for s, value in self.after.items()):
            self.is_insisted = True
            return "late"
        for stem, value in self.before.items():
            setattr(pictures[stem], self.what, value)
        return "done"


def change(pictures: Pictures, what: str, values: dict[str, object]) -> Edit:
    """Change pictures; returns what takes it back."""
    before = {stem: getattr(pictures[stem], what) for stem in values}
    for stem, value in values.items():
        setattr(pictures[stem], what, value)
    return Edit(what, before, values, {stem: pictures[stem].is_excluded for stem in values})


def add(pictures: Pictures, stem: str, caption: str) -> list[Edit]:
    """Add a picture and its caption, as a drop does."""
    pictures[stem] = Picture("")
    written = change(pictures, "caption", {stem: caption})
    return [written, Edit("added", {stem: None}, {}, {stem: False})]


def renamed(pictures: Pictures, old: str, new: str) -> dict[str, object]:
    """Captions that change where a tag is renamed everywhere, by the rule of the tags' own module."""
    trained = {stem: picture.caption for stem, picture in pictures.items() if not picture.is_excluded}
    after = edit_captions(list(trained.values()), TagEdits(replace=((old, new),)))
    return {stem: text for (stem, was), text in zip(trained.items(), after, strict=True) if text != was}


@dataclass
class World:
    """What all tabs and other programs share."""

    folders: dict[str, Pictures]
    pick: int | None = None
    votes: list[list[int]] = field(default_factory=list)
    choice: int | None = None
    num_added: int = 0
    num_texts: int = 0

    def text(self, draw: random.Random) -> str:
        """A caption that nothing else has."""
        self.num_texts += 1
        return f"{', '.join(draw.sample(WORDS, 2))}, typed {self.num_texts}"

    def new_stem(self) -> str:
        """Of a picture to add."""
        self.num_added += 1
        return f"new{self.num_added:04d}"

    def look(self, folder: str) -> Pictures:
        """A copy, as a page has it that has just read the folder."""
        return copy.deepcopy(self.folders[folder])


def on_disk(folder: Path) -> Pictures:
    """Pictures of a folder, as the files say."""
    marks = json.loads((folder / "marks.json").read_text()) if (folder / "marks.json").exists() else {}
    by_name = {name: mark for mark, names in marks.items() for name in names}
    found = {}
    for place, is_excluded in ((folder, False), (folder / ".excluded", True)):
        for path in place.glob("*.png"):
            caption = path.with_suffix(".txt").read_text()
            found[path.stem] = Picture(caption, is_excluded, by_name.get(path.name))
    return found

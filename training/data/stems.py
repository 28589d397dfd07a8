"""Which pictures of a folder share a stem, and with it a caption file or a mask.

Each folder is listed once, however many of its pictures are asked for or moved.
"""

import os
from itertools import count
from pathlib import Path

from .beside import stem_of_masked
from .images import image_extensions


class Stems:
    """The pictures of folders by stem, for one edit during which nothing else moves them.

    Whoever moves or adds a picture says so with `moved` and `added`.
    """

    def __init__(self) -> None:
        self._extensions = image_extensions()
        self._sharing: dict[Path, dict[str, set[str]]] = {}
        self._masks: dict[Path, dict[str, set[str]]] = {}
        self._numbers: dict[tuple[Path, str], int] = {}

    def sharing(self, image: Path) -> list[Path]:
        """The image and others beside it that share its caption file."""
        self._list(image.parent)
        return [image.parent / name for name in sorted(self._sharing[image.parent].get(image.stem, ()))]

    def with_masks(self, image: Path) -> list[Path]:
        """The same, and the pictures beside it that are named like its mask."""
        masks = [image.parent / name for name in self._masks_of(image.parent).get(image.stem, ())]
        return sorted({*self.sharing(image), *masks})

    def moved(self, image: Path, target: Path) -> None:
        """Note that a picture is elsewhere now."""
        self._list(image.parent)
        for names in (self._sharing[image.parent].get(image.stem), self._masks_of(image.parent).get(_owner(image))):
            if names:
                names.discard(image.name)
        self.added(target)

    def added(self, image: Path) -> None:
        """Note that a picture is there now."""
        self._list(image.parent)
        self._note(image.parent, image.name)

    def free_path(self, folder: Path, name: str, endings: tuple[str, ...]) -> Path:
        """A path with that name, or with a number added, whose stem no image or file with one of `endings` has."""
        stem, suffix = Path(name).stem, Path(name).suffix.lower()
        for number in count(self._numbers.get((folder, name), 1)):
            path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
            if not (path.exists() or self.sharing(path) or any(path.with_suffix(end).exists() for end in endings)):
                self._numbers[folder, name] = number
                return path
        raise AssertionError("numbers do not end")

    def _masks_of(self, folder: Path) -> dict[str, set[str]]:
        self._list(folder)
        return self._masks[folder]

    def _list(self, folder: Path) -> None:
        if folder in self._sharing:
            return
        self._sharing[folder], self._masks[folder] = {}, {}
        try:
            with os.scandir(folder) as found:
                names = [entry.name for entry in found]
        except (OSError, ValueError):  # not there yet, or no name of a folder
            return
        for name in names:
            self._note(folder, name)

    def _note(self, folder: Path, name: str) -> None:
        path = Path(name)
        if path.suffix.lower() in self._extensions:
            self._sharing[folder].setdefault(path.stem, set()).add(name)
            self._masks[folder].setdefault(_owner(path), set()).add(name)


def _owner(path: Path) -> str:
    """Stem of the picture whose mask this is by its name; empty if it is none's."""
    return stem_of_masked(path.stem) or ""

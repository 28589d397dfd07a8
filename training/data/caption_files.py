"""The caption of an image as Load Dataset reads it, the file to edit for it, and a version of its content."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from re import compile as regex

from .images import hash_bytes, image_extensions
from .sidecars import CAPTION_EXTENSIONS, caption_path, caption_suffixes, decoded, metadata_key, read_metadata

EXTENSION = regex(r"\.[\w-]{1,20}", re.ASCII)
NOT_CAPTIONS = frozenset({".json", ".jsonl", ".safetensors"})


@dataclass(frozen=True, slots=True)
class CaptionRules:
    """Which text an image is trained with, as in `scan_folder`: from `metadata`, else from the file beside it."""

    extension: str = CAPTION_EXTENSIONS[0]
    metadata: Path | None = None

    def __post_init__(self) -> None:
        first = self.suffixes[0].lower()
        if not EXTENSION.fullmatch(first) or first in image_extensions() | NOT_CAPTIONS:
            raise ValueError(f"caption_extension must be an ending of text files like '.txt', got {self.extension!r}")

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of caption files, in order of precedence."""
        return caption_suffixes(self.extension)


DEFAULT_RULES = CaptionRules()


@dataclass(frozen=True, slots=True)
class Caption:
    """The caption of an image."""

    text: str
    """Its lines as they are trained; empty without a caption."""
    raw: str
    """The file's text, without byte order mark."""
    path: Path
    """The file that is read, or would be created."""
    version: str
    """Changes whenever the file's content changes, another file is read, or the file is created or deleted."""
    problem: str = ""
    """Why the file cannot be read; training refuses it too."""
    metadata: str = ""
    """Name of the metadata file that the text is from; the file beside the image is then ignored."""


@dataclass(frozen=True, slots=True)
class CaptionReader:
    """Reads the captions of one folder; unchanged files are not read twice."""

    folder: Path
    rules: CaptionRules = DEFAULT_RULES
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Lines by `metadata_key`."""
    problem: str = ""
    """Why the metadata file cannot be read."""

    @classmethod
    def of(cls, folder: Path, rules: CaptionRules) -> "CaptionReader":
        """A reader that has read the metadata file, or reports why it could not."""
        if rules.metadata is None:
            return cls(folder, rules)
        try:
            return cls(folder, rules, read_metadata(rules.metadata))
        except ValueError as error:
            return cls(folder, rules, problem=str(error))
        except OSError as error:
            return cls(folder, rules, problem=f"{rules.metadata.name}: {error.strerror}")

    def read(self, image: Path) -> Caption:
        """The caption of an image of the folder."""
        lines = self.known.get(metadata_key(image, self.folder))
        if lines and self.rules.metadata:
            text = "\n".join(lines)
            return Caption(text, text, self.path_of(image), "metadata", metadata=self.rules.metadata.name)
        path = self.path_of(image)
        name = path.relative_to(self.folder).as_posix()
        try:
            stat = path.stat()
            data = _read_bytes(path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
        except FileNotFoundError:
            return Caption("", "", path, _version(self.folder, name, None))
        except OSError as error:
            return Caption("", "", path, _version(self.folder, name, None), f"{path.name}: {error.strerror}")
        version = _version(self.folder, name, data)
        try:
            raw = decoded(data, path.name)
        except ValueError as error:
            return Caption("", "", path, version, str(error))
        lines = (line.strip() for line in raw.splitlines())
        return Caption("\n".join(line for line in lines if line), raw, path, version)

    def path_of(self, image: Path) -> Path:
        """The caption file that is read, or else the one to create."""
        return caption_path(image, self.rules.extension) or image.with_suffix(self.rules.suffixes[0])


@lru_cache(maxsize=100_000)
def _read_bytes(path: Path, mtime_ns: int, ctime_ns: int, size: int) -> bytes:
    # Copying and syncing tools restore the modification time; the change time cannot be set.
    return path.read_bytes()


def _version(folder: Path, name: str, data: bytes | None) -> str:
    # includes the folder's path, so that versions of two folders never match
    return hash_bytes(f"{folder.absolute()}\n{name}\n{data is None}\n".encode() + (data or b""))

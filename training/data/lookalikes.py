"""Reports pictures that are trained although their names or folders suggest that they are meant for something else."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from re import IGNORECASE
from re import compile as regex

from .images import ImageFacts
from .leftovers import counted

_CONDITION = regex(r"(.+)-condlabel")
"""OneTrainer's pictures to condition on, beside those that they belong to."""
_CONTROL = regex(
    r"(.+)[-_. ](?:alpha|matte|trimap|seg|segmentation|depth|canny|edges?|normals?|pose|openpose|lineart|scribble|"
    r"sketch|hed|softedge|control|cond|condition)",
    IGNORECASE,
)
"""What programs for control images and cut-outs append to a picture's name."""
_ALMOST_NUMBERED = regex(r"(?!\d+_.)[-+]?\d{1,3}(?:[.,]\d+)?\s*[-x_ ].*", IGNORECASE)
"""Folders that look like kohya's `10_name` but are not."""
_NUMBERED = regex(r"\d+_.+")
_REGULARIZATION = regex(
    r"(?:\d+_)?(?:regs?|regulari[sz]ation|class)(?:[ _-](?:images?|pictures?|data|dir))?", IGNORECASE
)


def lookalike_notes(
    folder: Path, facts: Mapping[Path, ImageFacts], captioned: Collection[Path], marked: Collection[Path]
) -> list[str]:
    """A line for each kind, of the pictures with these facts.

    `captioned` have captions of their own, `marked` are for regularization or validation.
    """
    pictures = list(facts)
    others = [path for path in pictures if path not in marked and _is_in_regularization(path, folder)]
    plain = [path for path in pictures if not _is_in_regularization(path, folder)]
    found: Mapping[str, Sequence[Path]] = {
        "trained as the others although their folder is named like regularization images; load it by a Load Dataset of "
        "its own with is_regularization, or mark them in the gallery": others,
        "trained although they have no captions and the names of pictures in another folder, as masks and control "
        "images do; give masks as mask_folder, move others out": _mirrored(plain, captioned),
        "trained although they are OneTrainer's images to condition on; move them out": _conditions(pictures),
        "trained although they have no captions and the names of control images or cut-outs of pictures beside them; "
        "move them out": _controls(pictures, captioned),
        "repeated without the number of their folder, which is not written as in 10_name": _almost_numbered(
            pictures, folder
        ),
        "with the name, and so the caption file, of another picture beside them": _same_stem(pictures),
        "with several frames, of which the first is trained": [path for path in pictures if facts[path].num_frames > 1],
    }
    return [
        f"pictures {text}: {counted([path.relative_to(folder).as_posix() for path in paths])}"
        for text, paths in found.items()
        if paths
    ]


def _is_in_regularization(path: Path, folder: Path) -> bool:
    return any(_REGULARIZATION.fullmatch(part) for part in path.relative_to(folder).parts[:-1])


def _mirrored(pictures: Sequence[Path], captioned: Collection[Path]) -> list[Path]:
    """Pictures of folders without captions whose names all occur in another folder, which has captions."""
    folders: dict[Path, list[Path]] = {}
    for path in pictures:
        folders.setdefault(path.parent, []).append(path)
    with_captions = {path.parent for path in captioned}
    stems = [{path.stem for path in paths} for parent, paths in folders.items() if parent in with_captions]
    without = [paths for parent, paths in folders.items() if parent not in with_captions]
    alike = [paths for paths in without if any({path.stem for path in paths} <= others for others in stems)]
    return [path for paths in alike for path in paths]


def _conditions(pictures: Sequence[Path]) -> list[Path]:
    stems = {path.with_suffix("") for path in pictures}
    matches = ((path, _CONDITION.fullmatch(path.stem)) for path in pictures)
    return [path for path, match in matches if match and path.with_name(match[1]) in stems]


def _controls(pictures: Sequence[Path], captioned: Collection[Path]) -> list[Path]:
    stems = {path.with_suffix("") for path in captioned}
    matches = ((path, _CONTROL.fullmatch(path.stem)) for path in pictures if path not in captioned)
    return [path for path, match in matches if match and path.with_name(match[1]) in stems]


def _almost_numbered(pictures: Sequence[Path], folder: Path) -> list[Path]:
    def is_one(path: Path) -> bool:
        parts = (folder.name, *path.relative_to(folder).parts[:-1])
        is_numbered = any(_NUMBERED.fullmatch(part) for part in parts)
        return not is_numbered and any(_ALMOST_NUMBERED.fullmatch(part) for part in parts)

    return [path for path in pictures if is_one(path)]


def _same_stem(pictures: Sequence[Path]) -> list[Path]:
    first: dict[Path, Path] = {}
    return [path for path in pictures if first.setdefault(path.with_suffix(""), path) != path]

"""LoRAs of a name whose folder people renamed or copied: the files in it have the name from before."""

from pathlib import Path

from ..files.atomic import write_text_atomic
from .aside import header, move_file
from .folder import RunFolder, read_note, run_ids, split_name
from .name import written_by
from .naming import is_same_name

NAME_FILE = "name"
NAME_KEY = "ss_output_name"
"""The name that a LoRA was written under."""


def adopt_files(root: Path) -> str:
    """Names the LoRAs of runs after their folder again, where people renamed or copied it; returns a sentence.

    A file that has another name than its folder had was renamed by itself, to keep it, and stays.
    """
    note = root / ".run" / NAME_FILE
    was = read_note(note)
    if was == root.name:
        return ""
    ids, before = run_ids(root), set[str]()
    for folder in (root, *(RunFolder(root, run_id).private for run_id in ids)):
        for path in sorted(folder.glob("*.safetensors")):
            name, step = split_name(path)
            target = folder / f"{root.name}{step}.safetensors"
            if is_same_name(name, root.name) or target.exists() or written_by(path, ids) is None:
                continue
            named = was or _named(path)
            if is_same_name(name, named) and move_file(path, target):
                before.add(name)
    write_text_atomic(note, root.name)
    if not before:
        return ""
    return f"files named after {', '.join(sorted(before))} were renamed after their folder, {root.name}"


def visible_latest(root: Path) -> Path | None:
    """The latest LoRA under a name, also where people renamed or copied the folder and queued nothing since."""
    own = root / f"{root.name}.safetensors"
    if own.is_file() or not root.is_dir():
        return own if own.is_file() else None
    was = read_note(root / ".run" / NAME_FILE)
    loras = (path for path in sorted(root.glob("*.safetensors")) if split_name(path)[1] == "")
    return next((path for path in loras if path.stem == (was or _named(path))), None)


def _named(path: Path) -> str:
    """The name that a LoRA was written under; empty if its header does not say."""
    return header(path).get(NAME_KEY, "")

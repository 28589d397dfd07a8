"""What Train nodes gave out in this process, so that the host notices where it no longer lies on the disk.

The host keeps a node's result while its inputs are the same, with some of its caches also that of older queues. But a
run's folder may have been deleted since, or another run may have taken its name.
"""

from pathlib import Path

from ....training.run.folder import RunFolder, current_run

_given: dict[Path, RunFolder] = {}
_changes: dict[Path, int] = {}
"""By the folder of a name: how often what was given out gave way to another run, or was found gone."""


def note_given(folder: RunFolder) -> None:
    """Notes that this run's LoRA was given out, as the newest of its name."""
    before = _given.get(folder.root)
    if before is not None and before.run_id != folder.run_id:
        _count(folder.root)
    _given[folder.root] = folder


def given_state(root: Path | None) -> str:
    """Changes once what was given out under a name (None: any name) is deleted or replaced; for `fingerprint_inputs`.

    Empty until that happens, so that a graph queued twice runs once.
    """
    roots = sorted(_given) if root is None else [root]
    for name in roots:
        folder = _given.get(name)
        if folder is not None and not (folder.latest_lora.is_file() and current_run(name) == folder.run_id):
            del _given[name]
            _count(name)
    return repr([(name.name, _changes[name]) for name in sorted(_changes) if root in (None, name)])


def _count(root: Path) -> None:
    _changes[root] = _changes.get(root, 0) + 1

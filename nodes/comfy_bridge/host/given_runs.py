"""The results of Train nodes in this process, so that the host notices when they are no longer on disk.

The host caches a node's result while its inputs are the same; some of its caches also keep those of older queues. But a
run's folder may have been deleted since, or another run may have taken its name.
"""

from pathlib import Path

from ....training.run.folder import RunFolder, current_run

_given: dict[Path, RunFolder] = {}
_changes: dict[Path, int] = {}
"""By a name's folder: how often its result was replaced by another run, or found deleted."""


def note_given(folder: RunFolder) -> None:
    """Record that this run's LoRA was output, as the newest of its name."""
    before = _given.get(folder.root)
    if before is not None and before.run_id != folder.run_id:
        _count(folder.root)
    _given[folder.root] = folder


def given_state(root: Path | None) -> str:
    """Changes once the output under a name (None: any name) was deleted or replaced; for `fingerprint_inputs`.

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

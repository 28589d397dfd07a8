"""Training state on disk: one safetensors file, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

Groups = dict[str, dict[str, Tensor]]


def save_state(path: Path, step: int, groups: Groups) -> None:
    """Writes named groups of tensors and the step count; an older file stays until the new one is complete."""
    flat = {f"{group}/{key}": t.detach().contiguous() for group, ts in groups.items() for key, t in ts.items()}
    write_atomically(path, flat, {"step": str(step)})


def load_state(path: Path) -> tuple[int, Groups] | None:
    """The step count and the groups, or None when there is no file."""
    if not path.exists():
        return None
    groups: Groups = {}
    with safe_open(path, "pt") as file:
        step = int(file.metadata()["step"])
        for name in file.keys():  # noqa: SIM118 - not a dict
            group, key = name.split("/", 1)
            groups.setdefault(group, {})[key] = file.get_tensor(name)
    return step, groups


def write_atomically(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Saves to a temporary file beside `path`, flushes it to disk, then renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata=metadata)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)

"""Keeps the folder of cached latents from growing without end."""

from pathlib import Path

MAX_BYTES = 10 * 2**30
"""About 160,000 latents of 1024 x 1024 pictures."""


def limit_cache(folder: Path, max_bytes: int = MAX_BYTES) -> int:
    """Deletes the cached files written longest ago until the rest fits; returns the number deleted."""
    found = [(path, path.stat()) for path in folder.glob("*/*.safetensors")]
    total = sum(stat.st_size for _, stat in found)
    deleted = 0
    for path, stat in sorted(found, key=lambda entry: entry[1].st_mtime_ns):
        if total <= max_bytes:
            break
        path.unlink(missing_ok=True)
        total -= stat.st_size
        deleted += 1
    return deleted

"""Limits the size of the folder of cached latents."""

from pathlib import Path

MAX_BYTES = 10 * 2**30
"""About 160,000 latents of 1024 x 1024 pictures."""


def limit_cache(folder: Path, max_bytes: int = MAX_BYTES) -> int:
    """Delete the oldest cached files until the rest fits; return how many were deleted."""
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

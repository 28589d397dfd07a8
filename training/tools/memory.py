"""The peak memory of this process."""

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def peak_memory_mib() -> float | None:
    """Largest resident size of this program so far in MiB; None on systems without that figure (Windows)."""
    if _STATUS.exists():
        # On Linux, getrusage's peak is inherited from the parent: the child of a large process would report 0.
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
        return int(found[1]) / (1 << 10) if found else None
    try:
        resource: Any = import_module("resource")
    except ModuleNotFoundError:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)

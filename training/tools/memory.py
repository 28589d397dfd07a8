"""How much memory this process has used at most."""

import importlib
import re
import sys
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def peak_memory_mib() -> float | None:
    """Largest resident size of this program so far in MiB; None on systems without that count (Windows)."""
    if _STATUS.exists():
        # Linux alone hands getrusage's peak on from a parent to what it starts: a child of a large one would be 0.
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
        return int(found[1]) / (1 << 10) if found else None
    try:
        resource: Any = importlib.import_module("resource")
    except ModuleNotFoundError:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)

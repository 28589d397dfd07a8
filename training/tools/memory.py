"""How much memory this process has used at most."""

import importlib
import sys
from typing import Any


def peak_memory_mib() -> float | None:
    """Largest resident size so far in MiB; None on systems without that count (Windows)."""
    try:
        resource: Any = importlib.import_module("resource")
    except ModuleNotFoundError:
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / (1 << 20) if sys.platform == "darwin" else peak / (1 << 10)

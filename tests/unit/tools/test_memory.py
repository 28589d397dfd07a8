"""The memory that the tools print is their own."""

import subprocess
import sys

from pack.tests.support.paths import ROOT
from pack.training.tools.memory import peak_memory_mib


def test_a_large_parent_does_not_count():
    """A child's `getrusage` begins with its parent's peak on Linux, so nothing it does would show below that."""
    large = bytearray(300 << 20)
    large[::4096] = b"x" * len(large[::4096])
    code = "from training.tools.memory import peak_memory_mib; print(peak_memory_mib())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    own = peak_memory_mib()
    if own is None:
        assert done.stdout.strip() == "None"
    else:
        assert own > 300
        assert float(done.stdout) < own - 250, "the child does without torch's and the buffer's memory"


def test_what_is_used_shows():
    before = peak_memory_mib()
    if before is not None:
        size_mib = int(before) + 100
        large = bytearray(size_mib << 20)
        large[::4096] = b"x" * len(large[::4096])
        after = peak_memory_mib()
        assert after is not None
        assert after > size_mib

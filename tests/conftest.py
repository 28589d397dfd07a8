"""Makes the pack importable as `pack`, fixes threads and seeds, orders the tests from quick to slow.

ComfyUI loads the pack's root as a package, so the root has an `__init__.py`; pytest would import that outside any
package and fail. Tests therefore import everything through the module `pack` (`from pack.training.loss import ...`,
`from pack.tests.support.server import ...`), and the root itself leaves `sys.path`, where our `nodes/` would hide
ComfyUI's `nodes.py`.
"""

import os
import random
import runpy
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NUM_THREADS = int(os.environ.get("LORA_BAKERY_THREADS", "2"))
for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, str(NUM_THREADS))


runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from pack.tests.support.fixtures import (  # noqa: E402, F401
    browser,
    comfy,
    comfy_page,
    comfy_server,
    pocket_checkpoint,
    tiny_sd15,
    tiny_sdxl,
)

torch.set_num_threads(NUM_THREADS)

LEVELS = ("comfy", "server", "browser")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what needs no ComfyUI first, then in-process, server and browser tests."""

    def level(item: pytest.Item) -> int:
        return max((LEVELS.index(mark.name) + 1 for mark in item.iter_markers() if mark.name in LEVELS), default=0)

    items.sort(key=level)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same global random state, though the pack itself must not read it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not flushed to the disk: for tests that write many and end no process."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)

"""Makes the pack importable as `pack`, fixes threads and seeds, gives every test an idle server.

ComfyUI loads the pack's root as a package, so the root has an `__init__.py`; pytest would import that outside any
package and fail. Tests therefore import everything through the module `pack` (`from pack.training.loss import ...`,
`from pack.tests.support.server import ...`), and the root itself leaves `sys.path`, where our `nodes/` would hide
ComfyUI's `nodes.py`.
"""

import asyncio
import os
import random
import runpy
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NUM_THREADS = int(os.environ.get("LORA_BAKERY_THREADS", "1"))
"""One: the suite runs a process a core, and threads that spin while they wait make a busy machine ten times slower."""
QUIET = {"OMP_NUM_THREADS": str(NUM_THREADS), "MKL_NUM_THREADS": str(NUM_THREADS), "OMP_WAIT_POLICY": "PASSIVE"}
for variable, value in QUIET.items():
    os.environ.setdefault(variable, value)


runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from pack.tests.support.fixtures import (  # noqa: E402, F401
    _empty_folders,
    chromium,
    comfy,
    comfy_server,
    pocket_checkpoint,
    tiny_sd15,
    tiny_sdxl,
)
from pack.tests.support.hooks import (  # noqa: E402, F401
    pytest_addoption,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_makereport,
    pytest_xdist_make_scheduler,
)
from pack.tests.support.idle import make_idle  # noqa: E402
from pack.tests.support.like_windows import REFUSED_THERE, like_windows  # noqa: E402
from pack.tests.support.server import ComfyServer  # noqa: E402

torch.set_num_threads(NUM_THREADS)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Start every test from the same global random state, though the pack itself must not read it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_running_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    """Playwright leaves its event loop running between calls; ComfyUI in this process starts one of its own."""
    loop = None if request.node.get_closest_marker("browser") else asyncio._get_running_loop()
    if loop is not None:
        asyncio._set_running_loop(None)
    yield
    if loop is not None:
        asyncio._set_running_loop(loop)


@pytest.fixture(autouse=True)
def _idle_servers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Start every test on idle servers and leave them idle; what had to be done for it is a warning."""
    names = [name for name in ("comfy_server", "server") if name in request.fixturenames]
    servers = [found for name in names if isinstance(found := request.getfixturevalue(name), ComfyServer)]

    def settle(when: str) -> None:
        for server in servers:
            if said := make_idle(server):
                request.node.warn(pytest.PytestWarning(f"{when} this test {said}"))

    settle("before")
    yield
    settle("after")


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are not flushed to the disk: for tests that write many and end no process."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


@pytest.fixture(autouse=True)
def _like_windows(request: pytest.FixtureRequest) -> Iterator[None]:
    """With --like-windows, files in use are as on Windows."""
    if not request.config.getoption("--like-windows"):
        yield
        return
    if request.path.stem in REFUSED_THERE:
        pytest.skip("Windows refuses what people do in these tests")
    with pytest.MonkeyPatch.context() as patch:
        like_windows(patch)
        yield

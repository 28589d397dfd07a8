"""Pytest fixtures that give tests a ComfyUI: in this process, as a server, and checkpoints for both.

Where ComfyUI or Chromium is missing, tests that need it are skipped; with LORA_BAKERY_REQUIRE_HOST=1 (set by dev.py) or
LORA_BAKERY_REQUIRE_CHROMIUM=1 (set by dev.py in CI) they fail.
"""

import gc
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import pytest

from .idle import empty, empty_folders
from .inprocess import HostModules, import_comfyui
from .links import link_folder
from .pages import page_arguments
from .paths import POCKET_CHECKPOINT, ROOT, comfyui_folder
from .server import ComfyServer, end_on_sigterm, make_base_folder

SHARED: list[ComfyServer] = []
"""The server that tests of this process share, once one has asked for it."""
IN_PROCESS: list[HostModules] = []
"""ComfyUI in this process, once a test has asked for it."""


def give_up(what: str, reason: str) -> NoReturn:
    """Skip the test for want of the host or of Chromium; fail it where that must be there."""
    if os.environ.get(f"LORA_BAKERY_REQUIRE_{what}") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def comfyui_or_give_up() -> Path:
    """The ComfyUI to test with; without one the test is skipped, or fails where it must be there."""
    folder = comfyui_folder()
    if folder is None:
        give_up("HOST", "needs ComfyUI: run `python dev.py test` once, or set COMFYUI_PATH")
    return folder


def import_for_tests(tmp_path_factory: pytest.TempPathFactory, extra: Sequence[tuple[str, Any]] = ()) -> HostModules:
    """Import ComfyUI into this process, with folders of its own and short text encoders."""
    host = import_comfyui(comfyui_or_give_up(), tmp_path_factory.mktemp("comfyui"), extra)
    from .host_nodes import load_short_text_encoders

    load_short_text_encoders()
    freeze()
    return host


def freeze() -> None:
    """Take what is there now as there for good: searching it again and again takes a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def comfy(tmp_path_factory: pytest.TempPathFactory) -> HostModules:
    """ComfyUI in this process, with three layers of every text encoder; mark the test `comfy`."""
    IN_PROCESS.append(import_for_tests(tmp_path_factory))
    return IN_PROCESS[0]


def link_test_nodes(base: Path) -> None:
    """Give a server the nodes of host_nodes, and with them short text encoders."""
    (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
    link_folder(base / "custom_nodes" / "test_nodes", ROOT / "tests" / "support" / "host_nodes")


@pytest.fixture(scope="session")
def comfy_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComfyServer]:
    """A running ComfyUI server with the pack and the nodes of host_nodes, shared by all tests; mark the test `server`.

    Results are kept whatever memory is left (`--cache-classic`), as tests of what is executed again count on.
    """
    end_on_sigterm()
    base = tmp_path_factory.mktemp("server")
    make_base_folder(base)
    link_test_nodes(base)
    server = ComfyServer(comfyui_or_give_up(), base, extra_args=["--cache-classic", *page_arguments()])
    try:
        server.start()
        SHARED.append(server)
        yield server
    finally:
        SHARED.clear()
        server.stop()


@pytest.fixture(scope="module", autouse=True)
def _empty_folders() -> None:
    """Start every file of tests on a ComfyUI whose folders are empty, be it in this process or the shared server."""
    for host in IN_PROCESS:
        empty_folders(host.base)
        host.module("folder_paths").filename_list_cache.clear()
    for server in SHARED:
        empty(server)


@pytest.fixture(scope="session")
def pocket_checkpoint() -> Path:
    """The pocket model, an SD1.5 checkpoint that knows a small world; `pocket.safetensors` to the server's loader."""
    from ...workbench.pocket.assemble import assemble

    POCKET_CHECKPOINT.parent.mkdir(parents=True, exist_ok=True)
    return assemble(POCKET_CHECKPOINT)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, started again if it dies; mark the test `browser`."""
    from .browser import find_chromium, launch_chromium

    path = find_chromium()
    if path is None:
        give_up("CHROMIUM", "needs Chromium: install it, or run `python -m playwright install chromium` in .venv")
    with launch_chromium(path) as launched:
        yield launched


@pytest.fixture(scope="session")
def tiny_sd15(comfy: HostModules) -> Path:
    """Checkpoint with random weights, which the host of these tests loads (`load_short_text_encoders`)."""
    from .tiny_models import tiny_sd15_path

    return tiny_sd15_path()


@pytest.fixture(scope="session")
def tiny_sdxl(comfy: HostModules) -> Path:
    """Checkpoint with random weights, which the host of these tests loads (`load_short_text_encoders`)."""
    from .tiny_models import tiny_sdxl_path

    return tiny_sdxl_path()

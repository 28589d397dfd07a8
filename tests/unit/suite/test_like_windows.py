"""With --like-windows, a file that is open or mapped cannot be replaced, moved or deleted, as on Windows."""

import mmap
import os
import shutil

import pytest
import torch
from pack.tests.support.like_windows import CAN_TELL, like_windows
from safetensors import safe_open
from safetensors.torch import save_file

pytestmark = pytest.mark.skipif(not CAN_TELL, reason="needs /proc, where Linux tells what is open")


@pytest.fixture
def file(tmp_path, monkeypatch):
    (tmp_path / "used").mkdir()
    save_file({"a": torch.zeros(9)}, tmp_path / "used" / "file.safetensors")
    (tmp_path / "new").write_text("new")
    like_windows(monkeypatch)
    return tmp_path / "used" / "file.safetensors"


ACTS = {
    "replaced": lambda path: (path.parents[1] / "new").replace(path),
    "moved": lambda path: path.rename(path.with_name("other")),
    "deleted": lambda path: path.unlink(),
    "removed": lambda path: os.remove(path),  # noqa: PTH107
    "its folder moved": lambda path: path.parent.rename(path.parents[1] / "elsewhere"),
    "its folder deleted": lambda path: shutil.rmtree(path.parent),
}


@pytest.mark.parametrize("act", ACTS)
def test_not_while_it_is_open_or_mapped_and_freely_afterwards(file, act):
    with file.open("rb") as opened:
        with pytest.raises(PermissionError):
            ACTS[act](file)
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    with pytest.raises(PermissionError):
        ACTS[act](file)
    mapped.close()
    with safe_open(file, "pt"), pytest.raises(PermissionError):
        ACTS[act](file)
    ACTS[act](file)

"""Builds the second device once and keeps it; a digest of its sources and of torch names the file."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

from ..paths import CACHE

HERE = Path(__file__).resolve().parent
SOURCES = ("memory.cpp", "kernels.cpp", "commands.cpp")
FLAGS = ("-O1", "-w", "-fPIC", "-std=c++20")
TORCH = Path(torch.__file__).resolve().parent


def compiler() -> str | None:
    """The C++ compiler of this machine, or None; `CXX` names another one."""
    return shutil.which(os.environ.get("CXX", "c++"))


def library() -> Path:
    """The device's library, built now if there is none of these sources and this torch.

    Raises:
        RuntimeError: There is no compiler, or it fails; the text holds its last lines.
    """
    texts = [(HERE / name).read_bytes() for name in ("state.h", *SOURCES)]
    digest = hashlib.sha256(b"\0".join([*texts, torch.__version__.encode(), " ".join(FLAGS).encode()])).hexdigest()
    path = CACHE / "second_device" / f"{digest[:16]}.so"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            _build(Path(scratch)).replace(path)
    return path


def _build(scratch: Path) -> Path:
    tool = compiler()
    if tool is None:
        raise RuntimeError("no C++ compiler: install one (g++, clang++), or name it in CXX")
    include = TORCH / "include"
    headers = [f"-isystem{folder}" for folder in (include, include / "torch" / "csrc" / "api" / "include")]
    objects = []
    for name in SOURCES:
        objects.append(scratch / f"{name}.o")
        _run([tool, *FLAGS, *headers, "-c", str(HERE / name), "-o", str(objects[-1])])
    built = scratch / "device.so"
    names = (f"-L{TORCH / 'lib'}", "-ltorch_cpu", "-ltorch", "-lc10")
    _run([tool, "-shared", *map(str, objects), *names, "-o", str(built)])
    return built


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the second device cannot be built: {command[0]} said\n{done.stderr[-3000:]}")


if __name__ == "__main__":
    print(library())

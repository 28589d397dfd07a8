"""Finds ComfyUI and makes it importable, on the CPU, without reading this process's arguments."""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def find_comfyui() -> Path:
    """The ComfyUI folder: the environment variable COMFYUI_PATH, else .host/ComfyUI in the repository.

    Raises:
        FileNotFoundError: There is no ComfyUI.
    """
    folder = Path(os.environ.get("COMFYUI_PATH") or REPOSITORY / ".host" / "ComfyUI")
    if not (folder / "comfy" / "sd.py").exists():
        raise FileNotFoundError(f"no ComfyUI at {folder}; set the environment variable COMFYUI_PATH to its folder")
    return folder


def use_comfyui() -> Path:
    """Puts ComfyUI first on the import path and tells it to stay on the CPU; its folder.

    The repository root leaves the import path, because its `nodes` package would hide ComfyUI's `nodes`.
    """
    if "comfy.cli_args" in sys.modules:
        return find_comfyui()
    folder = find_comfyui()
    sys.path[:] = [str(folder), *(p for p in sys.path if Path(p).resolve() not in (REPOSITORY, folder))]
    import comfy.options

    comfy.options.enable_args_parsing(False)
    from comfy.cli_args import args

    args.cpu = True
    args.use_pytorch_cross_attention = True
    return folder

"""Runs the checks in the ComfyUI that is on the path."""

import sys
from importlib import import_module

import torch


def start(arguments: list[str]) -> int:
    """Exit status of the checks; on a machine without a GPU they run on the CPU, and the report says so."""
    sys.argv[1:] = []  # ComfyUI reads the command line
    has_card = torch.cuda.is_available() or torch.xpu.is_available() or torch.backends.mps.is_available()
    if not has_card and not hasattr(torch, "npu"):
        import_module("comfy.cli_args").args.cpu = True
    return import_module(f"{__package__}.run").main(arguments)

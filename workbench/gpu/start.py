"""Checks the pack on this machine's card, in the ComfyUI that is on the path.

Options that are not listed are ComfyUI's, such as --lowvram.
"""

import argparse
import sys
from importlib import import_module
from pathlib import Path

import torch


def start(arguments: list[str]) -> int:
    """Exit status of the checks; on a machine without a GPU they run on the CPU, and the report says so."""
    parser = argparse.ArgumentParser(prog="gpu", description=__doc__, allow_abbrev=False)
    parser.add_argument("--short", action="store_true", help="small models only")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for gpu-report.md and .json (this one)")
    own, hosts = parser.parse_known_args(arguments)
    try:
        own.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out must be a folder that can be written, got {own.out}: {error.strerror}")
    sys.argv[1:] = hosts  # ComfyUI reads the command line
    import_module("comfy.options").enable_args_parsing()
    has_card = torch.cuda.is_available() or torch.xpu.is_available() or torch.backends.mps.is_available()
    if not has_card and not hasattr(torch, "npu"):
        import_module("comfy.cli_args").args.cpu = True
    return import_module(f"{__package__}.run").run(own.out, is_short=own.short, options=hosts)

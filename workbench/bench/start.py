"""Starts a part of the benchmark with ComfyUI: `alias.py pack.workbench.bench.start NAME`.

NAME is a file of this folder with a `main(arguments)`. Parts of the report print theirs as JSON, last.

ComfyUI's choice for GPUs, PyTorch's fused attention, is used on the CPU too.
"""

import importlib
import os
import sys

import torch

from ...tests.support.paths import comfyui_folder

ON_SECOND_DEVICE = ("precision",)


def prepare_host(*, is_on_cpu: bool = True) -> None:
    """Put ComfyUI on the path and choose the CPU, or the device that there is."""
    folder = comfyui_folder()
    assert folder is not None, "dev.py sets COMFYUI_PATH"
    sys.path.insert(0, str(folder))
    from comfy.cli_args import args

    args.cpu = is_on_cpu
    args.use_pytorch_cross_attention = True


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    if sys.argv[1] in ON_SECOND_DEVICE:
        from ...tests.support.second_device import device

        device.install()
    prepare_host(is_on_cpu=sys.argv[1] not in ON_SECOND_DEVICE)
    importlib.import_module(f"pack.workbench.bench.{sys.argv[1]}").main(sys.argv[2:])

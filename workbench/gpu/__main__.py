"""Checks of this machine's card with the developer's set-up: `python dev.py gpu`; `-h` tells the options."""

import os
import sys

import torch

from ...tests.support.paths import comfyui_folder
from .start import start

if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("LORA_BAKERY_THREADS", "2")))
    if "--second-device" in sys.argv:
        from ...tests.support.second_device import device

        sys.argv.remove("--second-device")
        device.install()
    folder = comfyui_folder()
    assert folder is not None, "dev.py sets COMFYUI_PATH"
    sys.path.insert(0, str(folder))
    sys.exit(start(sys.argv[1:]))

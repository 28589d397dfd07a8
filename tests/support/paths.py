"""Where the test bed keeps things. dev.py makes them; everything lies in git-ignored folders of the repository."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
MODELS = CACHE / "models"
"""Models folder shared by all test and demo servers."""
CHECKPOINTS = MODELS / "checkpoints"
PLAYGROUND = CACHE / "comfyui"
"""Base directory of `dev.py demo` and `dev.py ui`: input, output and user folders that stay."""
POCKET_CHECKPOINT = CHECKPOINTS / "pocket.safetensors"


def comfyui_folder() -> Path | None:
    """Return the ComfyUI to test with: COMFYUI_PATH if set, else the one dev.py unpacked, else None."""
    folder = Path(os.environ.get("COMFYUI_PATH") or ROOT / ".host" / "ComfyUI").absolute()
    return folder if (folder / "main.py").is_file() else None

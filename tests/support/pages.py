"""The page that browser tests open: ComfyUI's own, or the one that LORA_BAKERY_PAGE names.

`LORA_BAKERY_PAGE=newest` and `LORA_BAKERY_PAGE=1.58.5` install that version of comfyui-frontend-package into `.cache`.
"""

import os
import subprocess
import sys

from .paths import CACHE

PACKAGE = "comfyui-frontend-package"


def page_arguments() -> list[str]:
    """Arguments for main.py that show the chosen page; none for ComfyUI's own."""
    version = os.environ.get("LORA_BAKERY_PAGE", "")
    if not version:
        return []
    folder = CACHE / f"page-{version}"
    if version == "newest" or not folder.is_dir():
        wanted = PACKAGE if version == "newest" else f"{PACKAGE}=={version}"
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(folder)]
        subprocess.run([*command, wanted], check=True)
    return ["--front-end-root", str(folder / "comfyui_frontend_package" / "static")]

"""What runs on the card: the pack, ComfyUI, Python, and how ComfyUI was told to use memory and speed."""

import platform
import re
from importlib import import_module
from pathlib import Path

import comfy.model_management
from comfy.cli_args import args

PACKAGE = Path(__file__).resolve().parents[2] / "pyproject.toml"


def versions(options: list[str]) -> dict[str, object]:
    """Versions and settings, `options` of ComfyUI's command line; what this ComfyUI does not know is None."""
    management = comfy.model_management
    found = re.search(r'^version = "(.+)"', PACKAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        "lora_bakery": found and found[1],
        "comfyui": import_module("comfyui_version").__version__,
        "python": platform.python_version(),
        "options": " ".join(options) or "none",
        "vram": management.vram_state.name,
        "dynamic_vram": _is_streaming(),
        "fast": ", ".join(sorted(feature.value for feature in args.fast)) or "none",
        "text_encoders_on": str(management.text_encoder_device()),
        "attention": import_module("comfy.ldm.modules.attention").optimized_attention.__name__,
    }


def _is_streaming() -> bool | None:
    """Whether weights are streamed to the card (dynamic VRAM); None where ComfyUI is older than that."""
    try:
        return bool(import_module("comfy.memory_management").aimdo_enabled)
    except (ImportError, AttributeError):
        return None

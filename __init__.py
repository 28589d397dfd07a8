"""LoRA Bakery: trains SD1.5 and SDXL LoRAs inside the graph that generates."""

from .nodes import comfy_entrypoint

WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]

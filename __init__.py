"""LoRA Bakery: trains SD1.5 and SDXL LoRAs inside the graph that generates."""

try:
    from .nodes import comfy_entrypoint
except ModuleNotFoundError as error:
    if not (error.name or "").startswith("comfy_api"):
        raise
    raise ImportError("LoRA Bakery needs ComfyUI 0.3.76 or newer; update ComfyUI") from None

WEB_DIRECTORY = "./js"

__all__ = ["WEB_DIRECTORY", "comfy_entrypoint"]

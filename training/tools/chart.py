"""The norms of a LoRA's blocks as a bar chart."""

from PIL import Image

from ..drawing.bars import bar_chart
from .inspection import LoraInfo


def norm_chart(name: str, info: LoraInfo) -> Image.Image:
    """Norm of the change by block; text encoders are orange, blocks with broken modules are marked."""
    title = f"{name}: norm of the change by block" if name else "norm of the change by block"
    return bar_chart(title, info.block_norms, ("BASE",), dict.fromkeys(info.broken_blocks, "NaN"))

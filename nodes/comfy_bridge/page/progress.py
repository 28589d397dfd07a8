"""What the host shows of a run: progress bar, previews on the node, text, events; and its cancel button."""

from collections.abc import Sequence
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from PIL import Image
from server import PromptServer
from torch import Tensor

PREVIEW_SIZE_PX = 512


def interrupt_if_canceled() -> None:
    """Raise the host's cancel exception if its cancel button was pressed."""
    comfy.model_management.throw_exception_if_processing_interrupted()


def memory_gib() -> float | None:
    """Memory in use on the training device by all programs; None on the CPU."""
    device = comfy.model_management.get_torch_device()
    if device.type == "cpu":
        return None
    total, free = comfy.model_management.get_total_memory(device), comfy.model_management.get_free_memory(device)
    return (float(total) - float(free)) / 2**30  # pyright: ignore[reportArgumentType]


class NodeProgress:
    """Progress bar, picture and text of one node."""

    def __init__(self, node_id: str | None, total: int) -> None:
        self._node_id = node_id
        self._bar = comfy.utils.ProgressBar(total, node_id=node_id)

    def update(self, done: int, total: int, picture: Tensor | None = None) -> None:
        """Move the bar and, with a (H, W, 3) picture in 0..1, show it. Raises if the user canceled."""
        preview = None if picture is None else ("JPEG", to_pil(picture), PREVIEW_SIZE_PX)
        self._bar.update_absolute(done, total, preview)

    def text(self, text: str) -> None:
        """Show a line on the node."""
        if self._node_id is not None:
            PromptServer.instance.send_progress_text(text, self._node_id)

    def event(self, name: str, data: dict[str, Any]) -> None:
        """Send a JSON event to every browser, since the run may be watched from a second tab."""
        self.event_of(self._node_id, name, data)

    @staticmethod
    def event_of(node_id: str | None, name: str, data: dict[str, Any]) -> None:
        """The same, from outside the thread that runs the node."""
        PromptServer.instance.send_sync(name, {"node": node_id, **data})


def to_pil(picture: Tensor) -> Image.Image:
    """(H, W, 3) floats in 0..1 as an 8-bit picture, rounded as the host's Save Image does."""
    return Image.fromarray(np.clip(255.0 * picture.cpu().numpy(), 0, 255).astype(np.uint8))


def sheet(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Pictures of equal size as one (1, H, W, 3) image, one row each."""
    width = max(len(row) for row in rows)
    blank = torch.ones_like(rows[0][0])
    return torch.cat([torch.cat([*row, *[blank] * (width - len(row))], dim=1) for row in rows], dim=0)[None]

"""Samples the cells of a comparison with the host's sampler, and describes pictures with its image encoders."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ...training.compare.layout import Cell
from ...training.compare.likeness import describe
from ...training.tools.strengths import Strengths
from ...training.watch.previews import PreviewSettings
from .model.lora import apply_lora
from .page.progress import NodeProgress, interrupt_if_canceled
from .previews import HostSampler

LoadLora = Callable[[], Mapping[str, Tensor]]
"""Loads the tensors of a LoRA."""


class CellSampler:
    """Draws cells; the model is patched once per LoRA and strength."""

    def __init__(self, model: Any, clip: Any, vae: Any, node_id: str | None) -> None:
        self._models = (model, clip, vae)
        self._node_id = node_id

    def draw(
        self,
        cells: Sequence[Cell],
        loras: Sequence[LoadLora | None],
        strengths: Sequence[float],
        text_strengths: Sequence[float | None],
        settings: PreviewSettings,
    ) -> dict[Cell, Tensor]:
        """(H, W, 3) in 0..1 by cell. A LoRA of None is the unchanged model; a text strength of None is the U-Net's.

        Raises the host's cancel exception if the user cancels.
        """
        progress = NodeProgress(self._node_id, len(cells))
        pictures: dict[Cell, Tensor] = {}
        patched: tuple[Any, HostSampler] | None = None
        for cell in sorted(cells, key=lambda each: (each.lora, each.strength, each.text_strength, each.prompt)):
            interrupt_if_canceled()
            unet = strengths[cell.strength]
            text = text_strengths[cell.text_strength]
            key = (cell.lora, unet, unet if text is None else text)
            if loras[cell.lora] is None:  # strengths have no effect
                key = (cell.lora, 0.0, 0.0)
                same = replace(cell, strength=0, text_strength=0)
                if same in pictures:
                    pictures[cell] = pictures[same]
                    continue
            if patched is None or patched[0] != key:
                patched = (key, self._sampler(loras[cell.lora], key[1], key[2]))
            pictures[cell] = patched[1](settings.prompts[cell.prompt], settings)
            progress.update(len(pictures), len(cells), pictures[cell])
        return pictures

    def _sampler(self, load: LoadLora | None, unet: float, text: float) -> HostSampler:
        model, clip, vae = self._models
        if load is not None:
            model, clip = apply_lora(model, clip, load(), Strengths(unet=unet, text_encoder=text))
        return HostSampler(model, clip, vae, is_text_trained=False)


def describer(clip_vision: Any | None) -> Callable[[Tensor], Tensor]:
    """A function from a (H, W, 3) picture to a (D,) unit vector: the image encoder, else colors and edges.

    The whole picture is encoded, not its center crop: the head of a standing character is near the edge.
    """
    if clip_vision is None:
        return describe

    def embed(picture: Tensor) -> Tensor:
        with torch.inference_mode():
            embedded = clip_vision.encode_image(picture[None], crop=False).image_embeds[0].float().cpu()
        return embedded / embedded.norm()

    return embed

"""Prior preservation without images: the base model's own prediction is the target.

Teaches the network what to leave unchanged, at the training images' own noise.

Shapes: B batch, C latent channels, H W latent rows and columns.
"""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from re import compile as regex
from typing import Protocol

import torch
from torch import Tensor

from ..base_model import BaseModel, ImageSize, TextConditioning
from ..data.brackets import unescaped
from .noised import NoisedBatch
from .settings import ObjectiveSettings


class Switchable(Protocol):
    """A network that can be switched off."""

    def disabled(self) -> AbstractContextManager[None]:
        """Context in which attached modules act as the base model."""
        ...


def captions_to_encode(captions: Sequence[str], settings: ObjectiveSettings) -> tuple[str, ...]:
    """Captions to encode: the batch's, followed by those of the extra term if it is on."""
    if settings.prior_preservation != "extra_term":
        return tuple(captions)
    return (*captions, *(without_trigger(caption, settings) for caption in captions))


def without_trigger(caption: str, settings: ObjectiveSettings) -> str:
    """The caption with the trigger removed, or replaced by its class."""
    replaced = _pattern(settings.trigger).sub(settings.trigger_class, caption)
    if settings.trigger_class:
        return replaced
    return ", ".join(tag.strip() for tag in replaced.split(",") if tag.strip())


def has_trigger(caption: str, settings: ObjectiveSettings) -> bool:
    """True if the caption contains the trigger as a separate word or tag, ignoring case."""
    return _pattern(settings.trigger).search(caption) is not None


def kept_as_base(captions: Sequence[str], is_regularization_B: Tensor, settings: ObjectiveSettings) -> list[int]:
    """Samples whose target is the base model's own prediction."""
    if settings.prior_preservation == "regularization_images":
        return [index for index in range(len(captions)) if bool(is_regularization_B[index])]
    if settings.prior_preservation == "captions_without_trigger":
        return [index for index, caption in enumerate(captions) if not has_trigger(caption, settings)]
    return []


@torch.no_grad()
def base_prediction(
    base: BaseModel,
    network: Switchable,
    noised: NoisedBatch,
    captions: Sequence[str],
    texts: Sequence[TextConditioning],
    sizes: Sequence[ImageSize],
) -> Tensor:
    """The model's prediction without the network, (B, C, H, W), float32, without gradients.

    Conditioning with gradients was encoded through the network, so it is encoded again without it.
    """
    with network.disabled():
        is_trained = any(text.context_LD.requires_grad for text in texts)
        own_texts = base.encode_text(captions) if is_trained else texts
        return base.denoise(noised.noisy_BCHW, noised.timestep_B, own_texts, sizes).float()


def _pattern(trigger: str) -> re.Pattern[str]:
    # captions are prompts here: literal brackets are escaped
    word = re.sub(r"\\([()])", r"\\\\?\\\1", re.escape(unescaped(trigger.strip())))
    return regex(rf"(?<!\w){word}(?!\w)", re.IGNORECASE)

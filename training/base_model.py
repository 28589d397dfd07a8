"""What training asks of a frozen base model. The host's side of it is implemented in `nodes/comfy_bridge`.

Shapes: B batch, C latent channels, H W latent rows and columns, L tokens, D text width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

ModelFamily = Literal["sd15", "sdxl"]
Checkpointing = Literal["off", "on", "finer"]
"""How activations are kept for the backward pass: all of them, few and recomputed by block, or fewer still."""
PredictionType = Literal["epsilon", "v_prediction", "flow"]
"""Noise; velocity of a variance-preserving schedule; velocity of rectified flow, noise minus clean latents."""
PartName = Literal["unet", "text_encoder", "text_encoder_2"]


@dataclass(frozen=True, slots=True)
class TextConditioning:
    """One caption as the text encoders see it."""

    context_LD: Tensor
    """Per-token states, (L, D); L is a multiple of 77."""
    pooled_D: Tensor | None = None
    """Pooled vector (SDXL) or None (SD1.5)."""


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Size conditioning of SDXL, in pixels; ignored by SD1.5."""

    original_hw: tuple[int, int]
    crop_top_left: tuple[int, int]
    target_hw: tuple[int, int]


class BaseModel(Protocol):
    """A frozen denoiser with its text encoders and image encoder."""

    @property
    def family(self) -> ModelFamily:
        """Architecture."""
        ...

    @property
    def prediction_type(self) -> PredictionType:
        """What `denoise` returns."""
        ...

    @property
    def alphas_cumprod(self) -> Tensor:
        """Share of signal per timestep, float64, (T,), as the loaded model defines it (zero terminal SNR included).

        For rectified flow, where noisy latents are (1-σ) latents + σ noise, it is the share with the same
        signal-to-noise ratio: (1-σ)² / ((1-σ)² + σ²).
        """
        ...

    @property
    def device(self) -> torch.device:
        """Device that the model computes on."""
        ...

    @property
    def loss_scale(self) -> float:
        """Factor on the loss before the backward pass; above 1 for fp16, where small gradients would round to zero."""
        ...

    def parts(self) -> Mapping[PartName, nn.Module]:
        """Modules whose Linear and Conv2d layers can be adapted, by part; the paths inside them are the host's."""
        ...

    def frozen_tensor(self, module: nn.Module, name: str) -> Tensor:
        """`weight` or `bias` of a module of `parts()`, as `denoise` uses it.

        Includes patches that the host keeps apart from the module. Any device, any dtype; must not be changed.
        """
        ...

    def token_ids(self, part: PartName, text: str) -> list[int]:
        """What a text encoder's table of embeddings is asked for, without beginning, end and padding."""
        ...

    def denoise(
        self, noisy_BCHW: Tensor, timestep_B: Tensor, texts: Sequence[TextConditioning], sizes: Sequence[ImageSize]
    ) -> Tensor:
        """Raw prediction (noise or velocity), float32, (B, C, H, W). Gradients flow to attached networks."""
        ...

    def encode_text(self, captions: Sequence[str]) -> list[TextConditioning]:
        """The host's encoding of each caption; differentiable while gradients are enabled."""
        ...

    def encode_images(self, pixels_BHWC: Tensor) -> Tensor:
        """Scaled latents (B, C, H, W), float32, from pixels in 0..1."""
        ...

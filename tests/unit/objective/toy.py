"""A denoiser of a few numbers, with a network on it that can be looked away from."""

from collections.abc import Sequence
from contextlib import contextmanager

import torch
from pack.training.base_model import ImageSize, TextConditioning
from pack.training.data.batch import Batch
from torch import Tensor, nn

BETAS = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
SD_ALPHAS_CUMPROD = (1.0 - BETAS).cumprod(0)
"""Scaled linear schedule of SD1.5 and SDXL."""


class ToyBase:
    """Predicts a mix of channels plus what the text says; the network adds to the mix."""

    family = "sd15"

    def __init__(self, prediction_type: str = "epsilon", alphas_cumprod: Tensor = SD_ALPHAS_CUMPROD) -> None:
        self.prediction_type = prediction_type
        self.alphas_cumprod = alphas_cumprod
        self.device = torch.device("cpu")
        self.mix = torch.randn(4, 4, generator=torch.Generator().manual_seed(1)) / 4
        self.network = ToyNetwork()

    def denoise(
        self, noisy_BCHW: Tensor, timestep_B: Tensor, texts: Sequence[TextConditioning], sizes: Sequence[ImageSize]
    ) -> Tensor:
        assert len(noisy_BCHW) == len(timestep_B) == len(texts) == len(sizes)
        mixed = torch.einsum("oc,bchw->bohw", self.mix + self.network.change(), noisy_BCHW)
        text_B111 = torch.stack([text.context_LD.mean() for text in texts])[:, None, None, None]
        return mixed * (1.0 + timestep_B[:, None, None, None] / 1000.0) + text_B111

    def encode_text(self, captions: Sequence[str]) -> list[TextConditioning]:
        scale = 1.0 + self.network.text() if self.network.trains_text else 1.0
        return [TextConditioning(torch.full((77, 2), len(caption) / 10.0) * scale) for caption in captions]


class ToyNetwork:
    """One matrix for the denoiser and one number for the text encoder."""

    def __init__(self) -> None:
        self.weight = nn.Parameter(torch.full((4, 4), 0.1))
        self.text_weight = nn.Parameter(torch.tensor(0.5))
        self.trains_text = False
        self.is_enabled = True

    def change(self) -> Tensor:
        return self.weight if self.is_enabled else torch.zeros(4, 4)

    def text(self) -> Tensor:
        return self.text_weight if self.is_enabled else torch.tensor(0.0)

    @contextmanager
    def disabled(self):  # noqa: ANN201
        self.is_enabled = False
        try:
            yield
        finally:
            self.is_enabled = True


def toy_batch(num_samples: int = 3, **fields: object) -> Batch:
    """Samples with captions of different lengths; any field can be replaced."""
    generator = torch.Generator().manual_seed(7)
    defaults: dict[str, object] = {
        "latents_BCHW": torch.randn(num_samples, 4, 8, 6, generator=generator),
        "captions": tuple("ohwx " * (index + 1) for index in range(num_samples)),
        "sizes": (ImageSize((64, 48), (0, 0), (64, 48)),) * num_samples,
        "mask_B1HW": None,
        "loss_weight_B": torch.ones(num_samples),
        "is_regularization_B": torch.zeros(num_samples, dtype=torch.bool),
        "image_ids": tuple(range(num_samples)),
    }
    return Batch(**{**defaults, **fields})

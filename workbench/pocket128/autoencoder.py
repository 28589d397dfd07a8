"""The VAE of 128 pixels: the smaller model's layers, none of them skipped.

Shapes: images (B, 3, H, W) in 0..1, latents (B, 4, H/8, W/8).
"""

from __future__ import annotations

from torch import Tensor

from ..pocket.autoencoder import PocketVAE


class Autoencoder(PocketVAE):
    """All blocks are trained, those at full size too: they draw the lines of one pixel."""

    def encode(self, images: Tensor) -> Tensor:
        """Latents (B, 4, H/8, W/8)."""
        return self.taesd_encoder(images)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, H, W), about 0..1."""
        return self.taesd_decoder(latents)


def autoencoder_of(weights: dict[str, Tensor]) -> Autoencoder:
    """A frozen VAE with these weights."""
    vae = Autoencoder()
    vae.load_state_dict(weights)
    return vae.requires_grad_(False)

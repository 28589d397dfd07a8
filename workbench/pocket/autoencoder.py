"""The pocket VAE: the layers and parameter names of TAESD, without ComfyUI.

Ollin Boer Bohan's Tiny AutoEncoder, https://github.com/madebyollin/taesd. Blocks that are not trained
are frozen as identities and skipped while training; in the file they are ordinary weights.
Shapes: images (B, 3, 64, 64) in 0..1, latents (B, 4, 8, 8).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 64
LATENT_CHANNELS = 4
IDENTITY_ENCODER_BLOCKS = frozenset({1, 4, 5})
IDENTITY_DECODER_BLOCKS = frozenset({14, 15, 18})


class Clamp(nn.Module):
    """Keeps latents within -3..3 softly."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return torch.tanh(x / 3) * 3


class Block(nn.Module):
    """Three convolutions and a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(), nn.ReLU(), _conv(), nn.ReLU(), _conv())
        self.fuse = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.fuse(self.conv(x) + x)


def _conv(num_in: int = WIDTH, num_out: int = WIDTH, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 3, stride=stride, padding=1, bias=bias)


def _encoder_layers() -> list[nn.Module]:
    layers: list[nn.Module] = [_conv(3), Block()]
    for _ in range(3):
        layers += [_conv(stride=2, bias=False), Block(), Block(), Block()]
    return [*layers, _conv(WIDTH, LATENT_CHANNELS)]


def _decoder_layers() -> list[nn.Module]:
    layers: list[nn.Module] = [Clamp(), _conv(LATENT_CHANNELS), nn.ReLU()]
    for _ in range(3):
        layers += [Block(), Block(), Block(), nn.Upsample(scale_factor=2), _conv(bias=False)]
    return [*layers, Block(), _conv(WIDTH, 3)]


class PocketVAE(nn.Module):
    """Encoder and decoder under the names ComfyUI looks for."""

    def __init__(self) -> None:
        super().__init__()
        self.taesd_encoder = nn.Sequential(*_encoder_layers())
        self.taesd_decoder = nn.Sequential(*_decoder_layers())

    def encode(self, images: Tensor) -> Tensor:
        """Latents (B, 4, 8, 8) of images (B, 3, 64, 64) in 0..1."""
        return _run(self.taesd_encoder, images, IDENTITY_ENCODER_BLOCKS)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (B, 3, 64, 64), about 0..1, of latents (B, 4, 8, 8)."""
        return _run(self.taesd_decoder, latents, IDENTITY_DECODER_BLOCKS)


def _run(layers: nn.Sequential, x: Tensor, identities: frozenset[int]) -> Tensor:
    for index, layer in enumerate(layers):
        x = torch.relu(x) if index in identities else layer(x)
    return x


def initialize_vae(vae: PocketVAE) -> None:
    """Weights to start from: He for the convolutions, residual branches small, frozen blocks identities."""
    for module in vae.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    with torch.no_grad():
        for module in vae.modules():
            if isinstance(module, Block):
                module.conv[4].weight.mul_(0.2)
        vae.taesd_encoder[-1].weight.mul_(0.5)
        vae.taesd_decoder[-1].weight.mul_(0.1)
        vae.taesd_decoder[-1].bias.fill_(0.5)
    _zero_identities(vae)


def _zero_identities(vae: PocketVAE) -> None:
    pairs = ((vae.taesd_encoder, IDENTITY_ENCODER_BLOCKS), (vae.taesd_decoder, IDENTITY_DECODER_BLOCKS))
    for layers, identities in pairs:
        for index in identities:
            nn.init.zeros_(layers[index].conv[4].weight)
            nn.init.zeros_(layers[index].conv[4].bias)


def trainable_names(vae: PocketVAE) -> list[str]:
    """Names of every parameter outside the frozen identity blocks."""
    frozen = [f"taesd_encoder.{index}." for index in IDENTITY_ENCODER_BLOCKS]
    frozen += [f"taesd_decoder.{index}." for index in IDENTITY_DECODER_BLOCKS]
    return [name for name, _ in vae.named_parameters() if not name.startswith(tuple(frozen))]

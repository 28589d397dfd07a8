"""The pocket U-Net: ComfyUI's own, one level of 320 channels, and the noise schedule of SD1.5.

Shapes: latents (B, 4, 8, 8), timesteps (B,) in 0..999, context (B, 77, 768).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .host import use_comfyui

UNET_SHAPE = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [1, 0],
    "transformer_depth_middle": 1,
    "context_dim": 768,
    "num_heads": 8,
    "num_head_channels": -1,
    "use_spatial_transformer": True,
    "legacy": False,
}


def build_unet(shape: dict[str, object] = UNET_SHAPE) -> nn.Module:
    """ComfyUI's UNetModel in float32 with fresh weights drawn from torch's seed."""
    use_comfyui()
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(**shape, dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    initialize_unet(unet)
    return unet


def initialize_unet(unet: nn.Module) -> None:
    """Usual initialization; the last layer of each residual branch is zero."""
    for name, module in unet.named_modules():
        if isinstance(module, (nn.GroupNorm, nn.LayerNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.Linear, nn.Conv2d)):
            nn.init.kaiming_uniform_(module.weight, a=math.sqrt(5))
            if name.endswith(("out_layers.3", "proj_out", "out.2")):
                nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def alphas_cumprod() -> Tensor:
    """Signal share by timestep, (1000,) float32: SD1.5's scaled-linear schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
    return torch.cumprod(1 - betas, 0).float()


@torch.no_grad()
def sample_latents(
    unet: nn.Module, context: Tensor, empty: Tensor, *, side: int = 8, num_steps: int = 20, cfg: float = 4.0
) -> Tensor:
    """Latents (B, 4, side, side) by DDIM with guidance, for a look while pretraining; `empty` is (1, 77, 768)."""
    signal, count = alphas_cumprod(), len(context)
    both = torch.cat([context, empty.expand_as(context)])
    x = torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(0))
    timesteps = torch.linspace(999, 0, num_steps + 1).long()
    for now, then in zip(timesteps[:-1], timesteps[1:], strict=True):
        with torch.autocast("cpu", torch.bfloat16):
            wanted, plain = unet(torch.cat([x, x]), now.repeat(2 * count), context=both).float().chunk(2)
        noise = plain + cfg * (wanted - plain)
        clean = ((x - (1 - signal[now]).sqrt() * noise) / signal[now].sqrt()).clamp(-4, 4)
        noise = (x - signal[now].sqrt() * clean) / (1 - signal[now]).sqrt()
        x = signal[then].sqrt() * clean + (1 - signal[then]).sqrt() * noise
    return clean

"""U-Nets of the real sizes with seeded random weights, over one file that all processes map into memory.

Speed and memory depend on shapes, not on what was learned. Weights are normal with a spread of 1/sqrt(fan in), so that
activations stay in range. The host's U-Net and diffusers' get the same numbers. Needs ComfyUI on `sys.path`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Shapes = Mapping[str, tuple[int, ...]]
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Layout:
    """Architecture of a U-Net."""

    name: str
    family: str
    config: Mapping[str, Any]
    """Arguments of the host's UNetModel, as its model detection gives them."""
    context_dim: int
    """Width of the text conditioning."""


def _config(**changes: Any) -> dict[str, Any]:
    common = {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": 320,
        "use_spatial_transformer": True,
        "legacy": False,
        "transformer_depth_middle": 1,
        "use_temporal_attention": False,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
    }
    return {**common, **changes}


SD15 = Layout(
    "sd15",
    "sd15",
    _config(
        num_res_blocks=[2, 2, 2, 2],
        channel_mult=[1, 2, 4, 4],
        transformer_depth=[1, 1, 1, 1, 1, 1, 0, 0],
        transformer_depth_output=[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0],
        context_dim=768,
        num_heads=8,
    ),
    768,
)
SDXL = Layout(
    "sdxl",
    "sdxl",
    _config(
        num_res_blocks=[2, 2, 2],
        channel_mult=[1, 2, 4],
        transformer_depth=[0, 0, 2, 2, 10, 10],
        transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10],
        transformer_depth_middle=10,
        context_dim=2048,
        num_head_channels=64,
        num_heads=-1,
        use_linear_in_transformer=True,
        adm_in_channels=2816,
        num_classes="sequential",
    ),
    2048,
)
TINY = Layout(
    "tiny",
    "sd15",
    _config(
        model_channels=64,
        num_res_blocks=[1, 1],
        channel_mult=[1, 2],
        transformer_depth=[1, 1],
        transformer_depth_output=[1, 1, 1, 1],
        context_dim=768,
        num_heads=8,
    ),
    768,
)
LAYOUTS = {layout.name: layout for layout in (SD15, SDXL, TINY)}


def weight_shapes(layout: Layout) -> Shapes:
    """Shape of every weight of the host's U-Net, by its name."""
    return {name: tuple(tensor.shape) for name, tensor in _empty_model(layout).diffusion_model.state_dict().items()}


def write_weights(layout: Layout, path: Path) -> None:
    """Make the file of all weights, float32, one after the other."""
    generator = torch.Generator().manual_seed(0)
    with path.open("wb") as file:
        for name, shape in weight_shapes(layout).items():
            if len(shape) > 1:
                weight = torch.randn(shape, generator=generator) * prod(shape[1:]) ** -0.5
            else:
                weight = torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
            file.write(weight.numpy().tobytes())


def map_weights(layout: Layout, path: Path) -> dict[str, Tensor]:
    """Read the file without loading it: processes share its pages."""
    flat = torch.from_numpy(np.memmap(path, dtype=np.float32, mode="c"))
    weights, start = {}, 0
    for name, shape in weight_shapes(layout).items():
        weights[name] = flat[start : start + prod(shape)].view(shape)
        start += prod(shape)
    return weights


def host_model(
    layout: Layout,
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float32,
    compute_dtype: torch.dtype | None = None,
    device: torch.device = CPU,
) -> Any:
    """The host's MODEL around these weights, which it does not copy; it computes in their `dtype` or another."""
    from comfy.model_patcher import ModelPatcher

    model = _empty_model(layout, dtype, compute_dtype)
    model.diffusion_model.load_state_dict(weights, assign=True)
    model.requires_grad_(False)
    patcher = ModelPatcher(model, load_device=device, offload_device=device)
    # What the host's own trainer calls for its copy of the model; here the copy shares the mapped file.
    patcher.cached_patcher_init = (lambda disable_dynamic: host_model(layout, weights, dtype, compute_dtype), ())
    return patcher


def diffusers_model(layout: Layout, weights: Mapping[str, Tensor]) -> nn.Module:
    """A UNet2DConditionModel of diffusers for an SD1.5 layout, with the same weights."""
    from comfy.utils import unet_to_diffusers
    from diffusers import UNet2DConditionModel

    config = layout.config
    depths = config["num_res_blocks"]
    has_attention = [config["transformer_depth"][sum(depths[:level])] > 0 for level in range(len(depths))]
    with torch.device("meta"):
        model = UNet2DConditionModel(
            block_out_channels=[config["model_channels"] * factor for factor in config["channel_mult"]],
            layers_per_block=depths[0],
            cross_attention_dim=config["context_dim"],
            attention_head_dim=config["num_heads"],
            down_block_types=["CrossAttnDownBlock2D" if has else "DownBlock2D" for has in has_attention],
            up_block_types=["CrossAttnUpBlock2D" if has else "UpBlock2D" for has in reversed(has_attention)],
        )
    names = unet_to_diffusers(config)
    model.load_state_dict({name: weights[names[name]] for name in model.state_dict()}, assign=True)
    return model.requires_grad_(False)


def _empty_model(layout: Layout, dtype: torch.dtype = torch.float32, compute_dtype: torch.dtype | None = None) -> Any:
    """The host's BaseModel of a layout, its weights on the meta device."""
    from comfy import supported_models

    kind = {"sd15": supported_models.SD15, "sdxl": supported_models.SDXL}[layout.family]
    config = kind({**layout.config, "dtype": dtype})
    for name in ("num_heads", "num_head_channels"):
        config.unet_config[name] = layout.config.get(name, -1)
    config.set_inference_dtype(dtype, compute_dtype)
    return config.get_model({}, "", device=torch.device("meta"))

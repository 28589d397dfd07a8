"""Small checkpoints with seeded random weights that ComfyUI detects as SD1.5 and SDXL.

Detection looks at shapes: SD1.5 needs 320 model channels and a context of 768, the SDXL family linear transformers,
a context of 2048 and one of a few transformer depths (here Segmind Vega's, the smallest). Number of levels and residual
blocks are free. The text encoders have three layers, the least that clip skip allows, so only the hosts of the tests
load these files (`load_short_text_encoders`). The VAE has the shape of TAESD.
Needs ComfyUI on `sys.path`.
"""

import json
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from .paths import CHECKPOINTS, comfyui_folder

StateDict = dict[str, Tensor]
NUM_CLIP_LAYERS = 3
VERSION = 1
"""Part of the file names: raise it when the recipe changes."""


def tiny_sd15_path() -> Path:
    """Return the SD1.5 checkpoint, making it at the first call: two levels, 37 M U-Net parameters, 200 MB."""
    return _made_once(f"tiny_sd15_v{VERSION}.safetensors", _sd15_weights)


def tiniest_sd15_path() -> Path:
    """Return the SD1.5 checkpoint of one level, making it at the first call: 14 M U-Net parameters, 150 MB."""
    return _made_once(f"tiniest_sd15_v{VERSION}.safetensors", lambda: _sd15_weights(num_levels=1))


def tiny_sdxl_path() -> Path:
    """Return the SDXL checkpoint, making it at the first call: three levels, 83 M U-Net parameters, 540 MB."""
    return _made_once(f"tiny_sdxl_v{VERSION}.safetensors", _sdxl_weights)


def _made_once(name: str, make: Callable[[], StateDict]) -> Path:
    path = CHECKPOINTS / name
    if not path.exists():
        CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        weights = {key: value.half().contiguous() for key, value in make().items()}
        safetensors.torch.save_file(weights, unfinished)
        unfinished.replace(path)
    return path


def _sd15_weights(num_levels: int = 2) -> StateDict:
    is_alone = num_levels == 1
    unet = _unet(
        num_res_blocks=[1] * num_levels,
        channel_mult=[1] * num_levels,
        transformer_depth=[1] if is_alone else [1, 0],
        transformer_depth_output=[1, 1] if is_alone else [0, 0, 1, 1],
        context_dim=768,
        num_heads=8,
    )
    clip_l = _prefixed("cond_stage_model.transformer.", _clip_weights("sd1_clip_config.json", seed=1))
    clip_l.pop("cond_stage_model.transformer.text_projection.weight")
    return {**unet, **clip_l, **_vae_weights(latent_scale=0.18215)}


def _sdxl_weights() -> StateDict:
    unet = _unet(
        num_res_blocks=[2, 2, 2],
        channel_mult=[1, 1, 1],
        transformer_depth=[0, 0, 1, 1, 2, 2],
        transformer_depth_output=[0, 0, 0, 1, 1, 1, 2, 2, 2],
        context_dim=2048,
        num_head_channels=64,
        use_linear_in_transformer=True,
        adm_in_channels=2816,
        num_classes="sequential",
    )
    clip_l = _prefixed("conditioner.embedders.0.transformer.", _clip_weights("sd1_clip_config.json", seed=1))
    clip_l.pop("conditioner.embedders.0.transformer.text_projection.weight")
    clip_g = _to_open_clip(_clip_weights("clip_config_bigg.json", seed=2))
    return {**unet, **clip_l, **_prefixed("conditioner.embedders.1.model.", clip_g), **_vae_weights(0.13025)}


def _unet(num_heads: int = -1, num_head_channels: int = -1, **shape: object) -> StateDict:
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(
        image_size=32,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        use_spatial_transformer=True,
        legacy=False,
        transformer_depth_middle=1,
        num_heads=num_heads,
        num_head_channels=num_head_channels,
        operations=comfy.ops.disable_weight_init,
        **shape,
    )
    return _prefixed("model.diffusion_model.", _filled(unet, seed=0, std=None))


def _clip_weights(config_name: str, seed: int) -> StateDict:
    import comfy.ops
    from comfy.clip_model import CLIPTextModel

    folder = comfyui_folder()
    assert folder is not None
    config = json.loads((folder / "comfy" / config_name).read_text())
    config["num_hidden_layers"] = NUM_CLIP_LAYERS
    model = CLIPTextModel(config, torch.float32, "cpu", comfy.ops.disable_weight_init)
    return _filled(model, seed=seed, std=0.02)


def _vae_weights(latent_scale: float) -> StateDict:
    from comfy.taesd.taesd import TAESD

    weights = _filled(TAESD(), seed=3, std=None)
    weights["vae_scale"] = torch.tensor(latent_scale)
    weights["vae_shift"] = torch.tensor(0.0)
    return _prefixed("first_stage_model.", weights)


def _filled(module: nn.Module, seed: int, std: float | None) -> StateDict:
    """Return seeded weights for the shapes of `module`: matrices normal (std None: 1/sqrt(fan in)), norms identity."""
    generator = torch.Generator().manual_seed(seed)
    weights: StateDict = {}
    for name, parameter in module.state_dict().items():
        if parameter.ndim <= 1:
            weights[name] = torch.zeros_like(parameter) if name.endswith("bias") else torch.ones_like(parameter)
        else:
            scale = parameter[0].numel() ** -0.5 if std is None else std
            weights[name] = torch.randn(parameter.shape, generator=generator) * scale
    return weights


def _prefixed(prefix: str, weights: StateDict) -> StateDict:
    return {prefix + key: value for key, value in weights.items()}


def _to_open_clip(weights: StateDict) -> StateDict:
    """Rename a text encoder to OpenCLIP's keys, as SDXL checkpoints hold their second one."""
    renamed = {
        "token_embedding.weight": weights["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": weights["text_model.embeddings.position_embedding.weight"],
        "ln_final.weight": weights["text_model.final_layer_norm.weight"],
        "ln_final.bias": weights["text_model.final_layer_norm.bias"],
        "text_projection": weights["text_projection.weight"].t(),
    }
    names = {
        "attn.out_proj": "self_attn.out_proj",
        "ln_1": "layer_norm1",
        "ln_2": "layer_norm2",
        "mlp.c_fc": "mlp.fc1",
        "mlp.c_proj": "mlp.fc2",
    }
    for layer in range(NUM_CLIP_LAYERS):
        source, target = f"text_model.encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            parts = [weights[f"{source}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            renamed[f"{target}attn.in_proj_{kind}"] = torch.cat(parts)
            for new, old in names.items():
                renamed[f"{target}{new}.{kind}"] = weights[f"{source}{old}.{kind}"]
    return renamed

"""A file in kohya names is what diffusers expects: its own conversion finds every module, with the same change."""

import diffusers
import pytest
import torch
from diffusers.loaders.lora_conversion_utils import (
    _convert_non_diffusers_lora_to_diffusers,
    _maybe_map_sgm_blocks_to_diffusers,
)
from pack.training.files.formats import Tensors, split_modules, to_diffusers
from pack.training.networks.foreign import to_kohya
from pack.training.tools.deltas import delta_weight

UNETS = {
    "sd15": {"cross_attention_dim": 768},
    "sdxl": {
        "cross_attention_dim": 2048,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
    },
}
TEXT_LAYERS = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj", "mlp.fc1", "mlp.fc2")


def kohya_lora(family: str) -> Tensors:
    """Small factors, rank 2 and alpha 1, for every attention and feed-forward layer of the full-size model."""
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**UNETS[family])
    paths = [f"unet.{path}" for path, module in unet.named_modules() if isinstance(module, torch.nn.Linear)]
    paths = [path for path in paths if ".attentions." in path]
    encoders = ("text_encoder",) if family == "sd15" else ("text_encoder", "text_encoder_2")
    paths += [f"{encoder}.text_model.encoder.layers.3.{layer}" for encoder in encoders for layer in TEXT_LAYERS]
    peft = {
        f"{path}.lora_{side}.weight": torch.randn(2, 3) if side == "A" else torch.randn(3, 2)
        for path in paths
        for side in "AB"
    }
    kohya = to_kohya(peft, family)
    return {key: torch.tensor(1.0) if key.endswith("alpha") else tensor for key, tensor in kohya.items()}


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_diffusers_converts_every_module(family: str):
    kohya = kohya_lora(family)
    state = dict(kohya)
    if family == "sdxl":
        config = type("Config", (), {"layers_per_block": 2})()
        state = _maybe_map_sgm_blocks_to_diffusers(state, config)
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(state)
    theirs = split_modules(to_kohya(converted, family))
    assert set(alphas.values()) == {1.0}
    assert set(theirs) == set(split_modules(kohya))
    for name, parts in split_modules(kohya).items():
        torch.testing.assert_close(delta_weight(theirs[name]) / 2, delta_weight(parts))


def test_scales_are_kept_in_diffusers_names():
    kohya = kohya_lora("sd15")
    again = to_kohya(to_diffusers(kohya), "sd15")
    for name, parts in split_modules(kohya).items():
        torch.testing.assert_close(delta_weight(split_modules(again)[name]), delta_weight(parts))

"""Keys of full-size models equal those of kohya's files; diffusers names equal ComfyUI's for U-Nets of any depth."""

import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pack.tests.support.tiny_networks import TinyUNet
from pack.training.files.formats import split_modules
from pack.training.networks import Network, NetworkSettings
from pack.training.networks.foreign import to_kohya
from pack.training.networks.names import alias_keys, diffusers_names, file_keys
from pack.training.tools.deltas import delta_weight
from pack.training.tools.merge import MergeSettings, merge
from pack.training.tools.ranks import RankChoice
from pack.training.tools.resize import resize
from pack.training.tools.strengths import Strengths

LAYOUTS = Path(__file__).parent / "data" / "kohya_layouts.json.gz"
"""Key -> shapes of down and up, by layout: networks of rank 16, convolutions of rank 4, as sd-scripts writes them."""
COMMON = {"in_channels": 4, "out_channels": 4, "image_size": 32, "use_spatial_transformer": True}
SD15 = {
    **COMMON, "model_channels": 320, "channel_mult": [1, 2, 4, 4], "num_res_blocks": [2] * 4, "num_heads": 8,
    "context_dim": 768, "transformer_depth": [1] * 6 + [0, 0], "transformer_depth_output": [1] * 9 + [0] * 3,
    "transformer_depth_middle": 1, "use_linear_in_transformer": False,
}  # fmt: skip
SDXL = {
    **COMMON, "model_channels": 320, "channel_mult": [1, 2, 4], "num_res_blocks": [2] * 3, "num_head_channels": 64,
    "context_dim": 2048, "transformer_depth": [0, 0, 2, 2, 10, 10], "num_classes": "sequential",
    "transformer_depth_output": [0, 0, 0, 2, 2, 2, 10, 10, 10], "transformer_depth_middle": 10,
    "use_linear_in_transformer": True, "adm_in_channels": 2816,
}  # fmt: skip
ONE_LEVEL = {
    **SD15, "channel_mult": [1], "num_res_blocks": [1], "transformer_depth": [1], "transformer_depth_output": [1, 1],
}  # fmt: skip
UNEQUAL = {
    **SD15, "channel_mult": [1, 2, 2], "num_res_blocks": [1, 3, 2], "transformer_depth": [1, 0, 1, 1, 0, 1],
    "transformer_depth_output": [1, 1, 1, 0, 1, 1, 0, 1, 1],
}  # fmt: skip
GAPS = {
    **SD15, "channel_mult": [1, 2, 2], "num_res_blocks": [1] * 3, "transformer_depth": [0, 1, 1],
    "transformer_depth_output": [1, 0, 1, 1, 0, 0],
}  # fmt: skip


def unet(comfy, config):
    """A U-Net of ComfyUI without memory behind its weights."""
    openaimodel = comfy.module("comfy.ldm.modules.diffusionmodules.openaimodel")
    operations = comfy.module("comfy.ops").disable_weight_init
    config = {name: list(value) if isinstance(value, list) else value for name, value in config.items()}
    with torch.device("meta"):
        return openaimodel.UNetModel(**config, dtype=torch.float32, device="meta", operations=operations)


def text_encoder(comfy, file):
    """A CLIP of ComfyUI without memory behind its weights."""
    folder = Path(comfy.module("comfy.sd1_clip").__file__).parent
    config = json.loads((folder / file).read_text())
    operations = comfy.module("comfy.ops").disable_weight_init
    return comfy.module("comfy.clip_model").CLIPTextModel(config, torch.float32, "meta", operations)


@pytest.mark.comfy
@pytest.mark.parametrize("algorithm", ["lora", "locon"])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_full_size_networks_have_kohyas_keys_and_shapes(comfy, family, algorithm):
    layout = f"{family}_{'lierla' if algorithm == 'lora' else 'c3lier'}"
    wanted = json.loads(gzip.decompress(LAYOUTS.read_bytes()))[layout]
    parts = {
        "unet": unet(comfy, SD15 if family == "sd15" else SDXL),
        "text_encoder": text_encoder(comfy, "sd1_clip_config.json"),
    }
    if family == "sdxl":
        parts["text_encoder_2"] = text_encoder(comfy, "clip_config_bigg.json")
    conv = {"conv_rank": 4} if algorithm == "locon" else {}
    made = Network.create(parts, family, NetworkSettings(algorithm=algorithm, parts=tuple(parts), **conv), seed=0)
    tensors = {
        f"{attachment.target.key}.{suffix}": list(tensor.shape)
        for attachment in made.attachments
        for suffix, tensor in attachment.adapter.file_tensors().items()
    }
    assert tensors == {
        f"{key}.{suffix}": shape
        for key, (down, up) in wanted.items()
        for suffix, shape in (("alpha", []), ("lora_down.weight", down), ("lora_up.weight", up))
    }


@pytest.mark.comfy
@pytest.mark.parametrize("config", [SD15, SDXL, ONE_LEVEL, GAPS], ids=["sd15", "sdxl", "one level", "gaps"])
def test_diffusers_names_are_comfyuis(comfy, config):
    model = unet(comfy, config)
    theirs = comfy.module("comfy.utils").unet_to_diffusers(config)
    weights = set(model.state_dict())
    wanted = {
        path.removesuffix(".weight"): name.removesuffix(".weight")
        for name, path in theirs.items()
        if path in weights and path.endswith(".weight") and not name.startswith("class_embedding")
    }
    ours = diffusers_names(name for name, _ in model.named_modules())
    assert {path: name for path, name in ours.items() if f"{path}.weight" in weights} == wanted


@pytest.mark.comfy
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize(
    "config", [SD15, SDXL, ONE_LEVEL, UNEQUAL, GAPS], ids=["sd15", "sdxl", "one level", "unequal", "gaps"]
)
def test_comfyuis_loader_finds_every_module_under_its_key(comfy, config, family):
    """By its own key map, for U-Nets whose levels differ too; and the file is read back to the same modules."""
    diffusion_model = unet(comfy, config)
    model = torch.nn.Module()
    model.diffusion_model, model.model_config = diffusion_model, SimpleNamespace(unet_config=config)
    theirs = comfy.module("comfy.lora").model_lora_keys_unet(model, {})
    paths = [name for name, _ in diffusion_model.named_modules()]
    ours, back = file_keys(paths, "unet", family), alias_keys(paths, "unet", family)
    trained = [path for path, module in diffusion_model.named_modules() if getattr(module, "weight", None) is not None]
    assert len(trained) > 20
    assert {path: theirs[ours[path]] for path in trained} == {
        path: f"diffusion_model.{path}.weight" for path in trained
    }
    assert all(back[ours[path]] == path for path in trained)


@pytest.mark.comfy
@pytest.mark.parametrize("is_attention_alone", [False, True], ids=["all", "attention"])
@pytest.mark.parametrize("writer", ["ours", "core"])
@pytest.mark.parametrize(
    "config", [SD15, SDXL, ONE_LEVEL, UNEQUAL, GAPS], ids=["sd15", "sdxl", "one level", "unequal", "gaps"]
)
def test_tools_keep_every_module_s_place(comfy, config, writer, is_attention_alone):
    """Load (`to_kohya`), resize, merge, and load again: ComfyUI's loader finds the module that was trained."""
    family = "sdxl" if config is SDXL else "sd15"
    diffusion_model = unet(comfy, config)
    model = torch.nn.Module()
    model.diffusion_model, model.model_config = diffusion_model, SimpleNamespace(unet_config=config)
    theirs = comfy.module("comfy.lora").model_lora_keys_unet(model, {})
    every = [name for name, _ in diffusion_model.named_modules()]
    trained = [
        path
        for path, module in diffusion_model.named_modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d) and (not is_attention_alone or ".1.trans" in path)
    ]
    keys = file_keys(every, "unet", family) if writer == "ours" else {path: f"diffusion_model.{path}" for path in every}
    tensors = {}
    for number, path in enumerate(trained, 1):  # a number of its own in place of each module's change
        tensors[f"{keys[path]}.lora_down.weight"] = torch.full((1, 9), float(number))
        tensors[f"{keys[path]}.lora_up.weight"] = torch.ones(3, 1)
    resized, _ = resize(to_kohya(tensors, family), RankChoice(rank=1))
    merged, _ = merge([(resized, Strengths())], family, MergeSettings())
    places = {}
    for name, parts in split_modules(to_kohya(merged, family)).items():
        number = round(float(delta_weight(parts).abs().max()))
        places[trained[number - 1]] = theirs[name]
    assert places == {path: f"diffusion_model.{path}.weight" for path in trained}


def test_one_level_unet_is_named_without_samplers():
    names = diffusers_names(name for name, _ in TinyUNet().named_modules())
    assert names["input_blocks.0.0"] == "conv_in"
    assert names["input_blocks.1.0.in_layers.2"] == "down_blocks.0.resnets.0.conv1"
    assert names["output_blocks.0.1.proj_in"] == "up_blocks.0.attentions.0.proj_in"
    assert names["middle_block.2.out_layers.3"] == "mid_block.resnets.1.conv2"


def test_text_encoders_are_named_by_family_whatever_wraps_them():
    layer = "text_model.encoder.layers.3.mlp.fc1"
    for path in (layer, f"transformer.{layer}"):
        assert file_keys([path], "text_encoder", "sd15") == {path: "lora_te_text_model_encoder_layers_3_mlp_fc1"}
        assert file_keys([path], "text_encoder", "sdxl") == {path: "lora_te1_text_model_encoder_layers_3_mlp_fc1"}
        assert file_keys([path], "text_encoder_2", "sdxl") == {path: "lora_te2_text_model_encoder_layers_3_mlp_fc1"}


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_both_namings_lead_to_the_module(family):
    paths = [name for name, _ in TinyUNet().named_modules()]
    aliases = alias_keys(paths, "unet", family)
    path = "input_blocks.1.1.transformer_blocks.0.attn2.to_q"
    assert aliases["lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_q"] == path
    assert aliases["lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_q"] == path
    usual = file_keys(paths, "unet", family)[path]
    assert usual.startswith("lora_unet_input_blocks" if family == "sdxl" else "lora_unet_down_blocks")

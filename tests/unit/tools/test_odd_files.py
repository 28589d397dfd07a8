"""Files that are no LoRA, or keep a part elsewhere: read as their tool does, or refused as what they are."""

import json

import pytest
import torch
from pack.tests.unit.tools.test_files_of_tools import CONV, KERNELS, LAYERS, LINEAR, Tree, near, underscored
from pack.training.files.formats import split_modules
from pack.training.files.lora_file import save_lora
from pack.training.networks.foreign import load_kohya, to_kohya
from pack.training.tools.deltas import delta_weight
from peft import LoHaConfig, LoKrConfig, LoraConfig, get_peft_model

NAME = underscored("lora_unet_")(LINEAR)
CROSS = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
SAVED_BY_PEFT = {
    "lora": LoraConfig(r=4, lora_alpha=16),
    "lora rslora": LoraConfig(r=4, lora_alpha=2, use_rslora=True),
    "lora pattern": LoraConfig(r=4, lora_alpha=4, rank_pattern={"to_q": 2}, alpha_pattern={"to_q": 3, "conv1": 1}),
    "dora": LoraConfig(r=4, lora_alpha=8, use_dora=True),
    "loha": LoHaConfig(r=4, alpha=1),
    "loha effective": LoHaConfig(r=4, alpha=1, use_effective_conv2d=True),
    "lokr": LoKrConfig(r=2, alpha=6),
    "lokr whole": LoKrConfig(r=64, alpha=16),
    "lokr both": LoKrConfig(r=1, alpha=3, decompose_both=True),
}


def saved_by_peft(config, path, folder):
    """The layer as it was and its change, with peft's own files in a folder."""
    config.target_modules = [path]
    layer = LAYERS[KERNELS[path]]()
    before = layer.weight.detach().clone()
    model = get_peft_model(Tree(path, layer), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    return before, model.merge_and_unload().get_submodule(path).weight.detach() - before


@pytest.mark.parametrize("name", ["default", "default_0", "my-adapter"])
def test_the_name_of_an_adapter_is_no_part_of_the_layer_s(name):
    parts = {f"lora_A.{name}.weight": torch.ones(4, 24), f"lora_B.{name}.weight": torch.ones(32, 4)}
    parts |= {f"lora_magnitude_vector.{name}.weight": torch.ones(32)}
    found = to_kohya({f"base_model.model.{LINEAR}.{suffix}": tensor for suffix, tensor in parts.items()}, "sd15")
    assert {key.partition(".")[2] for key in found} == {"lora_down.weight", "lora_up.weight", "dora_scale", "alpha"}
    with pytest.raises(ValueError, match=r"lora_B\.bias"):
        to_kohya({f"base_model.model.{LINEAR}.lora_B.bias": torch.ones(32)}, "sd15")


@pytest.mark.parametrize("path", [LINEAR, CONV], ids=["linear", "conv"])
@pytest.mark.parametrize("name", SAVED_BY_PEFT)
def test_peft_s_alpha_is_read_from_its_settings_beside_the_file(name, path, tmp_path):
    torch.manual_seed(0)
    before, change = saved_by_peft(SAVED_BY_PEFT[name], path, tmp_path)
    file = load_kohya(tmp_path / "adapter_model.safetensors", "sd15")
    ((_, parts),) = split_modules(file.tensors).items()
    near(delta_weight(parts, before), change)
    assert not file.note


def test_a_file_of_peft_without_its_settings_says_what_is_taken(tmp_path):
    saved_by_peft(LoraConfig(r=4, lora_alpha=16), LINEAR, tmp_path)
    (tmp_path / "adapter_config.json").unlink()
    file = load_kohya(tmp_path / "adapter_model.safetensors", "sd15")
    assert "alpha = rank" in file.note and "adapter_config.json" in file.note
    (tmp_path / "adapter_config.json").write_text('{"r": [')
    with pytest.raises(ValueError, match=r"adapter_config\.json"):
        load_kohya(tmp_path / "adapter_model.safetensors", "sd15")


def test_settings_beside_files_of_other_tools_are_not_theirs(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"r": 4, "lora_alpha": 400}))
    tensors = {f"{NAME}.lora_up.weight": torch.ones(32, 4), f"{NAME}.lora_down.weight": torch.ones(4, 24)}
    save_lora(tmp_path / "theirs.safetensors", tensors, {})
    file = load_kohya(tmp_path / "theirs.safetensors", "sd15")
    assert float(file.tensors[f"{NAME}.alpha"]) == 4 and not file.note


def low_rank(name, width):
    return {f"{name}.lora_up.weight": torch.ones(640, 4), f"{name}.lora_down.weight": torch.ones(4, width)}


@pytest.mark.parametrize(
    ("tensors", "named"),
    [
        (
            {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(320, 4, 3, 3)},
            "whole checkpoint.*Load Checkpoint",
        ),
        ({"first_stage_model.encoder.conv_in.bias": torch.ones(4)}, "whole checkpoint"),
        ({"conv_in.weight": torch.ones(320, 4, 3, 3)}, "whole model.*Load Diffusion Model"),
        ({"down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight": torch.ones(8, 8)}, "whole model"),
        (low_rank(CROSS, 1280), "refiner"),
        (low_rank(CROSS, 1024), "SD2"),
        (low_rank(CROSS, 4096), "width 4096"),
        ({key: value.to(torch.int8) for key, value in low_rank(NAME, 24).items()}, "whole numbers.*int8"),
        ({"oft_unet_input_blocks_1_1_proj_in.oft_blocks": torch.ones(4, 8, 8)}, "algorithm that is not known"),
    ],
)
def test_what_is_no_lora_of_these_models_is_named_as_what_it_is(tensors, named):
    with pytest.raises(ValueError, match=named):
        to_kohya(tensors)


def test_the_width_of_cross_attention_tells_the_family_before_the_prefix_of_the_text_encoder():
    text = {f"lora_te1_text_model_encoder_layers_0_mlp_fc1.{key}": value for key, value in low_rank("x", 768).items()}
    text = {key.replace(".x.", "."): value for key, value in text.items()}
    assert all(key.startswith(("lora_te_", CROSS)) for key in to_kohya({**text, **low_rank(CROSS, 768)}))
    assert any(key.startswith("lora_te1_") for key in to_kohya({**text, **low_rank(CROSS, 2048)}))


def test_a_text_encoder_and_a_u_net_under_rarer_prefixes_are_read():
    path = "input_blocks.1.1.transformer_blocks.0.attn2.to_k"
    tensors = {
        **low_rank(f"model.diffusion_model.{path}", 768),
        **low_rank("lycoris_text_model_encoder_layers_0_mlp_fc1", 768),
        **low_rank("lora_te.text_model.encoder.layers.1.mlp.fc1", 768),
        **low_rank("lora_unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k", 768),
    }
    names = set(split_modules(to_kohya(tensors)))
    assert names == {
        "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k",
        "lora_te_text_model_encoder_layers_0_mlp_fc1",
        "lora_te_text_model_encoder_layers_1_mlp_fc1",
        "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"PK\x03\x04" + b"\0" * 40, "pickle"),
        (b"\x80\x02}q\x00" + b"\0" * 40, "pickle"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"\n <html></html>" + b" " * 40, "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "Git LFS"),
        (b"", "empty"),
        (b"\xff" * 64, "not a readable safetensors file"),
    ],
)
def test_a_file_that_is_something_else_is_named(content, named, tmp_path):
    (tmp_path / "mira.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=rf"mira\.safetensors.*{named}"):
        load_kohya(tmp_path / "mira.safetensors")

"""Other tools' names become kohya's: SD1.5 and SDXL, by the modules of diffusers itself, and back again."""

import json
import re

import diffusers
import pytest
import torch
from pack.training.files.formats import detect_family, split_modules, to_diffusers
from pack.training.files.names import dotted, to_diffusers_unet, to_original_unet
from pack.training.networks.foreign import to_kohya

SDXL = {
    "cross_attention_dim": 2048,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@pytest.fixture(scope="module")
def unet_paths() -> dict[str, list[str]]:
    """Paths of all Linear and Conv2d modules of the full-size U-Nets, as diffusers names them."""
    with torch.device("meta"):
        unets = {
            "sd15": diffusers.UNet2DConditionModel(cross_attention_dim=768),
            "sdxl": diffusers.UNet2DConditionModel(**SDXL),
        }
    kinds = (torch.nn.Linear, torch.nn.Conv2d)
    return {
        family: [path for path, module in unet.named_modules() if isinstance(module, kinds)]
        for family, unet in unets.items()
    }


def test_sd15_names_are_diffusers_underscored(unet_paths: dict[str, list[str]]):
    tensors = {f"unet.{path}.lora_A.weight": torch.ones(4, 8) for path in unet_paths["sd15"]}
    expected = {f"lora_unet_{path.replace('.', '_')}.lora_down.weight" for path in unet_paths["sd15"]}
    assert {key for key in to_kohya(tensors, "sd15") if not key.endswith("alpha")} == expected


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_dots_come_back(unet_paths: dict[str, list[str]], family: str):
    for path in unet_paths[family]:
        assert dotted(path.replace(".", "_")) == path


def test_sdxl_names_are_the_original_ones_and_go_both_ways(unet_paths: dict[str, list[str]]):
    originals = [to_original_unet(path.replace(".", "_")) for path in unet_paths["sdxl"]]
    assert len(set(originals)) == len(originals)
    assert not [name for name in originals if name.startswith(("down_", "up_", "mid_"))]
    assert [to_diffusers_unet(name) for name in originals] == [path.replace(".", "_") for path in unet_paths["sdxl"]]


@pytest.mark.parametrize(
    ("family", "original", "theirs"),
    [
        ("sd15", "input_blocks_7_1_proj_in", "down_blocks_2_attentions_0_proj_in"),
        ("sd15", "input_blocks_6_0_op", "down_blocks_1_downsamplers_0_conv"),
        ("sd15", "output_blocks_2_1_conv", "up_blocks_0_upsamplers_0_conv"),
        ("sd15", "output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
        ("sd15", "output_blocks_11_1_norm", "up_blocks_3_attentions_2_norm"),
        ("sd15", "middle_block_2_out_layers_3", "mid_block_resnets_1_conv2"),
        ("sd15", "input_blocks_4_0_skip_connection", "down_blocks_1_resnets_0_conv_shortcut"),
        ("sdxl", "output_blocks_5_2_conv", "up_blocks_1_upsamplers_0_conv"),
        ("sdxl", "middle_block_1_transformer_blocks_9_norm3", "mid_block_attentions_0_transformer_blocks_9_norm3"),
        ("sdxl", "label_emb_0_2", "add_embedding_linear_2"),
    ],
)  # fmt: skip
def test_single_names(family: str, original: str, theirs: str):
    assert to_diffusers_unet(original) == theirs
    if family == "sdxl":
        assert to_original_unet(theirs) == original


DOWN, UP = torch.randn(4, 768), torch.randn(320, 4)
PATH = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2"
KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
KOHYA_OUT = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_out_0"
TEXT_PATH = "text_model.encoder.layers.0.mlp.fc1"
TEXT = "lora_te_text_model_encoder_layers_3_self_attn_q_proj"


@pytest.mark.parametrize(
    ("down", "up", "name"),
    [
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", "B", KOHYA),
        ("base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", "B", KOHYA),
        ("unet.base_model.model.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", "B", KOHYA),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.default.weight", "B", KOHYA),
        (f"{PATH}.processor.to_k_lora.down.weight", "up", KOHYA),
        (f"{PATH}.processor.to_out_lora.down.weight", "up", KOHYA_OUT),
        ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora.down.weight", "up", KOHYA),
        ("diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.lora_down.weight", "up", KOHYA),
        ("lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_k.lora_down.weight", "up", KOHYA),
        ("lycoris_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", "up", KOHYA),
        (f"{KOHYA}.lora_down.weight", "up", KOHYA),
        ("text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.down.weight", "up", TEXT),
        ("text_encoder.text_model.encoder.layers.3.self_attn.q_proj.lora_A.weight", "B", TEXT),
        ("base_model.model.text_model.encoder.layers.3.self_attn.q_proj.lora_A.weight", "B", TEXT),
        ("text_encoder.text_model.encoder.layers.3.self_attn.to_q_lora.down.weight", "up", TEXT),
        ("clip_l.transformer.text_model.encoder.layers.3.self_attn.q_proj.lora_down.weight", "up", TEXT),
        (f"{TEXT}.lora_down.weight", "up", TEXT),
    ],
)  # fmt: skip
def test_sd15_low_rank_in_every_naming(down: str, up: str, name: str):
    other = down.replace("lora_A", "lora_B") if up == "B" else down.replace("down.weight", "up.weight")
    read = to_kohya({down: DOWN, other: UP}, "sd15")
    assert set(read) == {f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"}
    assert torch.equal(read[f"{name}.lora_down.weight"], DOWN)
    assert torch.equal(read[f"{name}.lora_up.weight"], UP)
    assert float(read[f"{name}.alpha"]) == 4


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("unet.down_blocks.1.attentions.0.proj_in", "lora_unet_input_blocks_4_1_proj_in"),
        ("unet.up_blocks.0.attentions.2.proj_out", "lora_unet_output_blocks_2_1_proj_out"),
        (f"text_encoder.{TEXT_PATH}", "lora_te1_text_model_encoder_layers_0_mlp_fc1"),
        (f"text_encoder_2.{TEXT_PATH}", "lora_te2_text_model_encoder_layers_0_mlp_fc1"),
        (f"clip_l.transformer.{TEXT_PATH}", "lora_te1_text_model_encoder_layers_0_mlp_fc1"),
        (f"text_encoders.clip_g.transformer.{TEXT_PATH}", "lora_te2_text_model_encoder_layers_0_mlp_fc1"),
    ],
)
def test_sdxl_names(key: str, name: str):
    read = to_kohya({f"{key}.lora_A.weight": torch.ones(2, 8)}, "sdxl")
    assert f"{name}.lora_down.weight" in read


@pytest.mark.parametrize(
    "suffix",
    [
        "hada_w1_a", "hada_t2", "lokr_w1", "lokr_w2_b", "lokr_t2", "oft_blocks", "rescale", "diff", "diff_b", "w_norm",
        "b_norm", "a1.weight", "b2.weight", "weight", "on_input", "dora_scale", "lora_mid.weight", "alpha",
    ],
)  # fmt: skip
def test_lycoris_suffixes_stay(suffix: str):
    tensor = torch.ones(2, 1)
    assert set(to_kohya({f"{KOHYA}.{suffix}": tensor}, "sd15")) == {f"{KOHYA}.{suffix}"}


def test_core_trainer_s_flattened_convolution_gets_its_shape():
    module = "diffusion_model.input_blocks.1.0.in_layers.2"
    down = torch.randn(4, 320, 3, 3)
    read = to_kohya(
        {f"{module}.lora_down.weight": down.flatten(1), f"{module}.lora_up.weight": torch.ones(320, 4)}, "sd15"
    )
    name = "lora_unet_down_blocks_0_resnets_0_conv1"
    assert torch.equal(read[f"{name}.lora_down.weight"], down)
    assert read[f"{name}.lora_up.weight"].shape == (320, 4, 1, 1)


def test_peft_s_alpha_and_magnitude_are_kept():
    module = "unet.down_blocks.0.attentions.0.proj_in"
    tensors = {
        f"{module}.lora_A.weight": torch.ones(4, 320, 1, 1),
        f"{module}.lora_B.weight": torch.ones(320, 4, 1, 1),
        f"{module}.lora_magnitude_vector": torch.ones(320),
    }
    metadata = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 16})}
    read = to_kohya(tensors, "sd15", metadata)
    assert float(read["lora_unet_down_blocks_0_attentions_0_proj_in.alpha"]) == 16
    assert read["lora_unet_down_blocks_0_attentions_0_proj_in.dora_scale"].shape == (320, 1, 1, 1)


@pytest.mark.parametrize(
    ("key", "shape", "family"),
    [
        ("lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", (2, 4), "sdxl"),
        ("lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight", (2, 4), "sd15"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", (2, 768), "sd15"),
        ("unet.mid_block.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight", (2, 2048), "sdxl"),
        ("lora_unet_input_blocks_8_1_transformer_blocks_9_ff_net_2.lora_down.weight", (2, 4), "sdxl"),
        ("lora_unet_down_blocks_0_attentions_1_proj_in.lora_down.weight", (2, 4), "sd15"),
    ],
)
def test_family_is_found(key: str, shape: tuple[int, int], family: str):
    assert detect_family({key: torch.ones(shape)}) == family


def test_family_is_asked_for_where_nothing_tells():
    with pytest.raises(ValueError, match="family.*sd15, sdxl"):
        to_kohya({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.ones(2, 2)})


@pytest.mark.parametrize(
    "module",
    [
        "lora_unet_double_blocks_0_img_attn_qkv",
        "diffusion_model.double_blocks.0.img_attn.qkv",
        "transformer.single_transformer_blocks.0.attn.to_q",
    ],
)
@pytest.mark.parametrize("suffixes", [("lora_down", "lora_up"), ("lora_A", "lora_B")])
def test_another_model_s_lora_is_not_asked_for_a_family(module: str, suffixes: tuple[str, str]):
    """Flux by its three namings: choosing one of the two families would not help."""
    tensors = {f"{module}.{suffix}.weight": torch.ones(4, 4) for suffix in suffixes}
    with pytest.raises(ValueError, match=f"{re.escape(module)}.*SD1.5.*SDXL"):
        to_kohya(tensors)


@pytest.mark.parametrize(
    "key",
    ["model.diffusion_model.out.2.bias", "cond_stage_model.transformer.text_model.encoder.layers.0.layer_norm1.bias"],
)
def test_a_checkpoint_is_named_as_one(key: str):
    with pytest.raises(ValueError, match=f"checkpoint.*{re.escape(key)}"):
        to_kohya({key: torch.ones(4)})


def test_a_file_without_tensors_is_named():
    with pytest.raises(ValueError, match="no tensors of a LoRA"):
        to_kohya({})


@pytest.mark.parametrize("key", ["transformer.single_blocks.0.attn.to_q.lora_A.weight", "unet.conv_in.bias"])
def test_foreign_keys_are_refused_by_name(key: str):
    with pytest.raises(ValueError, match=key.replace(".", r"\.")):
        to_kohya({key: torch.ones(2, 2)}, "sd15")


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_to_diffusers_and_back_is_the_same_change(unet_paths: dict[str, list[str]], family: str):
    paths = unet_paths[family][:40]
    peft = {f"unet.{path}.lora_{side}.weight": torch.randn(3, 3) for path in paths for side in "AB"}
    peft = {key: tensor.repeat(1, 3) if "_A" in key else tensor for key, tensor in peft.items()}
    kohya = to_kohya(peft, family)
    for name in split_modules(kohya):
        kohya[f"{name}.alpha"] = torch.tensor(1.5)
    written = to_diffusers(kohya)
    assert set(written) == set(peft)
    for path in paths:
        got, wanted = (one[f"unet.{path}.lora_B.weight"].flatten(1) @ one[f"unet.{path}.lora_A.weight"].flatten(1)
                       for one in (written, peft))  # fmt: skip
        assert torch.allclose(got, wanted / 2)


def test_a_small_scale_survives_half_precision_in_diffusers_names():
    """Alpha 1 of rank 128: the scale alone would push an `up` of little training below what fp16 holds well."""
    up, down = torch.randn(320, 128).half() * 1e-4, (torch.randn(128, 768) / 768**0.5).half()
    parts = {"lora_up.weight": up, "lora_down.weight": down, "alpha": torch.tensor(1.0)}
    written = to_diffusers({f"{KOHYA}.{suffix}": tensor for suffix, tensor in parts.items()})
    got = written[f"{PATH}.to_k.lora_B.weight"].double() @ written[f"{PATH}.to_k.lora_A.weight"].double()
    wanted = up.double() @ down.double() / 128
    assert written[f"{PATH}.to_k.lora_B.weight"].dtype == torch.float16
    assert float((got - wanted).norm() / wanted.norm()) < 1e-3


def test_diffusers_refuses_what_it_cannot_hold():
    with pytest.raises(ValueError, match="not plain low-rank.*resize"):
        to_diffusers({f"{KOHYA}.hada_w1_a": torch.ones(2, 2)})


def test_rank_stabilized_peft_divides_by_the_root_of_the_rank():
    tensors = {f"{PATH}.to_k.lora_A.weight": torch.ones(4, 768), f"{PATH}.to_k.lora_B.weight": torch.ones(320, 4)}
    settings = {"unet.r": 4, "unet.lora_alpha": 8, "unet.use_rslora": True}
    read = to_kohya(tensors, "sd15", {"lora_adapter_metadata": json.dumps(settings)})
    assert float(read[f"{KOHYA}.alpha"]) / 4 == 8 / 4**0.5


def test_modules_of_peft_with_a_rank_or_alpha_of_their_own():
    """Peft divides by the module's own rank: `rank_pattern` is in the shapes, `alpha_pattern` names ends of paths."""
    tensors = {
        f"{PATH}.to_{part}.lora_A.weight": torch.ones(rank, 768) for part, rank in (("q", 4), ("k", 8), ("v", 4))
    }
    settings = {
        "unet.r": 4,
        "unet.lora_alpha": 6,
        "unet.rank_pattern": {"attn2.to_k": 8},
        "unet.alpha_pattern": {"attn2.to_v": 3},
    }
    read = to_kohya(tensors, "sd15", {"lora_adapter_metadata": json.dumps(settings)})
    stem = KOHYA.removesuffix("to_k")
    assert [float(read[f"{stem}to_{part}.alpha"]) for part in "qkv"] == [6, 6, 3]


@pytest.mark.parametrize("text", ["not json", "[]", "null"])
def test_peft_s_settings_that_cannot_be_read_are_named(text: str):
    tensors = {f"{PATH}.to_k.lora_A.weight": torch.ones(4, 768), f"{PATH}.to_k.lora_B.weight": torch.ones(320, 4)}
    with pytest.raises(ValueError, match="lora_adapter_metadata is not readable"):
        to_kohya(tensors, "sd15", {"lora_adapter_metadata": text})
    alpha = {f"{KOHYA}.alpha": torch.tensor(2.0)}
    assert to_kohya(to_kohya(tensors, "sd15") | alpha, "sd15", {"lora_adapter_metadata": text})


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1", "lora_te2_text_model_encoder_layers_0_mlp_fc1"),
        ("lora_unet_input_blocks_1_1_proj_in", "lora_unet_down_blocks_0_attentions_0_proj_in"),
    ],
)
def test_two_names_of_one_tensor_are_refused(one: str, two: str):
    """Else one of them would be lost without a word."""
    with pytest.raises(ValueError, match=f"{one}.diff.*{two}.diff"):
        to_kohya({f"{one}.diff": torch.ones(2, 2), f"{two}.diff": torch.ones(2, 2)}, "sd15")


def test_a_lora_of_sd2_is_refused_by_name():
    with pytest.raises(ValueError, match="SD2"):
        detect_family({f"{KOHYA}.lora_down.weight": torch.ones(2, 1024)})

"""Extracting from and baking into checkpoint files."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from pack.tests.unit.tools.loras import draw
from pack.training.files.formats import split_modules
from pack.training.files.lora_file import LoraTensors, load_lora
from pack.training.tools.bake import bake_bias, bake_checkpoint, bake_weight
from pack.training.tools.checkpoints import open_checkpoint
from pack.training.tools.deltas import delta_weight
from pack.training.tools.extract import ExtractSettings, extract_from_files
from pack.training.tools.ranks import RankChoice
from pack.training.tools.strengths import Strengths

ATTENTION = "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight"
CONV = "model.diffusion_model.input_blocks.4.0.in_layers.2.weight"
CLIP_L = "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight"
CLIP_G = "conditioner.embedders.1.model.transformer.resblocks.3.attn.in_proj_weight"
CLIP_G_OUT = "conditioner.embedders.1.model.transformer.resblocks.3.mlp.c_proj.weight"
NAMES = {
    ATTENTION: "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_q",
    CONV: "lora_unet_input_blocks_4_0_in_layers_2",
    CLIP_L: "lora_te1_text_model_encoder_layers_0_mlp_fc1",
    CLIP_G_OUT: "lora_te2_text_model_encoder_layers_3_mlp_fc2",
}
QUERY = "lora_te2_text_model_encoder_layers_3_self_attn_q_proj"
VALUE = "lora_te2_text_model_encoder_layers_3_self_attn_v_proj"


def sdxl(seed: int) -> dict[str, torch.Tensor]:
    """A few tensors of an SDXL checkpoint, the rest left out."""
    return {
        ATTENTION: draw(24, 20, seed=seed).float(),
        ATTENTION.replace("weight", "bias"): draw(24, seed=seed).float(),
        CONV: draw(16, 12, 3, 3, seed=seed).float(),
        CLIP_L: draw(18, 14, seed=seed).float(),
        CLIP_G: draw(30, 10, seed=seed).float(),
        CLIP_G_OUT: draw(10, 22, seed=seed).float(),
        "first_stage_model.x": draw(3, seed=0).half(),
    }


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "original.safetensors", tmp_path / "tuned.safetensors"
    for seed, path in enumerate(paths):
        safetensors.torch.save_file(sdxl(seed), path, {"kept": "yes", "modelspec.hash_sha256": "0x1"})
    return paths


def test_names_of_a_checkpoint_are_kohya_s(files: tuple[Path, Path]):
    with open_checkpoint(files[0]) as checkpoint:
        assert checkpoint.family == "sdxl"
        assert set(checkpoint.weights) == {*NAMES.values(), QUERY, VALUE, QUERY.replace("q_proj", "k_proj")}
        assert torch.equal(checkpoint.weight(VALUE), sdxl(0)[CLIP_G][20:])


@pytest.mark.parametrize("rank", [3, 64])
def test_extraction_is_the_best_approximation(files: tuple[Path, Path], rank: int):
    settings = ExtractSettings(choice=RankChoice(rank=rank), include_conv=True, dtype=torch.float32)
    tensors, report, family = extract_from_files(*files, settings)
    modules = split_modules(tensors)
    assert family == "sdxl"
    for key, name in NAMES.items():
        wanted = (sdxl(1)[key] - sdxl(0)[key]).flatten(1)
        best = float(torch.linalg.svdvals(wanted)[rank:].norm())
        assert float((delta_weight(modules[name]).flatten(1) - wanted).norm()) == pytest.approx(
            best, rel=1e-4, abs=1e-4
        )
    assert report.relative_error == pytest.approx(0, abs=1e-4) if rank == 64 else report.relative_error > 0


def test_extraction_takes_what_is_asked_for(files: tuple[Path, Path]):
    tensors, _, _ = extract_from_files(*files, ExtractSettings(include_text_encoder=False))
    assert set(split_modules(tensors)) == {NAMES[ATTENTION]}
    with pytest.raises(ValueError, match="100"):
        extract_from_files(*files, ExtractSettings(min_difference=100.0))
    with pytest.raises(ValueError, match="same model"):
        extract_from_files(files[0], files[0], ExtractSettings())


def test_baking_the_extracted_lora_gives_the_tuned_checkpoint(files: tuple[Path, Path], tmp_path: Path):
    settings = ExtractSettings(choice=RankChoice(rank=64), include_conv=True, dtype=torch.float32)
    tensors, _, _ = extract_from_files(*files, settings)
    lora = LoraTensors(tensors, {"modelspec.merged_from": "x, y"}, "difference")
    assert bake_checkpoint(files[0], tmp_path / "baked.safetensors", lora, Strengths()) == []
    baked = safetensors.torch.load_file(tmp_path / "baked.safetensors")
    for key in (*NAMES, CLIP_G):
        torch.testing.assert_close(baked[key], sdxl(1)[key], rtol=0, atol=1e-5)
    assert torch.equal(baked["first_stage_model.x"], sdxl(0)["first_stage_model.x"])
    metadata = load_lora(tmp_path / "baked.safetensors").metadata
    assert metadata == {"kept": "yes", "modelspec.merged_from": "original, difference (x, y)"}, (
        "not the old file's hash"
    )


def test_baking_keeps_the_type_and_rounds_once():
    weight, parts = draw(8, 6).half(), {"diff": draw(8, 6, seed=1), "diff_b": draw(8, seed=2)}
    baked = bake_weight(weight, parts, 0.3)
    assert baked.dtype == torch.float16
    assert torch.equal(baked, (weight.float() + 0.3 * parts["diff"].float()).half())
    assert torch.equal(
        bake_bias(draw(8).half(), parts, 0.3), (draw(8).half().float() + 0.3 * parts["diff_b"].float()).half()
    )
    assert bake_weight(weight, {"diff_b": parts["diff_b"]}, 1.0) is weight


def test_baking_refuses_a_lora_of_another_family(files: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(ValueError, match="original"):
        bake_checkpoint(
            files[0],
            tmp_path / "x.safetensors",
            LoraTensors({"lora_unet_down_blocks_0_x.diff": draw(2, 2)}),
            Strengths(),
        )
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (draw(24, 20) / 0, "q holds NaN or infinity, the file is broken"),
        (draw(24, 21), "q: shape of the change must be .*another base model"),
        (draw(24, 20) * 1e6, "q: the changed weight is too large for the checkpoint's float16; lower the strength"),
    ],
)
def test_baking_never_writes_a_broken_checkpoint(files: tuple[Path, Path], tmp_path: Path, change, message: str):
    safetensors.torch.save_file({key: tensor.half() for key, tensor in sdxl(0).items()}, files[0])
    lora = LoraTensors({f"{NAMES[ATTENTION]}.diff": change})
    with pytest.raises(ValueError, match=f"{NAMES[ATTENTION][:-1]}{message}"):
        bake_checkpoint(files[0], tmp_path / "x.safetensors", lora, Strengths())
    assert not (tmp_path / "x.safetensors").exists()


def test_a_strength_of_zero_leaves_every_bit(files: tuple[Path, Path], tmp_path: Path):
    lora = LoraTensors({f"{NAMES[ATTENTION]}.diff": draw(24, 20), f"{NAMES[CLIP_L]}.diff": draw(18, 14)})
    bake_checkpoint(files[0], tmp_path / "x.safetensors", lora, Strengths(text_encoder=0.0))
    baked = safetensors.torch.load_file(tmp_path / "x.safetensors")
    assert {key for key, tensor in sdxl(0).items() if not torch.equal(baked[key], tensor)} == {ATTENTION}


def test_text_encoders_without_text_model_in_their_names_are_known(tmp_path: Path):
    """As the host reads them."""
    key = "cond_stage_model.transformer.encoder.layers.0.mlp.fc1.weight"
    tensors = {ATTENTION: draw(4, 4), key: draw(4, 4)}
    safetensors.torch.save_file(tensors, tmp_path / "old.safetensors")
    with open_checkpoint(tmp_path / "old.safetensors") as checkpoint:
        assert "lora_te_text_model_encoder_layers_0_mlp_fc1" in checkpoint.weights


def test_a_file_of_the_u_net_alone_is_known_by_its_labels(tmp_path: Path):
    tensors = {ATTENTION: draw(4, 4), "model.diffusion_model.label_emb.0.0.weight": draw(4, 4)}
    safetensors.torch.save_file(tensors, tmp_path / "unet.safetensors")
    with open_checkpoint(tmp_path / "unet.safetensors") as checkpoint:
        assert checkpoint.family == "sdxl"
        assert NAMES[ATTENTION] in checkpoint.weights


@pytest.mark.parametrize("key", ["cond_stage_model.model.transformer.x", "conditioner.embedders.0.model.transformer.x"])
def test_other_families_are_refused(tmp_path: Path, key: str):
    safetensors.torch.save_file({ATTENTION: draw(4, 4), key: draw(2)}, tmp_path / "other.safetensors")
    with (
        pytest.raises(ValueError, match="other.safetensors.*SD2"),
        open_checkpoint(tmp_path / "other.safetensors"),
    ):
        pass


def test_a_broken_checkpoint_is_named(tmp_path: Path):
    (tmp_path / "cut.safetensors").write_bytes(b"1234567890")
    with (
        pytest.raises(ValueError, match="cut.safetensors"),
        open_checkpoint(tmp_path / "cut.safetensors"),
    ):
        pass


def test_extraction_refuses_nan(files: tuple[Path, Path]):
    tensors = sdxl(1)
    tensors[ATTENTION][0, 0] = float("nan")
    safetensors.torch.save_file(tensors, files[1])
    with pytest.raises(ValueError, match=f"{NAMES[ATTENTION]} holds NaN"):
        extract_from_files(*files, ExtractSettings())


@pytest.mark.parametrize(("name", "content"), [("a.ckpt", b""), ("missing.safetensors", None)])
def test_refuses_what_is_no_checkpoint(tmp_path: Path, name: str, content: bytes | None):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=".safetensors"), open_checkpoint(tmp_path / name):
        pass


def test_modules_that_only_one_model_has_are_named(files: tuple[Path, Path], tmp_path: Path):
    tensors = sdxl(1)
    tensors["model.diffusion_model.output_blocks.0.1.proj_in.weight"] = tensors.pop(ATTENTION)
    other = tmp_path / "other.safetensors"
    safetensors.torch.save_file(tensors, other)
    _, report, _ = extract_from_files(files[0], other, ExtractSettings(choice=RankChoice(rank=2)))
    note = next(note for note in report.notes if "only one" in note)
    assert note == (
        "2 modules are in only one of the models and are left out: "
        f"{NAMES[ATTENTION]}, lora_unet_output_blocks_0_1_proj_in"
    )
    _, report, _ = extract_from_files(*files, ExtractSettings(choice=RankChoice(rank=2)))
    assert not any("only one" in note for note in report.notes)


def test_models_without_a_common_module_are_refused(files: tuple[Path, Path], tmp_path: Path):
    other = tmp_path / "other.safetensors"
    name = "model.diffusion_model.output_blocks.0.1.proj_in.weight"
    safetensors.torch.save_file({name: draw(4, 4), CLIP_L.replace("layers.0", "layers.1"): draw(4, 4)}, other)
    with pytest.raises(ValueError, match=r"mlp_fc1.* 3 more"):
        extract_from_files(files[0], other, ExtractSettings())

"""Extracting from and baking into checkpoint files, and the command line over all tools."""

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from pack.tests.training.tools.loras import draw
from pack.training.files.formats import split_modules
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.tools.__main__ import main
from pack.training.tools.bake import bake_bias, bake_checkpoint, bake_weight
from pack.training.tools.checkpoints import open_checkpoint
from pack.training.tools.deltas import delta_weight
from pack.training.tools.extract import ExtractSettings, extract_from_files
from pack.training.tools.ranks import RankChoice
from pack.training.tools.strengths import Strengths

ROOT = Path(__file__).resolve().parents[3]
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
        safetensors.torch.save_file(sdxl(seed), path, {"kept": "yes"})
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
    with pytest.raises(ValueError, match="nothing differs by more than 100"):
        extract_from_files(*files, ExtractSettings(min_difference=100.0))
    with pytest.raises(ValueError, match="same model"):
        extract_from_files(files[0], files[0], ExtractSettings())


def test_baking_the_extracted_lora_gives_the_tuned_checkpoint(files: tuple[Path, Path], tmp_path: Path):
    settings = ExtractSettings(choice=RankChoice(rank=64), include_conv=True, dtype=torch.float32)
    tensors, _, _ = extract_from_files(*files, settings)
    assert bake_checkpoint(files[0], tmp_path / "baked.safetensors", tensors, Strengths()) == []
    baked = safetensors.torch.load_file(tmp_path / "baked.safetensors")
    for key in (*NAMES, CLIP_G):
        torch.testing.assert_close(baked[key], sdxl(1)[key], rtol=0, atol=1e-5)
    assert torch.equal(baked["first_stage_model.x"], sdxl(0)["first_stage_model.x"])
    assert load_lora(tmp_path / "baked.safetensors").metadata == {"kept": "yes"}


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
    with pytest.raises(ValueError, match="none of its modules is in original"):
        bake_checkpoint(
            files[0], tmp_path / "x.safetensors", {"lora_unet_down_blocks_0_x.diff": draw(2, 2)}, Strengths()
        )
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(("name", "content"), [("a.ckpt", b""), ("missing.safetensors", None)])
def test_refuses_what_is_no_checkpoint(tmp_path: Path, name: str, content: bytes | None):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match="must be an existing .safetensors"), open_checkpoint(tmp_path / name):
        pass


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_the_command_line_does_all_of_it(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lora, small, merged, baked = (tmp_path / f"{name}.safetensors" for name in ("lora", "small", "merged", "baked"))
    assert run("extract", *files, "--rank", 10, "--conv", "-o", lora, "--dtype", "fp32") == 0
    assert run("resize", lora, "--rank", 2, "-o", small) == 0
    assert run("merge", lora, small, "--strengths", 0.5, 0.5, "-o", merged, "--dtype", "fp32") == 0
    assert run("bake", files[0], lora, "--strength", 0.5, "-o", baked) == 0
    assert run("convert", small, "--format", "diffusers", "-o", tmp_path / "peft.safetensors") == 0
    assert run("inspect", merged, "--chart", tmp_path / "chart.png") == 0
    printed = capsys.readouterr().out
    assert "12 / 12 (" in printed
    assert "merged from: lora, small" in printed
    assert printed.count("took ") == 6
    assert (tmp_path / "chart.png").stat().st_size > 1000
    one, two, both = (split_modules(load_lora(path).tensors) for path in (lora, small, merged))
    wanted = 0.5 * delta_weight(one[QUERY]) + 0.5 * delta_weight(two[QUERY])
    torch.testing.assert_close(delta_weight(both[QUERY]), wanted, rtol=1e-4, atol=1e-6)
    assert load_lora(small).metadata["ss_network_dim"] == "2"
    assert any(
        key.startswith("unet.down_blocks.1.resnets.0.conv1.lora_A")
        for key in load_lora(tmp_path / "peft.safetensors").tensors
    )


def test_the_command_line_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert run("resize", tmp_path / "no.safetensors", "-o", tmp_path / "x") == 2
    assert "error: lora file: no.safetensors does not exist" in capsys.readouterr().err


def test_it_runs_as_a_module_in_the_pack_s_folder(tmp_path: Path):
    save_lora(tmp_path / "x.safetensors", {f"{QUERY}.diff": draw(4, 4).float()}, {})
    command = [sys.executable, "-m", "training.tools", "inspect", str(tmp_path / "x.safetensors")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "text encoder 2: 1 modules" in result.stdout

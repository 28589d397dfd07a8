"""The command line over all tools: one file and many, what it refuses, what it overwrites."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pack.tests.support.paths import ROOT
from pack.tests.unit.tools.loras import CONV, NAME, draw, low_rank, named
from pack.tests.unit.tools.test_checkpoint_tools import QUERY, files
from pack.training.files.formats import split_modules
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.tools.__main__ import main
from pack.training.tools.bulk import expand
from pack.training.tools.deltas import delta_weight

__all__ = ["files"]


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
    assert run("resize", tmp_path / "no.safetensors", "-o", tmp_path / "x.safetensors") == 2
    assert "error: lora file: no.safetensors does not exist" in capsys.readouterr().err


def test_it_runs_as_a_module_in_the_pack_s_folder(tmp_path: Path):
    save_lora(tmp_path / "x.safetensors", {f"{QUERY}.diff": draw(4, 4).float()}, {})
    command = [sys.executable, "-m", "training.tools", "inspect", str(tmp_path / "x.safetensors")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "text encoder 2: 1 modules" in result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two LoRAs and one that is none."""
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("a [1]", "b")):
        tensors = {key: tensor.float() for key, tensor in named(NAME, low_rank(seed=number)).items()}
        save_lora(tmp_path / "in" / f"{name}.safetensors", tensors, {})
    (tmp_path / "in" / "c.safetensors").write_bytes(b"no such thing")
    return tmp_path / "in"


def test_a_folder_is_resized_into_another_and_what_fails_is_named(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run("resize", folder, "--rank", 2, "-o", folder.parent / "small") == 2
    made = sorted(path.name for path in (folder.parent / "small").iterdir())
    assert made == ["a [1].safetensors", "b.safetensors"]
    assert load_lora(folder.parent / "small" / made[0]).metadata["ss_network_dim"] == "2"
    said = capsys.readouterr().err
    assert "error: lora file: c.safetensors is not a readable" in said
    assert "1 of 3 files failed" in said


def test_words_name_files_folders_and_patterns(folder: Path, monkeypatch: pytest.MonkeyPatch):
    one, two, _ = sorted(folder.iterdir())
    assert expand([str(one)]) == [one], "brackets in a name are no pattern"
    assert expand([f"{folder}/b*"]) == [two]
    assert expand([f"{folder.parent}/**/b.*", str(two)]) == [two]
    monkeypatch.chdir(folder.parent)
    assert expand(["in/*[ab].safetensors"]) == [Path("in/b.safetensors")]
    with pytest.raises(ValueError, match=r"in/x\*.*safetensors"):
        expand(["in/x*"])


def test_nothing_is_overwritten_unless_asked(folder: Path, capsys: pytest.CaptureFixture[str]):
    source, other = folder / "b.safetensors", folder / "a [1].safetensors"
    before = source.read_bytes()
    assert run("resize", other, "-o", source) == 2
    assert "b.safetensors is there already; choose another name, or add --overwrite" in capsys.readouterr().err
    assert run("convert", source, "-o", folder, "--overwrite") == 2
    assert "b.safetensors is what is read" in capsys.readouterr().err
    assert run("merge", source, other, "-o", source, "--overwrite") == 2
    assert source.read_bytes() == before
    assert run("resize", other, "--rank", 1, "-o", source, "--overwrite") == 0
    assert source.read_bytes() != before


@pytest.mark.parametrize("output", ["out", "other"])
def test_files_of_one_name_do_not_overwrite_each_other(folder: Path, output: str, capsys: pytest.CaptureFixture[str]):
    """Neither the result of another folder's file, nor that file itself before it is read."""
    (folder.parent / "other").mkdir()
    later = folder.parent / "other" / "B.safetensors"
    later.write_bytes(before := (folder / "a [1].safetensors").read_bytes())
    assert run("convert", folder / "b.safetensors", later, "-o", folder.parent / output, "--overwrite") == 2
    assert "would both become B" in capsys.readouterr().err
    assert later.read_bytes() == before
    assert not (folder.parent / "out").exists()


def test_the_base_is_not_overwritten(files: tuple[Path, Path], folder: Path, capsys: pytest.CaptureFixture[str]):
    before = files[0].read_bytes()
    assert run("merge", folder / "b.safetensors", "--base", files[0], "-o", files[0], "--overwrite") == 2
    assert "is what is read" in capsys.readouterr().err
    assert files[0].read_bytes() == before


@pytest.mark.parametrize(
    ("output", "message"), [("x.ckpt", "must end in .safetensors"), ("x.safetensors", "name a folder")]
)
def test_outputs_that_no_loader_would_find_are_refused(
    folder: Path, output: str, message: str, capsys: pytest.CaptureFixture[str]
):
    sources = [folder / "b.safetensors", *([folder / "a [1].safetensors"] if "folder" in message else [])]
    assert run("convert", *sources, "-o", folder / output) == 2
    assert message in capsys.readouterr().err


def test_inspection_as_json_is_one_object_a_line(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert run("inspect", folder / "[ab]*", "--json", "--chart", folder.parent / "charts") == 0
    infos = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [Path(info["file"]).stem for info in infos] == ["a [1]", "b"]
    assert infos[1]["modules"][0]["rank"] == 4
    assert infos[1]["block_norms"] == {"IN01": pytest.approx(float(delta_weight(low_rank(seed=1)).norm()), rel=1e-4)}
    assert {path.suffix for path in (folder.parent / "charts").iterdir()} == {".png"}


def test_negative_strengths_and_blocks_are_values(folder: Path):
    one, two, _ = sorted(folder.iterdir())
    numbers = ",".join(["-1", "-0.5", *["1"] * 15])
    options = ("--strengths", -2, 1, "--blocks", numbers, "IN:0", "--dtype", "fp32")
    assert run("merge", one, two, *options, "-o", folder / "merged.safetensors") == 0
    merged = split_modules(load_lora(folder / "merged.safetensors").tensors)
    torch.testing.assert_close(delta_weight(merged[NAME]), delta_weight(low_rank()).float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("text", ["-1e-3", "-1.5E+0", "-.5e1", "-2"])
def test_negative_strengths_may_have_an_exponent(folder: Path, text: str):
    output = folder / "out.safetensors"
    source, plain = folder / "b.safetensors", folder / "plain.safetensors"
    assert run("merge", source, "--strengths", text, "-o", output, "--dtype", "fp32") == 0
    assert run("merge", source, "--strengths", abs(float(text)), "-o", plain, "--dtype", "fp32") == 0
    turned, straight = (delta_weight(split_modules(load_lora(path).tensors)[NAME]) for path in (output, plain))
    assert torch.equal(turned, -straight)


def test_a_family_that_cannot_be_told_is_an_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    middle = "lora_unet_mid_block_attentions_0_proj_in"
    save_lora(tmp_path / "x.safetensors", named(middle, low_rank()), {})
    assert run("inspect", tmp_path / "x.safetensors") == 2
    assert "error: x.safetensors: family: the file does not tell SD1.5 from SDXL" in capsys.readouterr().err
    assert run("inspect", tmp_path / "x.safetensors", "--family", "sdxl") == 0
    assert "family: sdxl" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["merge", "resize", "cut to fp16"])
def test_what_is_broken_or_too_large_ends_in_words(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parts = low_rank() | ({"lora_up.weight": draw(24, 4) / 0} if command != "cut to fp16" else {})
    large = {"diff": torch.full((4, 4, 3, 3), 1e5)}
    save_lora(tmp_path / "x.safetensors", {**named(NAME, parts), **named(CONV, large)}, {})
    words = ["convert", "--dtype", "fp16"] if command == "cut to fp16" else [command]
    assert run(*words, tmp_path / "x.safetensors", "-o", tmp_path / "y.safetensors") == 2
    wanted = f"{CONV}.diff has 100000, too large for fp16" if command == "cut to fp16" else f"{NAME} holds NaN"
    assert wanted in capsys.readouterr().err
    assert not (tmp_path / "y.safetensors").exists()


def test_diffusers_alphas_are_taken_over_once(tmp_path: Path):
    """To kohya, to diffusers and to kohya again: always the same change."""
    module = "unet.down_blocks.0.attentions.0.proj_in"
    tensors = {f"{module}.lora_A.weight": draw(4, 20).float(), f"{module}.lora_B.weight": draw(24, 4).float()}
    metadata = {"lora_adapter_metadata": json.dumps({"unet.r": 4, "unet.lora_alpha": 16})}
    save_lora(tmp_path / "0.safetensors", tensors, metadata)
    for step, form in enumerate(("kohya", "diffusers", "kohya")):
        options = ("--format", form, "--family", "sd15", "-o", tmp_path / f"{step + 1}.safetensors")
        assert run("convert", tmp_path / f"{step}.safetensors", *options) == 0
    wanted = 4 * tensors[f"{module}.lora_B.weight"] @ tensors[f"{module}.lora_A.weight"]
    for step in (1, 3):
        parts = next(iter(split_modules(load_lora(tmp_path / f"{step}.safetensors").tensors).values()))
        torch.testing.assert_close(delta_weight(parts), wanted, rtol=1e-5, atol=1e-6)

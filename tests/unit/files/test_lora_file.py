"""The file equals what the safetensors library writes, is the same every time, and its header fits its readers."""

import hashlib
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch
import torch
from pack.tests.support.paths import ROOT
from pack.training.files.hashes import file_hash, legacy_file_hash, lora_hashes
from pack.training.files.layout import DROP_LIMIT, LIBRARY_LIMIT, NOTE_KEY
from pack.training.files.lora_file import load_lora, load_metadata, save_lora


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def mixed_tensors() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(3)
    return {
        "lora_unet_b.lora_up.weight": torch.randn(6, 2, generator=draw),
        "lora_unet_b.alpha": torch.tensor(2.0, dtype=torch.float64),
        "lora_unet_a.lora_down.weight": torch.randn(2, 5, 3, 3, generator=draw).half(),
        "lora_unet_a.lora_up.weight": torch.randn(4, 6, generator=draw).bfloat16().T,
        "ünï.count": torch.arange(3, dtype=torch.int32),
        "empty": torch.zeros(0, 4),
        "flag": torch.tensor([True, False]),
        "tiny": torch.randn(3, generator=draw).to(torch.float8_e4m3fn),
    }


def header(path: Path) -> dict:
    data = path.read_bytes()
    return json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])


def test_bytes_equal_the_library_s_without_metadata(tmp_path: Path):
    tensors = {name: tensor.contiguous() for name, tensor in mixed_tensors().items()}
    save_lora(tmp_path / "ours.safetensors", tensors, {})
    data = (tmp_path / "ours.safetensors").read_bytes()
    library = safetensors.torch.save(tensors)
    assert data[8 + struct.unpack("<Q", data[:8])[0] :] == library[8 + struct.unpack("<Q", library[:8])[0] :]
    entries = header(tmp_path / "ours.safetensors")
    del entries["__metadata__"]  # the two hashes
    assert list(entries.items()) == list(json.loads(library[8 : 8 + struct.unpack("<Q", library[:8])[0]]).items())


def test_round_trip_keeps_values_types_and_text(tmp_path: Path):
    text = {"ss_seed": "1", "note": 'quote " backslash \\ line\n tab\t ü 画 \x01'}
    written = save_lora(tmp_path / "x.safetensors", mixed_tensors(), text)
    loaded = load_lora(tmp_path / "x.safetensors")
    assert loaded.metadata == written == load_metadata(tmp_path / "x.safetensors")
    assert text.items() <= loaded.metadata.items()
    for name, tensor in mixed_tensors().items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name].double(), tensor.double())


def test_dtype_changes_floating_tensors_only(tmp_path: Path):
    save_lora(tmp_path / "x.safetensors", mixed_tensors(), {}, torch.float16)
    loaded = load_lora(tmp_path / "x.safetensors").tensors
    assert {name for name, tensor in loaded.items() if tensor.dtype != torch.float16} == {"ünï.count", "flag"}


def test_loaded_tensors_outlive_the_file(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    save_lora(path, {"a.alpha": torch.ones(4096)}, {})
    loaded = load_lora(path).tensors["a.alpha"]
    path.write_bytes(b"\0" * path.stat().st_size)
    assert torch.equal(loaded, torch.ones(4096))


def test_equal_content_gives_equal_bytes_in_every_process(tmp_path: Path):
    program = f"""
import sys; sys.path.insert(0, {str(ROOT)!r})
import torch
from pathlib import Path
from training.files.lora_file import save_lora
save_lora(Path(sys.argv[1]), {{"b.x": torch.ones(2), "a.x": torch.zeros(3)}}, {{str(i): "v" for i in range(40)}})
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "1")], check=True)
    backwards = {"a.x": torch.zeros(3), "b.x": torch.ones(2)}
    save_lora(tmp_path / "2", backwards, {str(i): "v" for i in reversed(range(40))})
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("size", [10, 400_000])
def test_hashes_equal_an_independent_computation(size: int):
    tensors = {"a.w": torch.arange(size, dtype=torch.float32), "b.w": torch.ones(7).half()}
    metadata = {"ss_seed": "5", "ss_note": 'ü"\\\n', "modelspec.title": "not part of it"}
    kept = {key: text for key, text in metadata.items() if key.startswith("ss_")}
    data = safetensors.torch.save(tensors, kept)
    start = 8 + struct.unpack("<Q", data[:8])[0]
    hashes = lora_hashes(tensors, metadata)
    assert hashes["sshs_model_hash"] == hashlib.sha256(data[start:]).hexdigest()
    assert hashes["sshs_legacy_hash"] == hashlib.sha256(data[0x100000:0x110000]).hexdigest()[:8]
    assert (hashes["sshs_legacy_hash"] == "e3b0c442") == (size == 10)


def test_hashes_in_the_file_are_those_of_the_stored_type(tmp_path: Path):
    tensors = {"a.w": torch.randn(100, generator=torch.Generator().manual_seed(0))}
    written = save_lora(tmp_path / "x.safetensors", tensors, {"sshs_model_hash": "stale"}, torch.bfloat16)
    data = (tmp_path / "x.safetensors").read_bytes()
    assert written["sshs_model_hash"] == hashlib.sha256(data[8 + struct.unpack("<Q", data[:8])[0] :]).hexdigest()


def test_file_hashes(tmp_path: Path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(os.urandom(0x120000))
    assert file_hash(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert legacy_file_hash(path) == hashlib.sha256(path.read_bytes()[0x100000:0x110000]).hexdigest()[:8]


def header_size(path: Path) -> int:
    return struct.unpack("<Q", path.read_bytes()[:8])[0]


def test_a_small_header_keeps_everything(tmp_path: Path):
    metadata = {"workflow": "{}", "prompt": "{}", "ss_tag_frequency": '{"a": {"b": 1}}'}
    assert metadata.items() <= save_lora(tmp_path / "x", {"a.x": torch.ones(1)}, metadata).items()


def test_rare_tags_go_first(tmp_path: Path):
    tags = {"folder": {f"tag {n}": n for n in range(100_000)}}
    metadata = {"workflow": '"w"', "prompt": '"p"', "ss_tag_frequency": json.dumps(tags)}
    kept = save_lora(tmp_path / "x", {"a.x": torch.ones(1)}, metadata)
    assert json.loads(kept["ss_tag_frequency"])["folder"] == {f"tag {n}": n for n in range(99_999, 99_899, -1)}
    assert kept["prompt"] == '"p"'
    assert header_size(tmp_path / "x") <= LIBRARY_LIMIT


def test_the_workflow_stays_where_the_canvas_can_still_read_it(tmp_path: Path):
    metadata = {"workflow": "ü" * 600_000, "prompt": "p" * 900_000, "ss_datasets": "d" * 500}
    kept = save_lora(tmp_path / "x", {"a.x": torch.ones(1)}, metadata)
    assert kept["workflow"] == metadata["workflow"]
    assert kept[NOTE_KEY] == "prompt, ss_datasets"
    assert LIBRARY_LIMIT < header_size(tmp_path / "x") <= DROP_LIMIT


def test_a_workflow_too_large_for_the_canvas_goes(tmp_path: Path):
    kept = save_lora(tmp_path / "x", {"a.x": torch.ones(1)}, {"workflow": "w" * (5 << 20), "ss_seed": "1"})
    assert "workflow" not in kept
    assert kept["ss_seed"] == "1"
    assert header_size(tmp_path / "x") <= LIBRARY_LIMIT


@pytest.mark.parametrize(("content", "message"), [(b"not a model", "not a readable safetensors"), (None, "not exist")])
def test_refuses_what_is_no_lora_by_name(tmp_path: Path, content: bytes | None, message: str):
    path = tmp_path / "broken.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"broken.safetensors.*{message}"):
        load_lora(path)


def test_refuses_a_type_safetensors_cannot_hold(tmp_path: Path):
    with pytest.raises(ValueError, match="a.x.*complex64"):
        save_lora(tmp_path / "x", {"a.x": torch.zeros(2, dtype=torch.complex64)}, {})
    assert names(tmp_path) == []


@pytest.mark.parametrize(("alpha", "stays"), [(16.0, False), (0.3, True), (301.0, True)])
def test_an_alpha_that_the_type_cannot_hold_stays_exact(tmp_path: Path, alpha: float, stays: bool):
    save_lora(tmp_path / "x.safetensors", {"a.alpha": torch.tensor(alpha), "a.diff": torch.ones(2)}, {}, torch.bfloat16)
    loaded = load_lora(tmp_path / "x.safetensors").tensors
    assert loaded["a.alpha"] == torch.tensor(alpha)
    assert loaded["a.alpha"].dtype == (torch.float32 if stays else torch.bfloat16)
    assert loaded["a.diff"].dtype == torch.bfloat16


def test_what_would_become_infinite_is_refused_and_what_is_infinite_is_kept(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="dtype.*a.diff.*70000.*fp16"):
        save_lora(path, {"a.diff": torch.tensor([1.0, 7e4])}, {}, torch.float16)
    assert not path.exists()
    save_lora(path, {"a.diff": torch.tensor([1.0, torch.inf])}, {}, torch.float16)
    assert load_lora(path).tensors["a.diff"][1] == torch.inf


def test_hashes_of_the_file_before_are_not_kept(tmp_path: Path):
    old = {"sshs_model_hash": "1", "sshs_legacy_hash": "2", "modelspec.hash_sha256": "0x3", "kept": "yes"}
    written = save_lora(tmp_path / "x.safetensors", {"a.diff": torch.ones(2)}, old)
    assert written["kept"] == "yes"
    assert not set(old.values()) - {"yes"} & set(written.values())


@pytest.mark.parametrize("text", ["None", "[]", '{"a": [1]}', '{"a": {"b": null, "c": 1}}'])
def test_tags_of_other_tools_that_are_none_do_not_keep_a_file_from_being_saved(tmp_path: Path, text: str):
    written = save_lora(tmp_path / "x", {"a.diff": torch.ones(2)}, {"ss_tag_frequency": text, "x": "y" * LIBRARY_LIMIT})
    assert written[NOTE_KEY] == "ss_tag_frequency"

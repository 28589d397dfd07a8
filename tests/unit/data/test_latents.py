"""The cache: encoded once, found again, never stale."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.tests.support.pictures import Encoder, dataset, picture, save
from pack.training.data.buckets import BucketSettings
from pack.training.data.dataset import with_buckets
from pack.training.data.folder import scan_folder
from pack.training.data.latents import UnreadableImages
from pack.training.data.prepare import prepare

ON_DISK = BucketSettings(resolution=64, cache="disk")


def latents(data, cache_dir, encoder=None, settings=ON_DISK, encoder_id="vae"):
    prepared = prepare(with_buckets(data, settings), encoder or Encoder(), "sd15", encoder_id, cache_dir)
    plans = prepared.epoch(1, 0, 0)
    loaded = [prepared.load(plan, 0, 0, 0, 1) for plan in plans]
    return {batch.captions[0]: batch.latents_BCHW[0] for batch in loaded}


def test_disk_gives_the_bits_of_memory_and_encodes_once(tmp_path):
    data, encoder = dataset([(64, 64)] * 5), Encoder()
    fresh = latents(data, tmp_path, encoder)
    again = latents(data, tmp_path, encoder)
    memory = latents(data, None, settings=replace(ON_DISK, cache="ram"))
    assert encoder.num_images == 5
    assert all(torch.equal(fresh[c], again[c]) and torch.equal(fresh[c], memory[c]) for c in fresh)


@pytest.mark.parametrize(
    "change",
    [
        {"encoder_id": "other vae"},
        {"settings": BucketSettings(resolution=128, cache="disk")},
        {"settings": replace(ON_DISK, use_alpha_masks=True)},
    ],
)
def test_another_encoder_or_placement_is_encoded_again(tmp_path, change):
    data, encoder = dataset([(64, 64)] * 3), Encoder()
    latents(data, tmp_path)
    latents(data, tmp_path, encoder, **change)
    assert encoder.num_images == 3


def test_flip_adds_only_the_mirrored_views(tmp_path):
    data = dataset([(64, 64)] * 3)
    plain = latents(data, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.safetensors")}
    latents(data, tmp_path, settings=replace(ON_DISK, flip=True))
    assert all(path.read_bytes() == data for path, data in before.items())
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2 * len(plain)


def test_a_picture_edited_under_its_old_name_is_encoded_again(tmp_path):
    path = save(tmp_path / "set" / "a.png", picture(1), "caption")
    before = latents(scan_folder(tmp_path / "set"), tmp_path / "cache")
    save(path, picture(2))
    after = latents(scan_folder(tmp_path / "set"), tmp_path / "cache")
    assert not torch.equal(before["caption"], after["caption"])
    assert torch.equal(after["caption"], latents(scan_folder(tmp_path / "set"), tmp_path / "other")["caption"])


def test_a_picture_edited_with_its_size_and_time_kept_is_encoded_again(tmp_path):
    path = save(tmp_path / "set" / "a.bmp", picture(1), "caption")
    stat = path.stat()
    before = latents(scan_folder(tmp_path / "set"), tmp_path / "cache")
    save(path, picture(2))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    after = latents(scan_folder(tmp_path / "set"), tmp_path / "cache")
    assert not torch.equal(before["caption"], after["caption"])


@pytest.mark.parametrize("folder", ["set", "masks"])
def test_a_picture_edited_before_it_was_encoded_is_kept_under_no_other_s_name(tmp_path, folder):
    save(tmp_path / "masks" / "a.png", picture(3)[..., 0])
    save(tmp_path / "set" / "a.png", picture(1), "caption")
    data = scan_folder(tmp_path / "set", mask_folder=tmp_path / "masks")
    save(tmp_path / folder / "a.png", picture(2))
    with pytest.raises(UnreadableImages, match="a.png changed since"):
        latents(data, tmp_path / "cache")
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("damage", [lambda data: data[:-10], lambda data: b"", lambda data: b"x" * 100])
def test_damaged_files_are_written_again(tmp_path, damage):
    data = dataset([(64, 64)] * 3)
    fresh = latents(data, tmp_path)
    victim = min(tmp_path.rglob("*.safetensors"))
    good = victim.read_bytes()
    victim.write_bytes(damage(good))
    again = latents(data, tmp_path)
    assert all(torch.equal(fresh[caption], again[caption]) for caption in fresh)
    assert victim.read_bytes() == good


class GroupSensitiveEncoder(Encoder):
    """Gives latents that depend on the batch, as convolution kernels do in their last bits."""

    def __call__(self, pixels_BHWC):
        return super().__call__(pixels_BHWC) + 1e-3 * pixels_BHWC.mean()


def test_an_interrupted_preparation_ends_with_the_same_bits(tmp_path):
    data = dataset([(64, 64)] * 9)
    expected = latents(data, tmp_path / "whole", GroupSensitiveEncoder())
    latents(data, tmp_path / "cut", GroupSensitiveEncoder())
    for path in sorted((tmp_path / "cut").rglob("*.safetensors"))[::2]:
        path.unlink()
    found = latents(data, tmp_path / "cut", GroupSensitiveEncoder())
    assert all(torch.equal(expected[caption], found[caption]) for caption in expected)


@pytest.mark.parametrize("arguments", [{"cache_dir": None}, {"encoder_id": ""}])
def test_without_a_folder_or_a_name_for_the_encoder_latents_stay_in_memory(arguments, tmp_path):
    data = dataset([(64, 64)])
    expected = latents(data, tmp_path / "cache")
    found = latents(data, **{"cache_dir": tmp_path / "unused", **arguments})
    assert all(torch.equal(expected[caption], found[caption]) for caption in expected)
    assert not (tmp_path / "unused").exists()


def test_a_cache_that_cannot_be_written_leaves_latents_in_memory(tmp_path):
    data, encoder = dataset([(64, 64)] * 3), Encoder()
    expected = latents(data, tmp_path / "cache")
    (tmp_path / "file").write_bytes(b"")
    found = latents(data, tmp_path / "file", encoder)
    assert all(torch.equal(expected[caption], found[caption]) for caption in expected)
    assert encoder.num_images == 3


def test_pictures_gone_before_training_are_all_named(tmp_path):
    for seed in range(40):
        save(tmp_path / f"{seed}.png", picture(seed), "caption")
    data = scan_folder(tmp_path)
    (tmp_path / "3.png").unlink()
    (tmp_path / "38.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"cannot be read") as error:
        prepare(data, Encoder(), "sd15")
    assert "3.png" in str(error.value) and "38.png" in str(error.value)


def test_latents_that_are_no_numbers_are_refused_by_name():
    def broken(pixels_BHWC):
        return Encoder()(pixels_BHWC) * float("nan")

    with pytest.raises(ValueError, match=r"NaN.*image 1.*float32"):
        prepare(dataset([(64, 64)]), broken, "sd15")


def test_latents_are_float32_on_the_cpu_without_their_batch():
    prepared = prepare(dataset([(64, 64)] * 4), lambda pixels: Encoder()(pixels).half(), "sd15")
    batch = prepared.load(prepared.epoch(2, 0, 0)[0], 0, 0, 0, 1)
    assert batch.latents_BCHW.dtype == torch.float32
    assert batch.latents_BCHW.device.type == "cpu"


def test_no_temporary_file_is_left(tmp_path: Path):
    latents(dataset([(64, 64)] * 3), tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".safetensors"}

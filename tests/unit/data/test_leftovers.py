"""Folders as people bring them: each thing is used or named once, with the count."""

import json

import numpy as np
import pytest
import torch
from pack.tests.support.pictures import picture, save
from pack.training.data.buckets import BucketSettings
from pack.training.data.dataset import Dataset, with_buckets
from pack.training.data.editor import set_excluded
from pack.training.data.entries import list_entries
from pack.training.data.export import write_dataset
from pack.training.data.folder import scan_folder
from pack.training.data.prepare import prepare


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / "set" / f"{name}.png", picture(seed), "caption")
    return tmp_path / "set"


def captions(dataset: Dataset) -> dict[str, tuple[str, ...]]:
    return {item.name: item.captions for subset in dataset.subsets for item in subset.items}


def test_a_clean_folder_has_nothing_to_say(folder):
    (folder / "marks.json").write_text('{"regularization": ["b.png"]}', encoding="utf-8")
    (folder / ".hidden").write_text("x", encoding="utf-8")
    assert not scan_folder(folder).notes


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("c.gif", "pictures of formats"),
        ("c.TIFF", "pictures of formats"),
        ("sub/c.heic", "pictures of formats"),
        ("c.jfif", "pictures of formats"),
        ("c.txt", "caption files of no picture"),
        ("A.txt", "caption files of no picture"),
        ("a.caption", "caption files beside"),
        ("a.tXt", "caption files beside"),
        ("a.npz", "other files"),
        ("meta.json", "other files"),
        ("notes", "other files"),
        (".a.png", "hidden pictures"),
        (".ipynb_checkpoints/a.JPG", "hidden pictures"),
    ],
)
def test_what_is_not_used_is_named(folder, name, words):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    (note,) = scan_folder(folder).notes
    assert words in note
    assert f": 1 ({name})" in note


def test_pictures_that_the_gallery_laid_aside_and_data_of_macos_are_not_named(folder):
    set_excluded(folder, "b.png", True)
    (folder / "._a.png").write_bytes(b"x")
    assert not scan_folder(folder).notes


def test_masks_of_other_proportions_are_named(folder, tmp_path):
    for name, width in (("a", 128), ("b", 64)):
        save(tmp_path / "masks" / f"{name}.png", np.full((64, width, 3), 255, np.uint8))
    notes = scan_folder(folder, mask_folder=tmp_path / "masks").notes
    assert any("proportions" in note and ": 1 (a)" in note for note in notes)


def test_linked_folders_are_named_and_not_entered(folder, tmp_path):
    save(tmp_path / "elsewhere" / "c.png", picture(5), "caption")
    (folder / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    dataset = scan_folder(folder)
    assert set(captions(dataset)) == {"a.png", "b.png"}
    assert any("linked folders" in note and "1 (link)" in note for note in dataset.notes)


MASK_NAMES = ["a-masklabel.png", "a_mask.png", "a.mask.png", "a-MASK.jpg"]


@pytest.mark.parametrize("name", MASK_NAMES)
def test_masks_beside_pictures_are_used_as_masks(folder, name):
    save(folder / name, picture(6)[..., 0])
    dataset = scan_folder(folder)
    items = {item.name: item for subset in dataset.subsets for item in subset.items}
    assert set(items) == {"a.png", "b.png"}
    assert items["a.png"].mask == folder / name and items["a.png"].mask_hash
    assert items["b.png"].mask is None
    (note,) = dataset.notes
    assert "used as masks" in note and f": 1 ({name})" in note
    assert [entry.name for entry in list_entries(folder)] == ["a.png", "b.png"], "the gallery shows pictures alone"


@pytest.mark.parametrize("other", [picture(6), picture(6, 64, 32)[..., 0]], ids=["color", "proportions"])
@pytest.mark.parametrize("name", MASK_NAMES)
def test_pictures_named_like_masks_are_named(folder, name, other):
    save(folder / name, other, "caption")
    dataset = scan_folder(folder)
    assert name in captions(dataset)
    (note,) = dataset.notes
    assert "trained as pictures" in note and f": 1 ({name})" in note


def test_of_two_masks_the_folder_s_own_counts_and_the_other_is_named(folder, tmp_path):
    save(folder / "a-masklabel.png", picture(6)[..., 0])
    for name in "ab":
        save(tmp_path / "masks" / f"{name}.png", picture(3)[..., 0])
    dataset = scan_folder(folder, mask_folder=tmp_path / "masks")
    assert {item.mask.parent for subset in dataset.subsets for item in subset.items} == {tmp_path / "masks"}
    (note,) = dataset.notes
    assert "not used" in note and "1 (a-masklabel.png)" in note


def test_an_excluded_picture_takes_its_mask_along_and_brings_it_back(folder):
    save(folder / "a-masklabel.png", picture(6)[..., 0])
    name = set_excluded(folder, "a.png", is_excluded=True)
    assert set(captions(scan_folder(folder))) == {"b.png"}
    set_excluded(folder, name, is_excluded=False)
    (masked,) = (item for subset in scan_folder(folder).subsets for item in subset.items if item.mask)
    assert masked.name == "a.png"


def test_a_mask_beside_a_picture_weighs_its_loss(folder):
    mask = np.zeros((64, 64), np.uint8)
    mask[:, :32] = 255
    save(folder / "a_mask.png", mask)
    shown = with_buckets(scan_folder(folder), BucketSettings(resolution=64, bucket_step=64))
    prepared = prepare(shown, lambda pixels: torch.zeros(len(pixels), 4, 8, 8), "sd15")
    batch = prepared.load(prepared.epoch(2, 0, 0)[0], 0, 0, 0, 1)
    whole = [bool((one == 1).all()) for one in batch.mask_B1HW]
    assert sorted(whole) == [False, True]
    (half,) = (one for one in batch.mask_B1HW if not (one == 1).all())
    assert half[0, :, :4].eq(1).all() and half[0, :, 4:].eq(0).all()


def test_a_picture_called_mask_is_one(folder):
    save(folder / "mask.png", picture(6), "a mask")
    assert not scan_folder(folder).notes


@pytest.mark.parametrize("suffix", [".TXT", ".Txt", ".CAPTION"])
def test_caption_files_of_other_letter_case_are_read(folder, suffix):
    (folder / "a.txt").rename(folder / f"a{suffix}")
    dataset = scan_folder(folder)
    assert captions(dataset)["a.png"] == ("caption",)
    assert not dataset.notes


def test_masks_and_pictures_without_each_other_are_named(folder, tmp_path):
    for name in ("a", "c"):
        save(tmp_path / "masks" / f"{name}.png", picture(3)[..., 0])
    notes = scan_folder(folder, mask_folder=tmp_path / "masks").notes
    assert any("masks of no picture: 1 (c)" in note for note in notes)
    assert any("pictures without masks: 1 (b)" in note for note in notes)


def test_json_entries_and_pictures_without_each_other_are_named(folder):
    (folder / "meta.json").write_text(json.dumps({"a": "one", "gone.png": "two"}), encoding="utf-8")
    notes = scan_folder(folder, metadata=folder / "meta.json").notes
    assert any("entries in meta.json of no picture: 1 (gone)" in note for note in notes)
    assert any("pictures without entries in meta.json: 1 (b)" in note for note in notes)


def test_pictures_left_out_by_their_folder_s_name_are_named(folder):
    save(folder / "0_off" / "c.png", picture(4), "caption")
    (note,) = scan_folder(folder).notes
    assert "1 (0_off/c.png)" in note


@pytest.mark.parametrize("name", ["v1.2 a", "v1.2 a.png", "mr. fox"])
def test_json_names_with_dots_keep_their_captions(tmp_path, name):
    stem = name.removesuffix(".png")
    save(tmp_path / f"{stem}.png", picture(0))
    (tmp_path / "meta.json").write_text(json.dumps({name: {"caption": "told"}}), encoding="utf-8")
    assert captions(scan_folder(tmp_path, metadata=tmp_path / "meta.json")) == {f"{stem}.png": ("told",)}


def test_tags_of_an_entry_go_behind_each_line_of_its_caption(tmp_path):
    save(tmp_path / "a.png", picture(0))
    entry = {"caption": "a fox\nan animal", "tags": "sky\ntree"}
    (tmp_path / "meta.json").write_text(json.dumps({"a": entry}), encoding="utf-8")
    found = captions(scan_folder(tmp_path, metadata=tmp_path / "meta.json"))
    assert found["a.png"] == ("a fox, sky, tree", "an animal, sky, tree")


def test_a_blank_caption_comes_back_blank(folder, tmp_path):
    (folder / "a.txt").write_bytes(b"")
    dataset = scan_folder(folder)
    assert captions(dataset) == {"a.png": ("",), "b.png": ("caption",)}
    write_dataset(dataset, tmp_path / "written")
    assert sorted(captions(scan_folder(tmp_path / "written")).values()) == [("",), ("caption",)]

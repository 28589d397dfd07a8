"""Folders as people bring them: each thing is used or named once, with the count."""

import json

import pytest
from pack.tests.support.pictures import picture, save
from pack.training.data.dataset import Dataset
from pack.training.data.export import write_dataset
from pack.training.data.folder import scan_folder


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
    ],
)
def test_what_is_not_used_is_named(folder, name, words):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    (note,) = scan_folder(folder).notes
    assert words in note
    assert f": 1 ({name})" in note


def test_linked_folders_are_named_and_not_entered(folder, tmp_path):
    save(tmp_path / "elsewhere" / "c.png", picture(5), "caption")
    (folder / "link").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    dataset = scan_folder(folder)
    assert set(captions(dataset)) == {"a.png", "b.png"}
    assert any("linked folders" in note and "1 (link)" in note for note in dataset.notes)


@pytest.mark.parametrize("name", ["a-masklabel.png", "a_mask.png", "a.mask.png", "a-MASK.png"])
def test_masks_beside_pictures_are_named(folder, name):
    save(folder / name, picture(6), "caption")
    (note,) = scan_folder(folder).notes
    assert "look like masks" in note
    assert f": 1 ({name})" in note


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

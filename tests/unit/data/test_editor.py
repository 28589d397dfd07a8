"""Editing a folder of images: nothing is lost, all can be taken back, nothing outside is touched."""

import json

import pytest
from pack.training.data.editor import (
    edit_tag,
    image_path,
    keep_files,
    list_entries,
    save_captions,
    set_excluded,
    set_marks,
    set_removed,
    tag_counts,
)
from pack.training.data.folder import scan_folder
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "data"
    (folder / "3_fox").mkdir(parents=True)
    for name, caption in (("2.png", "fox, red hair"), ("10.png", "fox, (red hair:1.2), day"), ("3_fox/a b.png", None)):
        Image.new("RGB", (8, 8), (9, 9, 9)).save(folder / name)
        if caption is not None:
            (folder / name).with_suffix(".txt").write_text(caption)
    (tmp_path / "outside.png").write_bytes(b"x")
    return folder


def captions(folder):
    return {entry.name: entry.caption for entry in list_entries(folder)}


def test_entries_are_in_natural_order_with_tags_counted(folder):
    assert list(captions(folder)) == ["2.png", "3_fox/a b.png", "10.png"]
    assert tag_counts(list_entries(folder))[0] == ("fox", 2)


def test_captions_are_written_and_come_back(folder):
    before = save_captions(folder, {"2.png": "new\nline <b>", "3_fox/a b.png": "first"})
    assert (folder / "3_fox" / "a b.txt").read_text() == "first"
    assert captions(folder)["2.png"] == "new\nline <b>"
    save_captions(folder, before)
    assert captions(folder)["2.png"] == "fox, red hair"


def test_a_caption_stays_in_the_file_it_has(folder):
    (folder / "2.txt").rename(folder / "2.caption")
    save_captions(folder, {"2.png": "changed"})
    assert (folder / "2.caption").read_text() == "changed"
    assert not (folder / "2.txt").exists()


def test_a_tag_is_renamed_and_removed_everywhere_and_back(folder):
    whole = captions(folder)
    before = edit_tag(folder, "FOX", "zorblax")
    assert sorted(before) == ["10.png", "2.png"]
    assert captions(folder)["10.png"] == "zorblax, (red hair:1.2), day"
    again = edit_tag(folder, "zorblax", "")
    assert captions(folder)["2.png"] == "red hair"
    save_captions(folder, again)
    save_captions(folder, before)
    assert captions(folder) == whole
    assert edit_tag(folder, "nobody has this", "x") == {}


def test_excluded_images_are_not_trained_and_come_back_whole(folder):
    name = set_excluded(folder, "2.png", is_excluded=True)
    assert name == ".excluded/2.png"
    assert not any(item.name == "2.png" for subset in scan_folder(folder).subsets for item in subset.items)
    entry = next(entry for entry in list_entries(folder) if entry.name == name)
    assert (entry.is_excluded, entry.caption) == (True, "fox, red hair")
    assert [entry.name for entry in list_entries(folder)][0] == name, "it keeps its place in the list"
    assert set_excluded(folder, name, is_excluded=False) == "2.png"
    assert captions(folder)["2.png"] == "fox, red hair"


def test_excluding_never_overwrites(folder):
    set_excluded(folder, "2.png", is_excluded=True)
    Image.new("RGB", (4, 4)).save(folder / "2.png")
    with pytest.raises(ValueError, match="another '2.png'"):
        set_excluded(folder, "2.png", is_excluded=True)


def test_marks_lie_in_a_file_of_the_folder_and_are_taken_back(folder):
    marks = {"2.png": "validation", "3_fox/a b.png": "regularization"}
    before = set_marks(folder, marks)
    assert before == {"2.png": None, "3_fox/a b.png": None}
    assert json.loads((folder / "marks.json").read_text()) == {
        "regularization": ["3_fox/a b.png"], "validation": ["2.png"],
    }  # fmt: skip
    assert {entry.name: entry.mark for entry in list_entries(folder)} == {**marks, "10.png": None}
    assert set_marks(folder, {"2.png": "regularization"}) == {"2.png": "validation"}
    set_marks(folder, before)
    assert not (folder / "marks.json").exists()


def test_a_mark_stays_while_an_image_is_excluded(folder):
    set_marks(folder, {"2.png": "validation"})
    name = set_excluded(folder, "2.png", is_excluded=True)
    assert next(entry.mark for entry in list_entries(folder) if entry.name == name) == "validation"
    assert set_marks(folder, {name: "validation"}) == {name: "validation"}
    assert not scan_folder(folder).held_out
    set_excluded(folder, name, is_excluded=False)
    assert [item.name for subset in scan_folder(folder).held_out for item in subset.items] == ["2.png"]


def test_marks_of_other_images_are_refused_and_a_broken_file_is_named(folder):
    with pytest.raises(ValueError, match="no image"):
        set_marks(folder, {"2.png": "validation", "../outside.png": "validation"})
    assert not (folder / "marks.json").exists()
    for text in ("{", "[]", '{"validation": "2.png"}', '{"other": []}', '{"validation": [1]}'):
        (folder / "marks.json").write_text(text)
        with pytest.raises(ValueError, match=r"data/marks\.json must have the form"):
            list_entries(folder)
        with pytest.raises(ValueError, match=r"marks\.json"):
            set_marks(folder, {"2.png": "validation"})
        assert (folder / "marks.json").read_text() == text


def test_added_images_are_taken_back_with_their_captions_and_not_deleted(folder):
    (name,) = set_removed(folder, ["2.png"], is_removed=True)
    assert "2.png" not in captions(folder)
    assert not any(item.name == "2.png" for subset in scan_folder(folder).subsets for item in subset.items)
    assert (folder / name).with_suffix(".txt").read_text() == "fox, red hair"
    assert set_removed(folder, [name], is_removed=False) == ["2.png"]
    assert captions(folder)["2.png"] == "fox, red hair"
    with pytest.raises(ValueError, match="no image"):
        set_removed(folder, ["10.png", "../outside.png"], is_removed=True)
    assert "10.png" in captions(folder)


def test_kept_pictures_get_names_of_their_own_and_stay_byte_for_byte(folder, tmp_path):
    picture = tmp_path / "2.png"
    Image.new("RGB", (5, 5), (1, 2, 3)).save(picture)
    names = keep_files([picture, picture], folder, "a fox")
    assert names == ["2-2.png", "2-3.png"]
    assert (folder / "2-3.png").read_bytes() == picture.read_bytes()
    assert captions(folder)["2-2.png"] == "a fox"
    assert keep_files([picture], tmp_path / "new" / "set", "b") == ["2.png"]


@pytest.mark.parametrize(
    "name", ["../outside.png", "/etc/passwd", "2.txt", "", ".", "3_fox", "nobody.png", "3_fox/../2.png"]
)
def test_names_that_are_no_image_of_the_folder_are_refused(folder, name):
    with pytest.raises(ValueError, match="no image"):
        image_path(folder, name)
    with pytest.raises(ValueError, match="no image"):
        save_captions(folder, {"2.png": "x", name: "y"})
    assert captions(folder)["2.png"] == "fox, red hair"


def test_links_out_of_the_folder_are_refused(folder, tmp_path):
    (folder / "link.png").symlink_to(tmp_path / "outside.png")
    with pytest.raises(ValueError, match="no image"):
        image_path(folder, "link.png")

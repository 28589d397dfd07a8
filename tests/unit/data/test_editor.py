"""Editing a folder of images: nothing is lost, all can be taken back, nothing outside is touched."""

import json
import os
import shutil
import sys
import threading

import pytest
from pack.training.data.caption_files import CaptionRules
from pack.training.data.editor import (
    Changed,
    edit_tag,
    image_path,
    keep_files,
    list_entries,
    list_folder,
    list_some,
    save_captions,
    set_excluded,
    set_marks,
    set_removed,
    tag_counts,
)
from pack.training.data.entries import entries_of, read_listing
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
        with pytest.raises(ValueError, match=r"data/marks\.json"):
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


def versions(folder, rules=None):
    return {entry.name: entry.version for entry in list_entries(folder, *[rules] * bool(rules))}


def test_an_edit_of_what_has_changed_meanwhile_is_refused_whole(folder):
    based_on = versions(folder)
    save_captions(folder, {"10.png": "by another"}, versions=based_on)
    with pytest.raises(Changed, match=r"10\.png") as refused:
        save_captions(folder, {"2.png": "mine", "10.png": "mine too"}, versions=based_on)
    assert refused.value.names == ("10.png",)
    assert (captions(folder)["2.png"], captions(folder)["10.png"]) == ("fox, red hair", "by another")
    (folder / "3_fox" / "a b.txt").write_text("from an editor outside")
    with pytest.raises(Changed, match="a b"):
        save_captions(folder, {"3_fox/a b.png": "x"}, versions=based_on)
    save_captions(folder, {"2.png": "mine"}, versions=based_on)
    assert captions(folder)["2.png"] == "mine"
    set_marks(folder, {"2.png": "validation"}, {"2.png": None})
    with pytest.raises(Changed, match=r"2\.png"):
        set_marks(folder, {"2.png": None}, {"2.png": "regularization"})


def test_a_version_of_one_folder_fits_no_other_one(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for name in ("2.png", "2.txt"):
        (other / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(Changed):
        save_captions(other, {"2.png": "x"}, versions=versions(folder))
    assert (other / "2.txt").read_text() == "fox, red hair"


@pytest.mark.parametrize("extension", [".tags", "tags", ".caption"])
def test_the_caption_that_is_trained_is_shown_and_edited(folder, extension):
    suffix = f".{extension.lstrip('.')}"
    (folder / f"2{suffix}").write_text("trained")
    rules = CaptionRules(extension)
    assert next(entry.caption for entry in list_entries(folder, rules) if entry.name == "2.png") == "trained"
    save_captions(folder, {"2.png": "edited", "3_fox/a b.png": "new"}, rules)
    assert (folder / "2.txt").read_text() == "fox, red hair"
    assert (folder / "3_fox" / f"a b{suffix}").read_text() == "new"
    trained = {item.name: item.captions[0] for sub in scan_folder(folder, extension).subsets for item in sub.items}
    assert trained == {entry.name: entry.caption for entry in list_entries(folder, rules)}
    moved = set_excluded(folder, "2.png", is_excluded=True, rules=rules)
    assert entries_of(folder, [moved], rules)[0].caption == "edited"


def test_captions_of_a_metadata_file_are_shown_and_say_where_to_edit_them(folder):
    (folder / "meta.json").write_text(json.dumps({"2.png": {"caption": "from metadata"}}))
    rules = CaptionRules(metadata=folder / "meta.json")
    shown = {entry.name: (entry.caption, entry.metadata) for entry in list_entries(folder, rules)}
    assert shown["2.png"] == ("from metadata", "meta.json")
    assert shown["10.png"] == ("fox, (red hair:1.2), day", "")
    with pytest.raises(ValueError, match=r"meta\.json"):
        save_captions(folder, {"2.png": "x"}, rules)
    assert list(edit_tag(folder, "fox", "cat", rules)) == ["10.png"]
    assert (folder / "2.txt").read_text() == "fox, red hair"


@pytest.mark.parametrize("extension", ["", ".png", ".json", "../x", ".t/xt", ".."])
def test_captions_are_written_to_text_files_only(extension):
    with pytest.raises(ValueError, match="caption_extension"):
        CaptionRules(extension)


def test_what_cannot_be_read_hides_nothing_else(folder):
    (folder / "2.txt").write_bytes(b"\xff\xfe broken")
    (folder / "marks.json").write_text("{")
    (folder / "gone.png").symlink_to(folder / "nowhere.png")
    listing = read_listing(folder, CaptionRules(metadata=folder / "no.json"))
    by_name = {entry.name: entry for entry in listing.entries}
    assert list(by_name) == ["2.png", "3_fox/a b.png", "10.png"]
    assert "UTF-8" in by_name["2.png"].problem
    assert by_name["10.png"].caption == "fox, (red hair:1.2), day"
    assert [any(word in problem for problem in listing.problems) for word in ("marks.json", "no.json")] == [True, True]
    (folder / "marks.json").unlink()
    assert list(edit_tag(folder, "fox", "cat")) == ["10.png"], "the broken file is left as it is"
    assert (folder / "2.txt").read_bytes() == b"\xff\xfe broken"


@pytest.fixture
def shared(folder):
    """Two pictures of one stem, so of one caption."""
    Image.new("RGB", (4, 4)).save(folder / "2.jpg")
    return folder


def test_pictures_of_one_stem_keep_their_caption_when_one_is_left_out(shared):
    assert [entry.name for entry in entries_of(shared, ["2.png"])] == ["2.jpg", "2.png"]
    name = set_excluded(shared, "2.png", is_excluded=True)
    assert (captions(shared)["2.jpg"], captions(shared)[name]) == ("fox, red hair", "fox, red hair")
    save_captions(shared, {"2.jpg": "edited meanwhile"})
    set_excluded(shared, name, is_excluded=False)
    assert captions(shared)["2.jpg"] == "edited meanwhile", "what is trained stays"
    assert [path.read_text() for path in (shared / ".removed").glob("*.txt")] == ["fox, red hair"], "nothing is deleted"


def test_both_of_one_stem_are_left_out_with_what_they_said_last(shared):
    first = set_excluded(shared, "2.png", is_excluded=True)
    save_captions(shared, {"2.jpg": "newer"})
    second = set_excluded(shared, "2.jpg", is_excluded=True)
    assert captions(shared)[first] == captions(shared)[second] == "newer"
    texts = {path.read_text() for path in shared.rglob("*.txt")} | {
        path.read_text() for path in shared.glob(".*/*.txt")
    }
    assert {"newer", "fox, red hair"} <= texts


def test_a_kept_picture_takes_no_name_that_shares_a_caption(folder, tmp_path):
    (folder / "2.txt").unlink()
    Image.new("RGB", (5, 5)).save(tmp_path / "2.webp")
    (name,) = keep_files([tmp_path / "2.webp"], folder, "kept")
    assert captions(folder) | {name: "kept"} == captions(folder)
    assert captions(folder)["2.png"] == ""


def test_adding_and_taking_back_again_and_again_keeps_every_copy(folder):
    for number in range(4):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(folder / "new.png")
        (folder / "new.txt").write_text(f"caption {number}")
        set_removed(folder, ["new.png"], is_removed=True)
    kept = sorted((folder / ".removed").glob("*.png"))
    assert len(kept) == 4
    assert sorted(path.with_suffix(".txt").read_text() for path in kept) == [f"caption {number}" for number in range(4)]


def test_renaming_and_saving_at_once_lose_nothing(folder, quick_disk):
    """Tags go back and forth in one thread, captions are written in another: no text of either is lost."""
    for number in range(60):
        Image.new("RGB", (2, 2)).save(folder / f"n{number}.png")
        (folder / f"n{number}.txt").write_text("cat, sky")
    refused = 0

    def rename():
        for number in range(6):
            edit_tag(folder, *(("cat", "dog") if number % 2 == 0 else ("dog", "cat")))

    thread = threading.Thread(target=rename)
    thread.start()
    for number in range(60):
        name = f"n{number}.png"
        try:
            save_captions(folder, {name: f"cat, saved {number}"}, versions={name: versions(folder)[name]})
        except Changed:
            refused += 1
    thread.join()
    after = captions(folder)
    saved = sum(f"saved {number}" in after[f"n{number}.png"] for number in range(60))
    assert saved == 60 - refused
    assert all(text.startswith("cat, ") for name, text in after.items() if name.startswith("n"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems' names are always text")
def test_a_name_that_is_no_text_hides_no_other_image(folder):
    odd = os.fsdecode(b"old \xe9.png")
    shutil.copy(folder / "2.png", folder / odd)
    listing = read_listing(folder)
    assert [entry.name for entry in listing.entries] == ["2.png", "3_fox/a b.png", "10.png"]
    assert [("old" in problem, "rename" in problem) for problem in listing.problems] == [(True, True)]
    assert list(edit_tag(folder, "day", "night")) == ["10.png"]


def test_a_tag_is_renamed_in_more_images_than_a_page_shows(folder, quick_disk, monkeypatch):
    monkeypatch.setattr("pack.training.data.entries.MAX_ENTRIES", 2)
    assert len(read_listing(folder).entries) == 3
    assert sorted(edit_tag(folder, "fox", "cat")) == ["10.png", "2.png"]


def test_the_images_of_an_edit_are_looked_up_in_one_listing(folder, monkeypatch):
    """Else an edit of 5,000 captions lists their folder 5,000 times."""
    names = [f"many{number}.png" for number in range(200)]
    for name in names:
        (folder / name).write_bytes((folder / "2.png").read_bytes())
    calls, scandir = [], os.scandir
    monkeypatch.setattr("os.scandir", lambda path: calls.append(path) or scandir(path))
    assert len(entries_of(folder, names)) == 200
    assert len(calls) <= 1


def test_a_listing_beside_edits_has_every_image_with_its_caption(folder):
    def toggle():
        name = "2.png"
        for turn in range(200):
            name = set_excluded(folder, name, turn % 2 == 0)

    toggling = threading.Thread(target=toggle, daemon=True)
    toggling.start()
    seen = set()
    while toggling.is_alive():
        seen.add(tuple(entry.caption for entry in list_folder(folder).entries if entry.place == "2.png"))
        seen.add(tuple(entry.caption for entry in list_some(folder, ["2.png", ".excluded/2.png"])))
    assert seen == {("fox, red hair",)}

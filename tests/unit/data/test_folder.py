import json
import os
import sys

import pytest
from pack.tests.support.paths import ROOT
from pack.tests.support.pictures import picture, save
from pack.training.data.caption_files import CaptionReader, CaptionRules
from pack.training.data.folder import TAGGER_PAGE, list_images, scan_folder


def captions(dataset):
    return {item.name: item.captions for subset in dataset.subsets for item in subset.items}


def test_order_is_natural(tmp_path):
    for name in ("image 10", "image 2", "Image 1", "b/1"):
        save(tmp_path / f"{name}.png", picture(0), "caption")
    names = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert names == ["b/1.png", "Image 1.png", "image 2.png", "image 10.png"]


def test_kohya_folders_give_repeats_and_concepts(tmp_path):
    for seed, name in enumerate(("10_mia oc/a", "10_mia oc/at sea/b", "2_style/c", "plain/d", "e")):
        save(tmp_path / "set" / f"{name}.png", picture(seed))
    subsets = {subset.name: subset for subset in scan_folder(tmp_path / "set", repeats=3).subsets}
    assert {name: subset.repeats for name, subset in subsets.items()} == {
        "mia oc": 30,
        "style": 6,
        "plain": 3,
        "set": 3,
    }
    assert [item.name for item in subsets["mia oc"].items] == ["10_mia oc/a.png", "10_mia oc/at sea/b.png"]
    assert subsets["mia oc"].items[1].captions == ("mia oc",)


def test_a_numbered_folder_itself_can_be_scanned(tmp_path):
    save(tmp_path / "7_cat" / "a.png", picture(0))
    (subset,) = scan_folder(tmp_path / "7_cat").subsets
    assert (subset.name, subset.repeats, subset.items[0].captions) == ("cat", 7, ("cat",))


def test_folders_with_zero_repeats_are_left_out(tmp_path):
    save(tmp_path / "0_no" / "a.png", picture(0))
    save(tmp_path / "1_yes" / "b.png", picture(1))
    assert [subset.name for subset in scan_folder(tmp_path).subsets] == ["yes"]


def test_missing_captions_are_said_once(tmp_path):
    for seed in range(25):
        save(tmp_path / "5_mia_oc" / f"{seed}.png", picture(seed), None if seed else "told")
    dataset = scan_folder(tmp_path)
    assert captions(dataset)["5_mia_oc/3.png"] == ("mia_oc",)
    (note,) = dataset.notes
    assert "'mia_oc'" in note and "14 more" in note and "5_mia_oc/0.png" not in note


def test_paths_of_any_script_with_spaces_and_dots(tmp_path):
    folder = tmp_path / "мой набор.png_set" / "3_ねこ 猫"
    save(folder / "b.jpg.jpg", picture(0), "über, 赤い髪")
    save(folder / "v1.2 (final).PNG", picture(1), "two dots")
    assert captions(scan_folder(tmp_path / "мой набор.png_set")) == {
        "3_ねこ 猫/b.jpg.jpg": ("über, 赤い髪",),
        "3_ねこ 猫/v1.2 (final).PNG": ("two dots",),
    }


def test_caption_extensions_lines_and_byte_order_mark(tmp_path):
    for seed, name in enumerate("abcd"):
        save(tmp_path / f"{name}.png", picture(seed))
    (tmp_path / "a.caption").write_bytes("\ufefffrom caption\r\n\r\n  second \n".encode())
    (tmp_path / "b.txt").write_bytes(b"from txt")
    (tmp_path / "b.caption").write_bytes(b"not this")
    (tmp_path / "c.tags").write_bytes(b"from tags")
    (tmp_path / "c.txt").write_bytes(b"not this")
    (tmp_path / "d.txt").write_bytes(b" \n")
    assert captions(scan_folder(tmp_path)) | {"c.png": ()} == {
        "a.png": ("from caption", "second"), "b.png": ("from txt",), "c.png": (), "d.png": ("",)
    }  # fmt: skip
    assert captions(scan_folder(tmp_path, "tags"))["c.png"] == ("from tags",)


def test_captions_in_another_encoding_are_all_named(tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / f"{name}.png", picture(seed))
        (tmp_path / f"{name}.txt").write_bytes("Straße".encode("latin-1"))
    with pytest.raises(ValueError, match=r"a\.txt.*UTF-8.*b\.txt"):
        scan_folder(tmp_path)


def test_broken_images_are_left_out_and_named_together(tmp_path):
    save(tmp_path / "good.png", picture(0), "caption")
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.jpg").write_bytes(b"not a picture")
    cut = save(tmp_path / "cut.jpg", picture(1, 300, 300), "caption")
    cut.write_bytes(cut.read_bytes()[:-2000])
    dataset = scan_folder(tmp_path)
    assert list(captions(dataset)) == ["good.png"]
    (note,) = dataset.notes
    assert all(name in note for name in ("empty.png", "text.jpg", "cut.jpg"))
    assert str(tmp_path) not in note


def test_folders_without_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="folder 'nowhere'"):
        scan_folder(tmp_path / "nowhere")
    (tmp_path / "set").mkdir()
    with pytest.raises(ValueError, match=r"'set'.*\.png"):
        scan_folder(tmp_path / "set")
    (tmp_path / "set" / "a.png").write_bytes(b"no")
    with pytest.raises(ValueError, match="none of its 1 can be read"):
        scan_folder(tmp_path / "set")


def test_hidden_files_are_not_images(tmp_path):
    save(tmp_path / "a.png", picture(0), "caption")
    for name in ("._a.png", ".thumbs/b.png"):
        save(tmp_path / name, picture(1), "caption")
    assert list(captions(scan_folder(tmp_path))) == ["a.png"]


@pytest.mark.parametrize("is_absolute", [False, True])
def test_kohya_metadata(tmp_path, is_absolute):
    for seed, name in enumerate(("sub/a", "b", "c")):
        save(tmp_path / f"{name}.png", picture(seed), "from file")
    prefix = f"{tmp_path.as_posix()}/" if is_absolute else ""
    metadata = {
        f"{prefix}sub/a.png": {"caption": "a cat", "tags": "sky, tree", "train_resolution": [512, 512]},
        f"{prefix}b": {"tags": ["one", "two"]},
        f"{prefix}d.png": "a caption alone",
    }
    save(tmp_path / "d.png", picture(7))
    (tmp_path / "meta.json").write_text(json.dumps(metadata), encoding="utf-8")
    found = captions(scan_folder(tmp_path, metadata=tmp_path / "meta.json"))
    assert found == {
        "sub/a.png": ("a cat, sky, tree",),
        "b.png": ("one, two",),
        "c.png": ("from file",),
        "d.png": ("a caption alone",),
    }


@pytest.mark.parametrize("root", ["C:\\train\\img", "/mnt/data/img", "\\\\nas\\img"])
def test_entries_of_another_machine_are_those_of_the_same_places_here(tmp_path, root):
    for seed, name in enumerate(("10_mia/a", "10_mia/v1.2 b", "c")):
        save(tmp_path / f"{name}.png", picture(seed))
    metadata = {f"{root}/10_mia/a.png": {"caption": "one"}, f"{root}/10_mia/v1.2 b": {"tags": "two"}, "c": "three"}
    file = tmp_path / "meta_lat.json"
    file.write_text(json.dumps(metadata), encoding="utf-8")
    dataset = scan_folder(tmp_path, metadata=file)
    assert captions(dataset) == {"10_mia/a.png": ("one",), "10_mia/v1.2 b.png": ("two",), "c.png": ("three",)}
    assert any("meta_lat.json" in note and "img" in note for note in dataset.notes)
    assert CaptionReader.of(tmp_path, CaptionRules(metadata=file)).read(tmp_path / "10_mia" / "a.png").text == "one"


def test_entries_of_other_places_stay_without_a_picture(tmp_path):
    save(tmp_path / "a.png", picture(0), "from file")
    file = tmp_path / "meta.json"
    file.write_text(json.dumps({"D:/x/b.png": "one", "E:/x/a.png": "two"}), encoding="utf-8")
    dataset = scan_folder(tmp_path, metadata=file)
    assert captions(dataset) == {"a.png": ("from file",)}
    assert any("of no picture: 2" in note for note in dataset.notes)


@pytest.mark.parametrize(
    "metadata",
    [
        {"images": {"a.png": {"caption": "one"}}},
        {"images": [{"file_name": "a.png", "caption": "one"}]},
        {"a.png": {"caption": {"text": "one"}}},
        [{"file_name": "a.png", "text": [["one"]]}],
    ],
)
def test_captions_that_are_no_texts_are_refused(tmp_path, metadata):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "meta.json").write_text(json.dumps(metadata), encoding="utf-8")
    with pytest.raises(ValueError, match=r"meta\.json: .*texts"):
        scan_folder(tmp_path, metadata=tmp_path / "meta.json")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_english_in_utf_16_is_not_taken_for_utf_8(tmp_path, encoding):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "a.txt").write_bytes("red hair".encode(encoding))
    with pytest.raises(ValueError, match=r"a\.txt must be UTF-8"):
        scan_folder(tmp_path)
    assert "UTF-8" in CaptionReader(tmp_path).read(tmp_path / "a.png").problem


def test_json_lines_metadata(tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / f"{name}.png", picture(seed))
    rows = [{"file_name": "a.png", "text": "first"}, {"image_path": "b.png", "caption": "second"}]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = captions(scan_folder(tmp_path, metadata=tmp_path / "metadata.jsonl"))
    assert found == {"a.png": ("first",), "b.png": ("second",)}


def test_broken_metadata_is_refused(tmp_path):
    save(tmp_path / "a.png", picture(0))
    (tmp_path / "meta.json").write_text('{"a": 1', encoding="utf-8")
    with pytest.raises(ValueError, match=r"meta\.json must be JSON"):
        scan_folder(tmp_path, metadata=tmp_path / "meta.json")
    (tmp_path / "rows.jsonl").write_text('{"file_name": "a"}\n{"text": "b"}', encoding="utf-8")
    with pytest.raises(ValueError, match="image"):
        scan_folder(tmp_path, metadata=tmp_path / "rows.jsonl")


def test_masks_belong_to_images_of_their_name(tmp_path):
    for seed, name in enumerate(("x/a", "b")):
        save(tmp_path / "set" / f"{name}.jpg", picture(seed), "caption")
    save(tmp_path / "set" / "masks" / "x" / "a.png", picture(3)[..., 0])
    items = scan_folder(tmp_path / "set", mask_folder=tmp_path / "set" / "masks").subsets
    masks = {item.name: item.mask for subset in items for item in subset.items}
    assert masks == {"x/a.jpg": tmp_path / "set" / "masks" / "x" / "a.png", "b.jpg": None}


def test_an_edited_file_is_seen_again(tmp_path):
    path = save(tmp_path / "a.png", picture(0), "caption")
    before = scan_folder(tmp_path).subsets[0].items[0]
    save(path, picture(1, 80, 40))
    os.utime(path, ns=(1, 1))
    after = scan_folder(tmp_path).subsets[0].items[0]
    assert before.content_hash != after.content_hash
    assert (after.width, after.height) == (80, 40)


def test_marked_images_are_held_out_or_regularization_and_that_decides_the_weights(tmp_path):
    folder = tmp_path / "set"
    for seed, name in enumerate(("a", "b", "2_fox/c", "2_fox/d")):
        save(folder / f"{name}.png", picture(seed), name)
    plain = scan_folder(folder)
    marks = {"validation": ["b.png", "2_fox/d.png", "gone.png"], "regularization": ["a.png"]}
    (folder / "marks.json").write_text(json.dumps(marks))
    marked = scan_folder(folder)
    assert captions(marked) == {"2_fox/c.png": ("2_fox/c",), "a.png": ("a",)}
    assert {s.name: (s.repeats, s.is_regularization) for s in marked.subsets} == {"fox": (2, False), "set": (1, True)}
    assert {item.name for s in marked.held_out for item in s.items} == {"b.png", "2_fox/d.png"}
    (folder / "marks.json").write_text(json.dumps({"validation": marks["validation"]}))
    prints = {plain.fingerprint(), marked.fingerprint(), scan_folder(folder).fingerprint()}
    assert len(prints) == 3


def test_a_folder_with_all_images_marked_for_validation_says_so(tmp_path):
    save(tmp_path / "set" / "a.png", picture(0), "a")
    (tmp_path / "set" / "marks.json").write_text('{"validation": ["a.png"]}')
    with pytest.raises(ValueError, match="'set'.*validation"):
        scan_folder(tmp_path / "set")


def test_missing_captions_are_counted_with_where_a_tagger_is_shown(tmp_path):
    for seed in range(3):
        save(tmp_path / f"{seed}.png", picture(seed), "red hair" if seed else None)
    (note,) = scan_folder(tmp_path).notes
    assert note.startswith("1 of 3 images have no caption") and "0.png" in note and TAGGER_PAGE in note
    assert "## Captions from a tagger" in (ROOT / TAGGER_PAGE).read_text(encoding="utf-8")


def calls_of(act):
    """How many functions written in Python are called by this thread."""
    count = 0

    def heard(frame, event, argument):
        nonlocal count
        count += event == "call"

    sys.setprofile(heard)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def test_the_work_for_a_folder_grows_with_its_pictures_and_not_with_their_square(tmp_path):
    counts = {}
    for count in (60, 240):
        folder = tmp_path / str(count)
        for number in range(count):
            save(folder / f"{number}.png", picture(number % 7, 16, 16), f"caption {number}")
            save(folder / f"{number}_mask.png", picture(number % 5, 16, 16, channels=1)[..., 0])
            (folder / f"{number}.xyz").touch()
        counts[count] = calls_of(lambda folder=folder: scan_folder(folder))
    assert counts[240] < 6 * counts[60], counts

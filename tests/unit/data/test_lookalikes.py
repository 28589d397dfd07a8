"""Pictures that names and folders suggest to be something else than pictures to train are named, each once."""

import json
from pathlib import Path

import pytest
from pack.tests.support.pictures import picture, save
from pack.training.data.folder import scan_folder
from PIL import Image


@pytest.fixture
def folder(tmp_path):
    for seed, name in enumerate("ab"):
        save(tmp_path / "set" / "img" / "3_mira" / f"{name}.png", picture(seed), "caption")
    return tmp_path / "set"


def add(folder: Path, *names: str) -> None:
    for seed, name in enumerate(names):
        save(folder / name, picture(10 + seed))


def notes(folder, **options):
    found = [note for note in scan_folder(folder, class_tokens="class", **options).notes]
    return [note for note in found if "no caption, so" not in note]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("reg/1_woman/x.png",), "named like regularization images"),
        (("reg/1_woman/a.png", "reg/1_woman/b.png"), "named like regularization images"),
        (("Regulari" + "sation images/x.png",), "named like regularization images"),
        (("masks/a.png", "masks/b.png"), "mask_folder"),
        (("depth/a.png",), "mask_folder"),
        (("img/3_mira/a-condlabel.png",), "condition on"),
        (("img/3_mira/a_depth.png", "img/3_mira/b-openpose.png"), "control images"),
        (("img/3_mira/a.alpha.png",), "cut-outs"),
        (("3.5_half/x.png",), "10_name"),
        (("5-mira/x.png", "-2_mira/x.png", "4x mira/x.png", "7_/x.png"), "10_name"),
    ],
)
def test_what_is_trained_by_mistake_is_named(folder, names, words):
    add(folder, *names)
    (note,) = notes(folder)
    assert words in note and f": {len(names)} (" in note and names[0] in note


@pytest.mark.parametrize(
    "name",
    [
        "other/x.png", "regal/x.png", "classroom/x.png", "img/3_mira/x-condlabel.png", "img/3_mira/x_depth.png",
        "img/3_mira/a_smile.png", "2024-05 beach/x.png", "img/3_mira/1-first/x.png", "1girl/x.png",
    ],
)  # fmt: skip
def test_pictures_of_other_names_are_pictures(folder, name):
    add(folder, name)
    assert notes(folder) == []


def test_a_second_folder_with_captions_is_a_second_folder(folder):
    for name in "ab":
        save(folder / "closer" / f"{name}.png", picture(7), "another caption")
    assert notes(folder) == []


def test_marked_regularization_images_are_as_wished(folder):
    add(folder, "reg/x.png")
    (folder / "marks.json").write_text(json.dumps({"regularization": ["reg/x.png"]}), encoding="utf-8")
    assert notes(folder) == []


def test_two_pictures_of_one_name_share_a_caption(folder):
    Image.fromarray(picture(3)).save(folder / "img" / "3_mira" / "a.jpg")
    (note,) = notes(folder)
    assert "caption file" in note and ": 1 (" in note


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_of_an_animation_the_first_frame_is_trained(folder, ending):
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(folder / f"moving.{ending}", save_all=True, append_images=frames[1:])
    (note,) = notes(folder)
    assert "several frames" in note and f"moving.{ending}" in note


def test_masks_of_a_format_that_is_not_read_are_named(folder, tmp_path):
    add(tmp_path / "masks", "img/3_mira/a.png")
    (tmp_path / "masks" / "b.tif").write_bytes(b"x")
    found = notes(folder, mask_folder=tmp_path / "masks")
    assert [note for note in found if "not read" in note and "b.tif" in note]


def test_an_image_that_metadata_names_twice_is_named(folder):
    rows = [{"file_name": "img/3_mira/a.png", "text": text} for text in ("one", "two")]
    rows += [{"file_name": "img/3_mira/b.png", "text": "three"}] * 2
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (note,) = notes(folder, metadata=folder / "metadata.jsonl")
    assert "twice" in note and ": 1 (img/3_mira/a)" in note

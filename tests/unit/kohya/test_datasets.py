"""Dataset configs of sd-scripts are taken over whole or listed, and a dataset comes back from its own config."""

import json
import sys
from dataclasses import replace

import pytest
from pack.tests.support.pictures import picture, save, subset
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_buckets, with_captions
from pack.training.data.folder import scan_folder
from pack.training.kohya import build_dataset, export_datasets, import_datasets, import_kohya
from pack.training.kohya.dataset_tables import (
    BUCKET_OPTIONS,
    CAPTION_OPTIONS,
    COMMAND_OPTIONS,
    ELSEWHERE,
    WITHOUT_EQUIVALENT,
)

toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.11 reads TOML")
CONFIG = r"""
[general]
shuffle_caption = true
caption_extension = ".txt"
keep_tokens = 1
color_aug = true

[[datasets]]
resolution = 768
batch_size = 4
enable_bucket = true
max_bucket_reso = 1536
bucket_reso_steps = 32
keep_tokens = 2

  [[datasets.subsets]]
  image_dir = 'C:\data\mira'
  num_repeats = 3
  class_tokens = "mira woman"
  caption_prefix = "photo of"
  flip_aug = true
  strange_key = [1, 2]

  [[datasets.subsets]]
  image_dir = "/home/me/woman"
  is_reg = true
  shuffle_caption = false
  keep_tokens = 0

[[datasets]]
resolution = [512, 640]

  [[datasets.subsets]]
  image_dir = 'C:\data\mira'
  alpha_mask = true
  conditioning_data_dir = 'C:\data\masks'
  custom_attributes = { diff_output_preservation = true }
"""


@toml
def test_values_come_from_the_subset_then_its_dataset_then_general_then_the_command():
    setup = import_datasets(CONFIG, "train_network.py --caption_dropout_rate=0.1 --keep_tokens=9 --learning_rate=1e-4")
    first, regular, second = setup.subsets
    assert [one.folder for one in setup.subsets] == [r"C:\data\mira", "/home/me/woman", r"C:\data\mira"]
    assert first.captions == CaptionSettings(shuffle_tags=True, keep_tags=2, prefix="photo of", caption_dropout=0.1)
    assert regular.captions == CaptionSettings(caption_dropout=0.1)
    assert second.captions == CaptionSettings(shuffle_tags=True, keep_tags=1, caption_dropout=0.1)
    assert first.buckets == BucketSettings(
        resolution=768, min_bucket_size=256, max_bucket_size=1536, bucket_step=32, flip=True
    )
    assert second.buckets == BucketSettings(
        resolution=(512, 640), min_bucket_size=512, max_bucket_size=640, use_alpha_masks=True
    )
    assert (first.repeats, first.class_tokens, first.is_regularization) == (3, "mira woman", False)
    assert (regular.repeats, regular.class_tokens, regular.is_regularization) == (1, "", True)
    assert second.mask_folder == r"C:\data\masks"


@toml
def test_nothing_of_a_config_is_silently_dropped():
    text = import_datasets(CONFIG, "--learning_rate=1e-4").text()
    for wanted in (
        "batch_size 4: Train LoRA or Stage", "learning_rate: Import Kohya Setup", "color_aug: encoded images are kept",
        "strange_key 1 2: no equivalent", 'custom_attributes {"diff_output_preservation": true}: see prior_preserv',
        "enable_bucket off: images are cropped to 512 x 640 or turned",
    ):  # fmt: skip
        assert wanted in text
    assert text.count("color_aug") == 1


def test_every_option_is_either_set_or_listed():
    """Each single key, with a value that is no default, changes the subsets or appears in the lists."""

    def read(**keys):
        config = {"datasets": [{"resolution": 768, "enable_bucket": True, "subsets": [{"image_dir": "a", **keys}]}]}
        return import_datasets(json.dumps(config))

    plain = read()
    values = {"integer": 32, "number": 0.3, "flag": True, "text": "|"}
    for name, _, kind in (*CAPTION_OPTIONS, *BUCKET_OPTIONS):
        assert read(**{name: values[kind]}).subsets != plain.subsets, name
    for name, value in {
        "num_repeats": 2, "is_reg": True, "class_tokens": "x", "caption_extension": ".cap", "metadata_file": "m.json",
        "conditioning_data_dir": "m", "min_bucket_reso": 128, "max_bucket_reso": 2048, "bucket_no_upscale": True,
        "enable_bucket": False, "resolution": 512,
    }.items():  # fmt: skip
        assert read(**{name: value}).subsets != plain.subsets, name
    for name in (*ELSEWHERE, *WITHOUT_EQUIVALENT, "anything_else"):
        assert f"{name} 7: " in read(**{name: 7}).text()


def test_a_command_line_names_numbered_folders():
    setup = import_datasets(
        r"accelerate launch train_network.py --train_data_dir=D:\set --reg_data_dir=D:\reg --resolution=512,512 "
        "--enable_bucket --caption_extension=.txt --shuffle_caption --dataset_repeats=2 --network_dim=8 --flip_aug"
    )
    train, regular = setup.subsets
    assert (train.folder, train.form, train.repeats, train.is_regularization) == (
        r"D:\set", "numbered folders", 2, False,
    )  # fmt: skip
    assert (regular.folder, regular.is_regularization) == (r"D:\reg", True)
    assert train.buckets == BucketSettings(resolution=512, min_bucket_size=256, max_bucket_size=1024, flip=True)
    assert train.captions.shuffle_tags
    assert "network_dim: Import Kohya Setup" in setup.text()


def test_every_dataset_option_of_a_command_is_one_that_the_setup_leaves_to_other_nodes():
    for name in COMMAND_OPTIONS - {"skip_image_resolution", "batch_size", "train_batch_size", "custom_attributes"}:
        assert f"{name} 7" in import_kohya(f"--{name}=7 --learning_rate=1e-4").text()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "text is empty"),
        ("--learning_rate=1", "text must be a dataset config .* or name train_data_dir"),
        ("--dataset_config=x.toml", "paste what the file holds"),
        (
            '{"datasets": [{"resolution": 512}]}',
            r"dataset 1 of the config must have \[\[datasets.subsets\]\], got none",
        ),
        ('{"datasets": [{"subsets": [{"num_repeats": 2}]}]}', "subset 1 of the config must have image_dir"),
        ('{"datasets": [], "network": {}}', r"has \[general\] and \[\[datasets\]\] alone, got network"),
        (
            '{"datasets": [{"resolution": "big", "subsets": [{"image_dir": "a"}]}]}',
            "resolution must be a size or width",
        ),
        ('{"datasets": [{"subsets": [{"image_dir": "a", "keep_tokens": "all"}]}]}', "keep_tokens must be a number"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(text, message):
    with pytest.raises(ValueError, match=message):
        import_datasets(text)


@pytest.fixture
def folders(tmp_path):
    for number in range(3):
        save(tmp_path / "mira" / f"{number}.png", picture(number), f"mira, tag {number}" if number else None)
    save(tmp_path / "mira" / "deeper" / "9.png", picture(9), "not read")
    save(tmp_path / "woman" / "1.png", picture(5), "a woman")
    save(tmp_path / "numbered" / "4_fox" / "1.png", picture(6), "fox")
    save(tmp_path / "numbered" / "other" / "1.png", picture(7), "not read")
    return tmp_path


def find_below(root):
    def find(written):
        path = root / written.replace("\\", "/").rpartition("/")[2]
        return path if path.is_dir() else None

    return find


@toml
def test_images_are_read_as_sd_scripts_reads_them(folders):
    config = CONFIG.replace("  conditioning_data_dir = 'C:\\data\\masks'\n", "")
    dataset = build_dataset(import_datasets(config), find_below(folders))
    assert [(s.name, s.repeats, s.is_regularization, len(s.items)) for s in dataset.subsets] == [
        ("mira", 3, False, 3), ("woman", 1, True, 1), ("mira", 1, False, 3),
    ]  # fmt: skip
    assert [item.captions[0] for item in dataset.subsets[0].items] == ["mira woman", "mira, tag 1", "mira, tag 2"]
    numbered = build_dataset(import_datasets("--train_data_dir=/x/numbered --dataset_repeats=2"), find_below(folders))
    assert [(s.name, s.repeats) for s in numbered.subsets] == [("fox", 8)]


def test_all_missing_folders_are_named_at_once(folders):
    config = {"datasets": [{"subsets": [{"image_dir": name} for name in ("D:\\a b", "mira", "/x/c")]}]}
    with pytest.raises(ValueError, match=r"into ComfyUI's input folder .*: D:\\a b, /x/c$"):
        build_dataset(import_datasets(json.dumps(config)), find_below(folders))
    with pytest.raises(ValueError, match="'numbered'.*subfolders"):
        build_dataset(import_datasets('{"datasets": [{"subsets": [{"image_dir": "numbered"}]}]}'), find_below(folders))


def test_metadata_is_read_from_the_folder(folders):
    (folders / "woman" / "meta.json").write_text(json.dumps({"1": {"caption": "of the metadata"}}))
    config = {"datasets": [{"subsets": [{"image_dir": "woman", "metadata_file": "D:\\x\\meta.json"}]}]}
    dataset = build_dataset(import_datasets(json.dumps(config)), find_below(folders))
    assert dataset.subsets[0].items[0].captions == ("of the metadata",)
    config["datasets"][0]["subsets"][0]["metadata_file"] = "none.json"
    with pytest.raises(ValueError, match="'none.json'.*'woman'"):
        build_dataset(import_datasets(json.dumps(config)), find_below(folders))


@toml
def test_a_dataset_comes_back_from_its_config(folders):
    captions = CaptionSettings(
        shuffle_tags=True, keep_tags=1, tag_dropout=0.1, prefix='say "x"', secondary_separator=";;;"
    )
    buckets = BucketSettings(resolution=512, min_bucket_size=256, max_bucket_size=1024, flip=True)
    small = with_buckets(scan_folder(folders / "woman").with_role(True, 1.0), BucketSettings(resolution=(256, 384)))
    big = with_buckets(with_captions(scan_folder(folders / "numbered" / "4_fox"), captions), buckets)
    dataset = Dataset((*big.subsets, *small.subsets))
    notes = []
    config = export_datasets(dataset, lambda folder: folder.relative_to(folders).as_posix(), notes)
    assert notes == []

    def find(written):
        return folders / written

    back = build_dataset(import_datasets(config), find)
    assert back.subsets[0].buckets == buckets and back.subsets[0].captions == captions
    assert [(s.name, s.repeats, s.is_regularization) for s in back.subsets] == [("fox", 4, False), ("woman", 1, True)]
    assert [[i.content_hash for i in s.items] for s in back.subsets] == [
        [i.content_hash for i in s.items] for s in dataset.subsets
    ]
    assert back.subsets[1].buckets == BucketSettings(resolution=(256, 384), min_bucket_size=128, max_bucket_size=768)


@pytest.mark.parametrize("separator", [";", "|"])
def test_captions_keep_their_own_separator(folders, separator):
    config = {"datasets": [{"subsets": [{"image_dir": "mira", "caption_separator": separator}]}]}
    captions = import_datasets(json.dumps(config)).subsets[0].captions
    assert captions.joiner == f"{separator} "
    (plain,) = import_datasets(json.dumps({"datasets": [{"subsets": [{"image_dir": "mira"}]}]})).subsets
    assert plain.captions == CaptionSettings()


def test_weights_in_captions_are_an_option_of_the_command_line_alone(folders):
    config = json.dumps({"datasets": [{"subsets": [{"image_dir": "mira"}]}]})
    plain, weighted = (import_datasets(config, command) for command in ("--seed=1", "--weighted_captions"))
    assert not plain.subsets[0].captions.caption_weights
    assert weighted.subsets[0].captions.caption_weights and "weighted_captions: [tag]" in weighted.text()
    notes = []
    dataset = with_captions(scan_folder(folders / "mira"), CaptionSettings(caption_weights=True))
    assert "weighted_captions" not in export_datasets(dataset, lambda folder: folder.name, notes)
    assert [note for note in notes if "--weighted_captions" in note and "command line" in note]


def test_what_a_config_cannot_hold_is_listed(folders):
    read = scan_folder(folders / "mira")
    some = read.map(lambda s: type(s)(items=s.items[:2], name=s.name, loss_weight=0.5))
    dataset = with_captions(Dataset((*some.subsets, subset([(64, 64)]))), CaptionSettings(trigger="mira"))
    notes = []
    export_datasets(dataset, lambda folder: folder.name, notes)
    for wanted in (
        "mira: sd-scripts would train 1 images that were left out here", "trigger of Captions: no equivalent",
        "loss_weight 0.5: no equivalent", "1 images of the graph are in no folder", "for SDXL write 1024",
    ):  # fmt: skip
        assert any(wanted in note for note in notes), wanted


def exported(dataset):
    notes = []
    return export_datasets(dataset, lambda folder: folder.name, notes), notes


def test_buckets_that_sd_scripts_lacks_are_named(folders):
    read = scan_folder(folders / "mira")
    nearest = BucketSettings(resolution=512, upscale=False, nearest_bucket=True)
    _, notes = exported(with_buckets(read, nearest))
    assert any("nearest_bucket" in note for note in notes)
    _, notes = exported(with_buckets(read, BucketSettings(resolution=512, nearest_bucket=True)))
    assert notes == []  # every picture is enlarged: the same bits


def test_what_sd_scripts_asks_of_masks_is_named(folders):
    buckets = BucketSettings(resolution=512)
    _, notes = exported(with_buckets(scan_folder(folders / "mira"), replace(buckets, use_alpha_masks=True)))
    assert len(notes) == 1 and "--masked_loss" in notes[0]
    save(folders / "masks" / "1.png", picture(9))
    some = with_buckets(scan_folder(folders / "mira", mask_folder=folders / "masks"), buckets)
    flat = Dataset(tuple(one for one in some.subsets if one.name == "mira"))
    config, notes = exported(flat)
    assert 'conditioning_data_dir = "masks"' in config
    assert any("--masked_loss" in note for note in notes) and any("mira: 2 images have no mask" in n for n in notes)
    (item, other, *_) = flat.subsets[0].items
    apart = [replace(one, mask=folders / name / "1.png") for one, name in ((item, "masks"), (other, "more"))]
    config, notes = exported(flat.map(lambda s: replace(s, items=tuple(apart))))
    assert "conditioning_data_dir" not in config and any("2 folders (masks, more)" in note for note in notes)


@pytest.mark.parametrize("extension", [".caption", ".tags", ".TXT"])
def test_captions_are_named_by_the_ending_they_have(tmp_path, extension):
    for number in (1, 2):
        save(tmp_path / "fox" / f"{number}.png", picture(number))
        (tmp_path / "fox" / f"{number}{extension}").write_text(f"red fur {number}", encoding="utf-8")
    config, notes = exported(with_buckets(scan_folder(tmp_path / "fox", extension), BucketSettings(resolution=512)))
    assert f'caption_extension = "{extension}"' in config and notes == []


def test_captions_that_are_in_no_file_are_counted(tmp_path):
    for number in (1, 2, 3):
        save(tmp_path / "fox" / f"{number}.png", picture(number), "red fur" if number == 1 else None)
    metadata = tmp_path / "fox" / "meta.json"
    metadata.write_text(json.dumps({"2": {"caption": "of the metadata"}}), encoding="utf-8")
    _, notes = exported(scan_folder(tmp_path / "fox", metadata=metadata))
    assert any("1 captions" in note for note in notes)

"""Kohya datasets on the real folders: paths of another machine, what is missing, and back again."""

import importlib.util
import json

import pytest
from pack.tests.support.pictures import picture, save

pytestmark = pytest.mark.comfy


@pytest.fixture
def nodes(comfy):
    import asyncio

    from pack.tests.support.inprocess import pack_nodes

    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(pack_nodes())}


@pytest.fixture
def images(comfy):
    """Folders `kohya mira` and `kohya sets/kohya deep` below the input folder."""
    root = comfy.base / "input"
    save(root / "kohya mira" / "1.png", picture(1), "mira")
    save(root / "kohya sets" / "kohya deep" / "1.png", picture(2), "deep")
    return root


def config(*folders, **keys):
    return json.dumps({"datasets": [{"resolution": 512, "subsets": [{"image_dir": f, **keys} for f in folders]}]})


def test_paths_of_another_machine_lead_to_the_folders_of_their_names(nodes, images):
    node = nodes["BakeryImportKohyaDataset"]
    written = ("D:\\work\\kohya mira", "/home/me/kohya sets/kohya deep", "../elsewhere/kohya deep")
    dataset, notes = node.execute(text=config(*written, num_repeats=3)).args
    assert [(s.items[0].captions[0], s.repeats) for s in dataset.subsets] == [("mira", 3), ("deep", 3), ("deep", 3)]
    assert r"D:\work\kohya mira: read from input/kohya mira" in notes
    assert "/home/me/kohya sets/kohya deep: read from input/kohya sets/kohya deep" in notes


def test_what_is_missing_is_named_in_one_message(nodes, images):
    with pytest.raises(ValueError, match=r"into ComfyUI's input folder .*: E:\\none, /x/gone$"):
        nodes["BakeryImportKohyaDataset"].execute(text=config("E:\\none", "kohya mira", "/x/gone"))


def test_a_name_that_several_folders_have_is_asked_back(nodes, images):
    save(images / "kohya other" / "kohya twice" / "1.png", picture(3), "a")
    save(images / "kohya sets" / "kohya twice" / "1.png", picture(3), "a")
    with pytest.raises(ValueError, match=r"kohya other/kohya twice, kohya sets/kohya twice"):
        nodes["BakeryImportKohyaDataset"].execute(text=config("/x/kohya twice"))
    (found,) = nodes["BakeryImportKohyaDataset"].execute(text=config("kohya sets/kohya twice")).args[0].subsets
    assert "kohya sets" in str(found.items[0].source)


def test_a_link_out_of_the_input_folder_is_refused(nodes, images, tmp_path):
    save(tmp_path / "private" / "1.png", picture(4), "private")
    (images / "kohya link").symlink_to(tmp_path / "private", target_is_directory=True)
    with pytest.raises(ValueError, match="link.*input folder"):
        nodes["BakeryImportKohyaDataset"].execute(text=config("/x/kohya link"))


def test_it_runs_again_when_a_file_of_a_folder_changes(nodes, images):
    node, text = nodes["BakeryImportKohyaDataset"], config("/x/kohya mira")
    before = node.fingerprint_inputs(text=text)
    assert node.fingerprint_inputs(text=text) == before != ""
    save(images / "kohya mira" / "2.png", picture(5), "more")
    assert node.fingerprint_inputs(text=text) != before


def test_a_dataset_goes_out_and_comes_back(nodes, images):
    read = nodes["BakeryLoadDataset"].execute(
        folder="kohya sets", repeats=2, caption_extension=".txt", is_regularization=True
    )
    captions = nodes["BakeryCaptions"].execute(dataset=read.args[0], shuffle_tags=True, keep_tags=1).args[0]
    command, notes, written = nodes["BakeryExportKohya"].execute(dataset=captions).args
    assert 'image_dir = "kohya sets/kohya deep"' in written and "num_repeats = 2" in written
    assert str(images) not in written + notes + command
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    assert tomllib.loads(written)["datasets"][0]["subsets"][0]["is_reg"] is True
    back = nodes["BakeryImportKohyaDataset"].execute(text=written).args[0]
    assert [(s.repeats, s.is_regularization, s.captions.shuffle_tags) for s in back.subsets] == [(2, True, True)] * len(
        captions.subsets
    )


CHANGED = {
    "BakeryCaptions": {
        "trigger": "mia", "prune": "mira", "replace": "mira > fox", "fold": "mira + fur > hair", "blacklist": "m*",
        "order_by_frequency": True, "shuffle_tags": True, "keep_tags": 1, "tag_dropout": 0.1, "caption_dropout": 0.1,
        "use_wildcards": True, "prefix": "a", "suffix": "b", "separator": ";", "keep_tags_separator": "|||",
        "secondary_separator": ";;;", "caption_dropout_every_n_epochs": 2, "tag_warmup_steps": 0.5,
        "tag_warmup_min": 2, "replacements": "mira > fox", "caption_weights": True,
    },
    "BakeryBuckets": {
        "resolution": 768, "upscale": False, "flip": True, "use_alpha_masks": True, "resolution_height": 640,
        "more_resolutions": "256", "bucket_step": 32, "min_bucket_size": 128, "max_bucket_size": 2048,
        "random_crop": True, "cache": "ram", "nearest_bucket": True,
    },
}  # fmt: skip
"""A value of each input that is none of its defaults."""
BESIDE = {"resolution_height": {"resolution": 512}, "nearest_bucket": {"upscale": False, "nearest_bucket": False}}
"""What an input needs to count."""


@pytest.mark.parametrize(("node_id", "name"), [(node, name) for node, values in CHANGED.items() for name in values])
def test_every_option_of_a_dataset_is_written_or_named(nodes, images, node_id, name):
    save(images / "kohya options" / "1.png", picture(6), "zebra, fur, mira")
    save(images / "kohya options" / "2.png", picture(7), "mira, fur")
    read = nodes["BakeryLoadDataset"].execute(folder="kohya options", repeats=1, caption_extension=".txt").args[0]
    schema = nodes[node_id].GET_SCHEMA().inputs
    assert {one.id for one in schema} == {*CHANGED[node_id], "dataset"}
    values = {one.id: one.default for one in schema if one.id != "dataset"} | BESIDE.get(name, {})

    def exported(values):
        changed = nodes[node_id].execute(dataset=read, **values).args[0]
        return nodes["BakeryExportKohya"].execute(dataset=changed).args[1:]

    assert exported(values) != exported(values | {name: CHANGED[node_id][name]})


def test_eight_bit_adamw_without_its_package_becomes_adamw_and_says_so(nodes):
    network, optimizer, _, _, notes, _ = (
        nodes["BakeryImportKohya"]
        .execute(text="--network_dim=8 --learning_rate=1e-4 --optimizer_type=AdamW8bit --optimizer_args betas=0.9,0.99")
        .args
    )
    expected = "AdamW8bit" if importlib.util.find_spec("bitsandbytes") else "AdamW"
    assert (network.rank, optimizer.optimizer, optimizer.learning_rate) == (8, expected, 1e-4)
    assert optimizer.arguments == "betas=0.9,0.99"
    assert ("optimizer_type AdamW8bit: needs the package bitsandbytes" in notes) == (expected == "AdamW")


SETUP = "--network_dim=8 --learning_rate=1e-4 --resolution=512 --shuffle_caption --xformers --dataset_config=a.toml"


def test_one_node_imports_a_setup_with_its_dataset(nodes, images):
    written = config(r"D:\work\kohya mira", num_repeats=3)
    network, _, _, _, notes, dataset = nodes["BakeryImportKohya"].execute(text=SETUP, dataset_config=written).args
    (subset,) = dataset.subsets
    assert (network.rank, subset.repeats, subset.captions.shuffle_tags) == (8, 3, True)
    assert "read from input/kohya mira" in notes and "xformers" in notes
    for taken in ("resolution", "shuffle_caption", "network_dim", "dataset_config"):
        assert taken not in notes, notes


def test_the_folders_of_the_command_line_are_its_dataset(nodes, images):
    save(images / "kohya train" / "4_mira" / "1.png", picture(6), "mira")
    text = "--network_dim=8 --train_data_dir='/x/kohya train' --caption_extension=.txt"
    *_, notes, dataset = nodes["BakeryImportKohya"].execute(text=text).args
    assert [(one.repeats, one.items[0].captions[0]) for one in dataset.subsets] == [(4, "mira")]
    assert nodes["BakeryImportKohya"].fingerprint_inputs(text=text) != ""


@pytest.mark.parametrize(
    ("text", "message"), [("--network_dim=8", "names no images"), ("--train_data_dir=/x/not_here", "not_here")]
)
def test_a_setup_without_its_images_gives_its_settings_all_the_same(nodes, images, text, message):
    *_, notes, dataset = nodes["BakeryImportKohya"].execute(text=text).args
    assert message in dataset.message
    assert ("not_here" in notes) == ("not_here" in text)

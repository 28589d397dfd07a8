"""The dataset nodes, run by ComfyUI's own executor."""

import copy
import os

import numpy as np
import pytest
import torch
from pack.tests.support.pictures import picture, save, tensor

pytestmark = pytest.mark.comfy

NODE_IDS = (
    "BakeryLoadDataset", "BakeryImagesToDataset", "BakeryCombineDatasets", "BakerySaveDataset", "BakeryCaptions",
    "BakeryBuckets", "BakeryInspectDataset",
)  # fmt: skip
CAPTION_INPUTS = {
    "trigger": "", "prune": "", "replace": "", "fold": "", "shuffle_tags": False, "keep_tags": 0, "tag_dropout": 0.0,
    "caption_dropout": 0.0, "use_wildcards": False,
}  # fmt: skip


@pytest.fixture
def nodes(comfy):
    import asyncio

    from pack.tests.support.inprocess import pack_nodes

    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(pack_nodes())}


@pytest.fixture
def images(comfy, request):
    """A folder of three captioned images below the input folder; its name is the test's."""
    name = f"data {request.node.name}".replace("[", " ").replace("]", " ").replace("/", " ")[:60].strip()
    for seed in range(3):
        save(comfy.base / "input" / name / "2_mia oc" / f"{seed}.png", picture(seed), f"red hair, tag {seed}")
    return name


def load(folder, **inputs):
    values = {"folder": folder, "caption_extension": ".txt", "repeats": 1, **inputs}
    return {"class_type": "BakeryLoadDataset", "inputs": values}


def inspect(source):
    return {"class_type": "BakeryInspectDataset", "inputs": {"dataset": [source, 0], "family": "sd15"}}


def text(result, node):
    assert result.status == "success", result.error
    return "\n".join(result.outputs[node]["text"])


def test_folder_to_report_with_captions_and_buckets(comfy, images):
    captions = {**CAPTION_INPUTS, "dataset": ["1", 0], "trigger": "mia", "prune": "red hair", "shuffle_tags": True}
    buckets = {"dataset": ["2", 0], "resolution": 64, "upscale": True, "flip": True, "use_alpha_masks": False}
    result = comfy.run_graph(
        {
            "1": load(images, repeats=3),
            "2": {"class_type": "BakeryCaptions", "inputs": captions},
            "3": {"class_type": "BakeryBuckets", "inputs": {**buckets, "more_resolutions": "128"}},
            "4": inspect("3"),
        }
    )
    report = text(result, "4")
    assert "mia oc: 3 images x 6 = 18 per epoch, trigger 'mia'" in report
    assert "64x64      3 images" in report and "128x128      3 images" in report
    assert "red hair" not in report and "tag 1" in report
    assert len(result.outputs["4"]["images"]) == 1


def test_edited_captions_and_new_images_are_noticed(comfy, images):
    graph = {"1": load(images), "2": inspect("1")}  # copied below: the executor writes into it
    folder = comfy.base / "input" / images / "2_mia oc"
    text(comfy.run_graph(copy.deepcopy(graph)), "2")
    assert {"1", "2"} <= comfy.run_graph(copy.deepcopy(graph)).cached_nodes
    (folder / "1.txt").write_bytes(b"red hair, edited")
    os.utime(folder / "1.txt", ns=(1, 1))
    assert "edited" in text(comfy.run_graph(copy.deepcopy(graph)), "2")
    save(folder / "9.png", picture(9), "red hair, new one")
    assert "new one" in text(comfy.run_graph(copy.deepcopy(graph)), "2")
    assert {"1", "2"} <= comfy.run_graph(copy.deepcopy(graph)).cached_nodes


@pytest.mark.parametrize("name", ["BakeryLoadDataset", "BakerySaveDataset"])
@pytest.mark.parametrize(
    "folder", ["../secret", "a/../../b", "/etc", "C:/data", "C:data", "\\\\server\\x", "", " ", "a\nb"]
)
def test_folders_outside_input_are_refused(nodes, name, folder):
    assert "relative to ComfyUI's input folder" in nodes[name].validate_inputs(folder)


def test_links_that_lead_out_are_refused(comfy, nodes, tmp_path):
    save(tmp_path / "a.png", picture(0))
    link = comfy.base / "input" / "link"
    if not link.exists():
        link.symlink_to(tmp_path, target_is_directory=True)
    assert "leads out of" in nodes["BakeryLoadDataset"].validate_inputs("link")
    link.unlink()


def test_missing_folder_is_one_clear_message(comfy):
    with pytest.raises(ValueError, match="folder 'not here'") as error:
        comfy.run_graph({"1": load("not here"), "2": inspect("1")})
    assert str(error.value).count("There is no folder") == 1
    assert str(comfy.base) not in str(error.value)


def test_folder_of_a_link_is_checked_when_it_runs(comfy, nodes, images):
    node = nodes["BakeryLoadDataset"]
    assert node.validate_inputs(None) is True
    assert node.fingerprint_inputs(None) != node.fingerprint_inputs(None)
    assert nodes["BakerySaveDataset"].validate_inputs(None) is True
    with pytest.raises(ValueError, match="input folder"):
        node.execute(**load("../secret")["inputs"])
    graph = {
        "0": {"class_type": "PrimitiveString", "inputs": {"value": "../secret"}},
        "1": load(images),
        "2": {"class_type": "BakerySaveDataset", "inputs": {"dataset": ["1", 0], "folder": ["0", 0]}},
    }
    assert "relative to ComfyUI's input folder" in comfy.run_graph(graph).error


def test_folders_offered_are_those_below_input(comfy, nodes, images):
    options = nodes["BakeryLoadDataset"].GET_NODE_INFO_V1()["input"]["optional"]["folder"][0]
    info = nodes["BakeryLoadDataset"].GET_NODE_INFO_V1()["input"]["optional"]["folder"]
    offered = options if isinstance(options, list) else info[1]["options"]
    assert images in offered and f"{images}/2_mia oc" in offered


def test_metadata_masks_and_role_reach_the_dataset(comfy, nodes, images):
    (comfy.base / "input" / images / "meta.json").write_text('{"2_mia oc/0": {"caption": "told"}}', encoding="utf-8")
    save(comfy.base / "input" / f"{images}_masks" / "2_mia oc" / "1.png", picture(5)[..., 0])
    inputs = load(images, metadata="meta.json", mask_folder=f"{images}_masks", is_regularization=True, loss_weight=0.5)
    (dataset,) = nodes["BakeryLoadDataset"].execute(**inputs["inputs"]).result
    (subset,) = dataset.subsets
    assert (subset.is_regularization, subset.loss_weight, subset.repeats) == (True, 0.5, 2)
    assert subset.items[0].captions == ("told",)
    assert [item.mask is not None for item in subset.items] == [False, True, False]


def test_pictures_with_a_list_of_texts_become_a_captioned_folder(comfy, images):
    """As a tagger gives them: a list of pictures, a list of texts, in the same order; then trained from the folder."""
    name = f"{images} tagged"
    captions = {**CAPTION_INPUTS, "dataset": ["2", 0], "trigger": "mia", "prune": "red hair"}
    result = comfy.run_graph(
        {
            "1": {"class_type": "LoadImageTextDataSetFromFolder", "inputs": {"folder": images}},
            "2": {
                "class_type": "BakeryImagesToDataset",
                "inputs": {"images": ["1", 0], "captions": ["1", 1], "repeats": 1},
            },
            "3": {"class_type": "BakeryCaptions", "inputs": captions},
            "4": {"class_type": "BakerySaveDataset", "inputs": {"dataset": ["3", 0], "folder": name}},
        }
    )
    assert "written to input/" in text(result, "4")
    written = sorted(path.read_text() for path in (comfy.base / "input" / name).rglob("*.txt"))
    assert set(written) == {"mia, tag 0", "mia, tag 1", "mia, tag 2"}


def test_images_of_the_graph_run(comfy):
    result = comfy.run_graph(
        {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 2, "color": 255}},
            "2": {
                "class_type": "BakeryImagesToDataset",
                "inputs": {"images": ["1", 0], "captions": "a\nb", "repeats": 4},
            },
            "3": inspect("2"),
        }
    )
    report = text(result, "3")
    assert "images: 2 images x 4 = 8 per epoch" in report
    assert "same picture: image 1, image 2" in report


@pytest.mark.parametrize(
    ("captions", "expected"),
    [
        (["one for all"], ["one for all"] * 3),
        (["a\nb\n\nc"], ["a", "b", "c"]),
        (["a", "b", "c"], ["a", "b", "c"]),
        (["a\nvariant", "b", "c"], ["a", "b", "c"]),
    ],
)
def test_captions_are_one_or_one_an_image(nodes, captions, expected):
    batches = [torch.stack([tensor(picture(0)), tensor(picture(1))]), tensor(picture(2, 80, 40))[None]]
    (dataset,) = nodes["BakeryImagesToDataset"].execute(images=batches, captions=captions, repeats=[1]).result
    assert [item.captions[0] for item in dataset.subsets[0].items] == expected
    assert dataset.subsets[0].items[2].width == 80


def test_masks_of_the_graph_and_the_empty_mask_of_load_image(nodes):
    images = [torch.stack([tensor(picture(0)), tensor(picture(1))])]
    masks = [torch.stack([torch.ones(64, 64), torch.zeros(64, 64)])]
    (dataset,) = nodes["BakeryImagesToDataset"].execute(images=images, captions=["c"], repeats=[1], masks=masks).result
    assert [item.mask is not None for item in dataset.subsets[0].items] == [True, False]


def test_wrong_number_of_captions_is_named(nodes):
    with pytest.raises(ValueError, match="captions.*2.*3"):
        images = [torch.stack([tensor(picture(0)), tensor(picture(1))])]
        nodes["BakeryImagesToDataset"].execute(images=images, captions=["a\nb\nc"], repeats=[1])


def test_combine_and_balance(nodes):
    make = nodes["BakeryImagesToDataset"].execute
    few, many = (
        make(images=[torch.stack([tensor(picture(s)) for s in seeds])], captions=["c"], repeats=[1]).result[0]
        for seeds in ([0], range(1, 5))
    )
    combine = nodes["BakeryCombineDatasets"].execute
    (plain,) = combine(balance=False, dataset_1=many, dataset_3=few).result
    (balanced,) = combine(balance=True, dataset_1=many, dataset_2=few).result
    assert [subset.repeats for subset in plain.subsets] == [1, 1]
    assert [subset.repeats for subset in balanced.subsets] == [1, 4]


def test_saved_datasets_load_again_and_are_not_overwritten(comfy, images):
    name = f"{images} saved"
    graph = {
        "1": load(images),
        "2": {"class_type": "BakerySaveDataset", "inputs": {"dataset": ["1", 0], "folder": name}},
    }
    assert "written to input/" in text(comfy.run_graph(copy.deepcopy(graph)), "2")
    assert "mia oc: 3 images x 2" in text(comfy.run_graph({"1": load(name), "2": inspect("1")}), "2")
    save(comfy.base / "input" / images / "2_mia oc" / "9.png", picture(9), "new")
    result = comfy.run_graph(copy.deepcopy(graph))
    assert result.status == "error"
    assert "with different content; choose another name" in result.error


@pytest.mark.parametrize("node_id", NODE_IDS)
def test_every_input_and_output_is_explained(nodes, node_id):
    schema = nodes[node_id].GET_SCHEMA()
    assert schema.description and schema.category.startswith("LoRA Bakery")
    assert all(one.tooltip for one in (*schema.inputs, *schema.outputs))


def test_new_nodes_use_the_nearest_bucket_and_prompts_without_it_keep_the_rule_that_they_had(comfy, images, nodes):
    inputs = {one.id: one for one in nodes["BakeryBuckets"].GET_SCHEMA().inputs}
    assert inputs["nearest_bucket"].default is True
    save(comfy.base / "input" / images / "1_large" / "1.png", np.zeros((1080, 1050, 3), np.uint8), "large")
    plain = {"dataset": ["1", 0], "resolution": 1024, "upscale": False, "flip": False, "use_alpha_masks": False}
    for added, wanted in (
        ({}, "960x960"),
        ({"nearest_bucket": False}, "960x960"),
        ({"nearest_bucket": True}, "1024x1024"),
    ):
        buckets = {"class_type": "BakeryBuckets", "inputs": plain | added}
        report = text(comfy.run_graph({"1": load(images), "2": buckets, "3": inspect("2")}), "3")
        assert f"{wanted} " in report, added


def test_the_nearest_bucket_counts_only_where_nothing_is_enlarged(nodes):
    make = nodes["BakeryImagesToDataset"].execute
    (dataset,) = make(images=[tensor(picture(0))[None]], captions=["c"], repeats=[1]).result

    def digest(**values):
        return (
            nodes["BakeryBuckets"].execute(dataset=dataset, resolution=512, flip=False, **values).args[0].fingerprint()
        )

    assert (
        digest(upscale=True, nearest_bucket=True) == digest(upscale=True, nearest_bucket=False) == digest(upscale=True)
    )
    assert digest(upscale=False, nearest_bucket=True) != digest(upscale=False)


def test_half_a_resolution_is_refused(nodes):
    make = nodes["BakeryImagesToDataset"].execute
    (dataset,) = make(images=[tensor(picture(0))[None]], captions=["c"], repeats=[1]).result
    with pytest.raises(ValueError, match="resolution_height.*512.*0"):
        nodes["BakeryBuckets"].execute(dataset=dataset, resolution=0, flip=False, resolution_height=512)


def test_all_options_reach_the_settings(nodes):
    make = nodes["BakeryImagesToDataset"].execute
    (dataset,) = make(images=[tensor(picture(0))[None]], captions=["old, a, b"], repeats=[1]).result
    (captioned,) = (
        nodes["BakeryCaptions"]
        .execute(
            dataset=dataset, **{**CAPTION_INPUTS, "replace": "old > new", "fold": "a + b > ab"}, blacklist="x*",
            order_by_frequency=True, prefix="p", keep_tags_separator="|||", tag_warmup_steps=0.5, replacements="p > q",
        )
        .result
    )  # fmt: skip
    settings = captioned.subsets[0].captions
    assert captioned.subsets[0].items[0].captions == ("new, ab",)
    assert (settings.prefix, settings.keep_tags_separator, settings.tag_warmup_steps) == ("p", "|||", 0.5)
    assert settings.replacements == (("p", "q"),)
    (bucketed,) = (
        nodes["BakeryBuckets"]
        .execute(
            dataset=dataset, resolution=512, resolution_height=256, upscale=False, flip=True, use_alpha_masks=True,
            bucket_step=32, min_bucket_size=128, max_bucket_size=640, random_crop=True, cache="disk",
        )
        .result
    )  # fmt: skip
    buckets = bucketed.subsets[0].buckets
    assert (buckets.resolution, buckets.min_bucket_size, buckets.max_bucket_size) == ((512, 256), 128, 640)
    assert (buckets.upscale, buckets.flip, buckets.random_crop, buckets.cache) == (False, True, True, "disk")

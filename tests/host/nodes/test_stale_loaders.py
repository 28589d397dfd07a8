"""A run is not trained on top of its own LoRA; loaders of other makers in the same graph are named."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.comfy


@pytest.fixture
def root(comfy):
    """`output/loras/own` with a LoRA, as a run leaves it."""
    found = comfy.base / "output" / "loras" / "own"
    found.mkdir(parents=True, exist_ok=True)
    (found / "own.safetensors").touch()
    return found


@pytest.fixture
def linked(comfy, root):
    """The same below another of the host's LoRA folders, by a link, as people who keep one folder have it."""
    link = Path(comfy.module("folder_paths").get_folder_paths("loras")[0]) / "linked"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(root, target_is_directory=True)
    yield "linked/own.safetensors"
    link.unlink()


def prompt(lora_name):
    """A LoRA three nodes before the CLIP of a Train node in a subgraph."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "pocket.safetensors"}},
        "9:1": {"class_type": "LoraLoader", "inputs": {"model": ["1", 0], "clip": ["1", 1], "lora_name": lora_name}},
        "9:2": {"class_type": "CLIPSetLastLayer", "inputs": {"clip": ["9:1", 1]}},
        "9:3": {"class_type": "BakeryTrain", "inputs": {"model": ["1", 0], "clip": ["9:2", 0], "name": "own"}},
    }


@pytest.mark.parametrize("name", ["own/own.safetensors", "linked/own.safetensors"])
def test_its_own_lora_is_refused_however_it_is_reached(root, linked, name):
    from pack.nodes.comfy_bridge.host.stale_loaders import check_not_on_itself, loaders_below

    with pytest.raises(ValueError, match=r"model.*LoraLoader \(9:1\)"):
        check_not_on_itself(prompt(name), "9:3", root)
    assert list(loaders_below(prompt(name), root)) == ["LoraLoader (9:1)"]


def test_its_own_lora_is_no_start(root):
    from pack.nodes.comfy_bridge.host.stale_loaders import check_not_on_itself

    graph = {
        "2": {"class_type": "BakeryLoadLoRA", "inputs": {"lora_name": "own/own.safetensors"}},
        "3": {"class_type": "BakeryTrain", "inputs": {"lora": ["2", 0], "name": "own"}},
    }
    with pytest.raises(ValueError, match=r"lora: BakeryLoadLoRA \(2\).*'own'"):
        check_not_on_itself(graph, "3", root)
    check_not_on_itself(graph, "3", root.parent / "other")


def test_another_runs_lora_and_one_that_leads_elsewhere_are_not(root):
    from pack.nodes.comfy_bridge.host.stale_loaders import check_not_on_itself

    check_not_on_itself(prompt("own/own.safetensors"), "9:3", root.parent / "other")
    drawn_only = prompt("own/own.safetensors")
    drawn_only["9:3"]["inputs"]["clip"] = ["1", 1]
    check_not_on_itself(drawn_only, "9:3", root)
    check_not_on_itself(None, "9:3", root)

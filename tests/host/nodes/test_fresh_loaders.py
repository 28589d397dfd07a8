"""The host's LoRA loaders notice a file that was written again."""

import asyncio
import inspect
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

pytestmark = pytest.mark.comfy

DOWN = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight"
LOADERS = ("LoraLoader", "LoraLoaderModelOnly", "LoraLoaderBypass", "LoraLoaderBypassModelOnly", "CreateHookLora",
           "CreateHookLoraModelOnly")  # fmt: skip


@pytest.fixture
def write(comfy):
    """Writes models/loras/rewritten.safetensors, filled with a number; the pack is loaded as the host loads it."""
    comfy.object_info()
    asyncio.run(_load_pack())
    folder = Path(comfy.module("folder_paths").get_folder_paths("loras")[0])
    folder.mkdir(parents=True, exist_ok=True)

    def written(value):
        save_file({DOWN: torch.full((4, 320), value)}, folder / "rewritten.part")
        (folder / "rewritten.part").replace(folder / "rewritten.safetensors")
        return folder / "rewritten.safetensors"

    return written


async def _load_pack():
    from pack.nodes import comfy_entrypoint

    await (await comfy_entrypoint()).on_load()


def test_each_patched_loader_is_one_of_the_host_and_is_patched(comfy, write):
    from pack.nodes.comfy_bridge.host.fresh_loaders import LOADERS as PATCHED
    from pack.nodes.comfy_bridge.host.fresh_loaders import FreshLora, file_of_loader, notices_changes

    mappings = comfy.module("nodes").NODE_CLASS_MAPPINGS
    for name in PATCHED:
        assert name in mappings, "the host has renamed it"
        assert isinstance(vars(mappings[name])["loaded_lora"], FreshLora)
        assert mappings[name].IS_CHANGED is file_of_loader
    assert all(map(notices_changes, LOADERS))


def source(node):
    try:
        return inspect.getsource(node)
    except (OSError, TypeError):
        return ""


@pytest.mark.full
def test_no_loader_of_the_host_keeps_a_lora_without_being_patched(comfy, write):
    """Whatever takes a LoRA by name and keeps what it read; those that another version adds are found here."""
    from pack.nodes.comfy_bridge.host.fresh_loaders import notices_changes

    classes = comfy.module("nodes").NODE_CLASS_MAPPINGS.items()
    keeping = [name for name, node in classes if not name.startswith("Bakery") and "self.loaded_lora" in source(node)]
    assert "LoraLoader" in keeping
    assert [name for name in keeping if not notices_changes(name)] == []


@pytest.mark.parametrize("name", LOADERS)
def test_what_was_read_counts_until_the_file_changes(comfy, write, name):
    loader = comfy.module("nodes").NODE_CLASS_MAPPINGS[name]
    read, other = loader(), loader()
    assert read.loaded_lora is None
    kept = (str(write(1.0)), {DOWN: 1.0})
    read.loaded_lora = kept
    assert read.loaded_lora is kept and other.loaded_lora is None
    before = loader.IS_CHANGED(model=None, lora_name="rewritten.safetensors", strength_model=1.0)
    assert before == loader.IS_CHANGED(lora_name="rewritten.safetensors")
    write(2.0)
    assert loader.IS_CHANGED(lora_name="rewritten.safetensors") != before
    assert read.loaded_lora is None
    read.loaded_lora = kept
    Path(kept[0]).unlink()
    assert read.loaded_lora is None and loader.IS_CHANGED(lora_name="rewritten.safetensors") == ""


def test_a_hook_is_made_of_the_file_as_it_is(comfy, write):
    loader = comfy.module("nodes").NODE_CLASS_MAPPINGS["CreateHookLora"]()

    def drawn():
        (hooks,) = loader.create_hook(lora_name="rewritten.safetensors", strength_model=1.0, strength_clip=1.0)
        return hooks.hooks[0].weights[DOWN].unique().tolist()

    write(1.0)
    assert drawn() == drawn() == [1.0]
    write(2.0)
    assert drawn() == [2.0]


def test_a_name_from_a_link_and_a_loader_that_looks_itself_are_left_alone(comfy, write):
    from pack.nodes.comfy_bridge.host.fresh_loaders import keep_loaders_fresh, notices_changes

    mappings = comfy.module("nodes").NODE_CLASS_MAPPINGS
    assert mappings["LoraLoader"].IS_CHANGED(lora_name=None) == ""
    own = type("LoraLoader", (), {"IS_CHANGED": lambda: "own", "loaded_lora": "own"})
    core = mappings["LoraLoader"]
    mappings["LoraLoader"] = own
    try:
        keep_loaders_fresh()
        assert own.loaded_lora == "own" and not notices_changes("LoraLoader")
    finally:
        mappings["LoraLoader"] = core
    assert notices_changes("LoraLoader") and not notices_changes("KSampler") and not notices_changes("none such")


def test_what_a_subclass_keeps_in_its_own_way_is_kept(comfy, write):
    """Packs that build on the host's loader keep several LoRAs there, by name or in a list."""
    several = type("Several", (comfy.module("nodes").NODE_CLASS_MAPPINGS["LoraLoader"],), {})()
    for kept in ({}, {0: None}, [], [("a", 1)], (), "a", (None, 1)):
        several.loaded_lora = kept
        assert several.loaded_lora is kept

"""Training graphs on small checkpoints, and what they leave on the second device."""

import gc
import zlib
from typing import Any

import numpy as np
import torch
from pack.tests.support.inprocess import HostModules, LoadedModels
from pack.tests.support.tiny_models import tiniest_sd15_path, tiny_sdxl_path
from PIL import Image

PATHS = {"sd15": tiniest_sd15_path, "sdxl": tiny_sdxl_path}
PREVIEW = {"prompts": "red creature", "width": 64, "height": 64, "steps": 2, "cfg": 2.0, "every": 2}


def node(class_type: str, **inputs: object) -> dict[str, Any]:
    """A node of a prompt."""
    return {"class_type": class_type, "inputs": inputs}


def load(comfy: HostModules, family: str) -> LoadedModels:
    """MODEL, CLIP and VAE of the small checkpoint of a family."""
    return comfy.load_checkpoint(PATHS[family]())


def write_pictures(comfy: HostModules, folder: str = "creatures") -> str:
    """Three pictures of 64 x 64 pixels with captions, in the input folder."""
    place = comfy.base / "input" / folder
    place.mkdir(parents=True, exist_ok=True)
    for index, caption in enumerate(("red creature, hat", "red creature", "green creature")):
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 4), dtype=np.uint8)
        Image.fromarray(pixels, "RGBA").resize((64, 64), Image.Resampling.BICUBIC).save(place / f"{index}.png")
        (place / f"{index}.txt").write_text(caption)
    return folder


def training_graph(comfy: HostModules, name: str, family: str = "sd15", **changes: Any) -> dict[str, Any]:
    """Loader, dataset, network, optimizer, objective, preview and Train node.

    `changes` are inputs of the Train node; `network`, `optimizer`, `objective` and `preview` those of their nodes.
    """
    offer_loader(comfy)
    nodes = {kind: dict(changes.pop(kind, {})) for kind in ("network", "optimizer", "objective", "preview")}
    links = {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "dataset": ["2", 0]}
    links |= {"network": ["3", 0], "optimizer": ["4", 0], "objective": ["5", 0], "preview": ["6", 0]}
    clip_device = changes.pop("clip_device", "card")
    own = {"name": name, "seed": zlib.crc32(name.encode()), "steps": 3, "batch_size": 2, "save_every": 2}
    return {
        "1": node("TestLoadSmall", family=family, clip_device=clip_device),
        "2": node("BakeryLoadDataset", folder=write_pictures(comfy)),
        "3": node("BakeryNetwork", **{"rank": 4, "alpha": 4.0, **nodes["network"]}),
        "4": node("BakeryOptimizer", **{"learning_rate": 1e-3, **nodes["optimizer"]}),
        "5": node("BakeryObjective", **nodes["objective"]),
        "6": node("BakeryPreview", **{**PREVIEW, **nodes["preview"]}),
        "train": node("BakeryTrain", **{**own, "on_dataset_change": "start over", **links, **changes}),
    }


def offer_loader(comfy: HostModules) -> None:
    """Adds a node that loads a small checkpoint: three layers of a text encoder are no checkpoint to the host's."""

    class LoadSmall:
        RETURN_TYPES = ("MODEL", "CLIP", "VAE")
        FUNCTION = "load"
        CATEGORY = "testing"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the host's name
            return {"required": {"family": (list(PATHS),), "clip_device": (["card", "cpu"],)}}

        def load(self, family: str, clip_device: str) -> LoadedModels:
            loaded = load(comfy, family)
            if clip_device == "cpu":
                loaded.clip.patcher.load_device = torch.device("cpu")
            return loaded

    mappings = comfy.module("nodes").NODE_CLASS_MAPPINGS
    mappings.setdefault("TestLoadSmall", LoadSmall)


def trained(comfy: HostModules, graph: dict[str, Any]) -> str:
    """Runs a graph; what the Train node says."""
    result = comfy.run_graph(graph)
    assert result.status == "success", result.error
    return "\n".join(result.outputs["train"]["text"])


def bytes_of_others(comfy: HostModules, device: Any) -> int:
    """Bytes on the device that belong to no model the host has loaded there."""
    management = comfy.module("comfy.model_management")
    comfy.forget_cached_results()
    management.unload_all_models()
    gc.collect()
    return sum(device.used(index) for index in range(device.NUM_DEVICES))

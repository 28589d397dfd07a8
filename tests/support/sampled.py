"""A core sampler on a model and clip in a graph of the host in this process, and the picture that it shows."""

import copy
from typing import Any

import numpy as np
from PIL import Image

from .inprocess import HostModules

SEED, STEPS, CFG = 5, 4, 3.0
Graph = dict[str, Any]


def node(class_type: str, **inputs: Any) -> Graph:
    """A node of a graph."""
    return {"class_type": class_type, "inputs": inputs}


def sampling(tag: str, source: str, prompt: str) -> Graph:
    """A core sampler on the first two outputs of a node; `show <tag>` shows the picture of 64 x 64."""
    return {
        f"text {tag}": node("CLIPTextEncode", clip=[source, 1], text=prompt),
        f"none {tag}": node("CLIPTextEncode", clip=[source, 1], text=""),
        f"latent {tag}": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        f"sample {tag}": node(
            "KSampler", model=[source, 0], positive=[f"text {tag}", 0], negative=[f"none {tag}", 0],
            latent_image=[f"latent {tag}", 0], seed=SEED, steps=STEPS, cfg=CFG, sampler_name="euler",
            scheduler="normal", denoise=1.0,
        ),
        f"decode {tag}": node("VAEDecode", samples=[f"sample {tag}", 0], vae=["checkpoint", 2]),
        f"show {tag}": node("PreviewImage", images=[f"decode {tag}", 0]),
    }  # fmt: skip


def run(comfy: HostModules, graph: Graph) -> Any:
    """The result of a graph that succeeds."""
    result = comfy.run_graph(copy.deepcopy(graph))  # the host notes things in the prompt
    assert result.status == "success", result.error
    return result


def picture(comfy: HostModules, result: Any, name: str) -> np.ndarray:
    """The one picture that a node shows, (H, W, 3) integers."""
    (entry,) = result.outputs[name]["images"]
    with Image.open(comfy.base / "temp" / entry["subfolder"] / entry["filename"]) as image:
        return np.asarray(image.convert("RGB")).astype(int)

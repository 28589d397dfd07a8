"""A small training graph for the real host, and what its run left on disk."""

import io
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pack.tests.support.client import ComfyClient, Prompt, PromptResult
from pack.tests.support.patience import Deadline
from pack.training.run.folder import RunFolder, run_ids
from pack.training.run.lines import read_lines
from PIL import Image

CAPTIONS = ("red creature, hat", "red creature", "green creature, hat")


def write_dataset(folder: Path) -> None:
    """Three pictures of 64 x 64 with captions."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, caption in enumerate(CAPTIONS):
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(caption)


def training_graph(client: ComfyClient, name: str, folder: str, **changes: object) -> Prompt:
    """Checkpoint, dataset, preview and Train node; other required inputs have their defaults.

    `changes` are inputs of the Train node, `prompts` those of the preview and `learning_rate` of an optimizer node.
    Each name has a seed of its own, since a run that was trained under another name is not trained again.
    """
    prompts = changes.pop("prompts", "red creature")
    rate = changes.pop("learning_rate", 1e-4)
    info = client.object_info()

    def filled(kind: str, **inputs: object) -> dict[str, object]:
        defaults = {
            key: spec[1]["default"]
            for key, spec in info[kind]["input"].get("required", {}).items()
            if len(spec) > 1 and "default" in spec[1]
        }
        return node(kind, **{**defaults, **inputs})

    links = {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2], "dataset": ["2", 0], "preview": ["3", 0]}
    seed = zlib.crc32(name.encode())
    own = {"name": name, "seed": seed, "steps": 6, "save_every": 2, "optimizer": ["4", 0], **links, **changes}
    preview = {"prompts": prompts, "width": 64, "height": 64, "steps": 2, "every": 0}
    return {
        "1": filled("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "2": filled("BakeryLoadDataset", folder=folder),
        "3": filled("BakeryPreview", **preview),
        "4": filled("BakeryOptimizer", learning_rate=rate),
        "5": filled("BakeryTrain", **own),
    }


def node(class_type: str, **inputs: object) -> dict[str, object]:
    """A node of a prompt."""
    return {"class_type": class_type, "inputs": inputs}


def with_sampler(graph: Prompt, lora: str | None = None, source: str = "5") -> Prompt:
    """The graph and a core sampler on the MODEL and CLIP of `source`, or of a LoRA file on the checkpoint alone."""
    added = {
        "text": node("CLIPTextEncode", clip=[source, 1], text="red creature, hat"),
        "none": node("CLIPTextEncode", clip=[source, 1], text=""),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "sample": node(
            "KSampler", model=[source, 0], positive=["text", 0], negative=["none", 0], latent_image=["latent", 0],
            seed=5, steps=4, cfg=3.0, sampler_name="euler", scheduler="normal", denoise=1.0,
        ),
        "decode": node("VAEDecode", samples=["sample", 0], vae=["1", 2]),
        "show": node("PreviewImage", images=["decode", 0]),
    }  # fmt: skip
    if lora is None:
        return {**graph, **added}
    loader = node("LoraLoader", model=["1", 0], clip=["1", 1], lora_name=lora, strength_model=1.0, strength_clip=1.0)
    return with_sampler({"1": graph["1"], "file": loader}, source="file")


def pictures_of(client: ComfyClient, result: PromptResult, shown: str) -> np.ndarray:
    """Pixels, as signed numbers, of the pictures that a node shows."""
    assert result.status == "success", result.error
    files = [Image.open(io.BytesIO(client.view(image))) for image in result.outputs[shown]["images"]]
    return np.stack([np.asarray(picture.convert("RGB"), dtype=np.int16) for picture in files])


def message(result: PromptResult) -> str:
    """What the Train node said."""
    assert result.status == "success", result.error
    return str(result.outputs["5"]["text"][0])


def run_folder(output: Path, name: str) -> RunFolder | None:
    """The run of a name that began last, once there is one; before its first save it does not own the name yet."""
    root = output / "loras" / name
    begun = run_ids(root)
    return RunFolder(root, begun[0]) if begun else None


def set_aside(output: Path, name: str) -> RunFolder:
    """Moves what a name trained to where no run looks, so that another name trains the same."""
    folder = run_folder(output, name)
    assert folder is not None
    root = output / "aside" / name
    root.parent.mkdir(exist_ok=True)
    return RunFolder(folder.root.rename(root), folder.run_id)


def steps_done(output: Path, name: str) -> int:
    """Steps in the metrics of a name's current run."""
    folder = run_folder(output, name)
    return 0 if folder is None else max((line["step"] for line in read_lines(folder.metrics)), default=0)


def wait_until(is_true: Callable[[], bool], timeout_s: float = 600.0) -> None:
    """Polls, `timeout_s` seconds of an idle machine at most.

    Raises:
        TimeoutError: It did not become true in time.
    """
    deadline = Deadline(timeout_s)
    while not is_true():
        if deadline.is_over:
            raise TimeoutError("it did not happen in time")
        time.sleep(0.02)

"""How much a LoRA shows of itself unasked while it is trained too long: `pack.tests.pocket.overfit`.

Trains zorblax on the pocket model, far beyond what is good for it, and draws the saved steps as Compare LoRAs does: the
same prompts with the trigger word and without it. Printed for each step: likeness to the dataset with and without the
word, what Compare LoRAs makes of them (`Comparison.leaks`), and what is true of the pictures: the share that show the
character when asked for, and when not asked for. The limit in training/comparison.py lies where the last one has risen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ...training.compare import NO_LORA, Cell, without_trigger
from ...training.comparison import Comparison
from ...training.data.images import pixels_HWC
from ...training.likeness import describe, likeness
from ..host.inprocess import HostModules, import_comfyui
from ..host.paths import POCKET_CHECKPOINT, comfyui_folder
from .characters import CHARACTERS, OriginalCharacter, reference_images, write_oc_dataset
from .measure import identity
from .sampling import PocketModel, SamplerConfig, sample_captions

STEPS = (50, 100, 200, 300, 500, 750, 1000)
PICTURES_A_PROMPT = 6
SAMPLING = SamplerConfig(num_steps=12, cfg=4.0, seed=1, batch_size=PICTURES_A_PROMPT * 4)


def train(host: HostModules, character: OriginalCharacter, rate: float, algorithm: str) -> dict[int, Path]:
    """LoRA files by step."""
    folder = host.base / "input" / character.trigger
    write_oc_dataset(folder, character)
    name = "overfit"
    graph: dict[str, Any] = {
        "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=POCKET_CHECKPOINT.name),
        "dataset": _node("BakeryLoadDataset", folder=folder.name),
        "network": _node("BakeryNetwork", algorithm=algorithm),
        "optimizer": _node("BakeryOptimizer", learning_rate=rate),
        "preview": _node("BakeryPreview", prompts="x", width=64, height=64, every=0, at_start=False, steps=1),
        "train": _node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], network=["network", 0], optimizer=["optimizer", 0], preview=["preview", 0],
            name=name, steps=STEPS[-1], batch_size=1, save_every=50,
        ),
    }  # fmt: skip
    ended = host.run_graph(graph)
    if ended.status != "success":
        raise RuntimeError(ended.error)
    root = host.base / "output" / "loras" / name
    return {step: root / f"{name}-step{step:06d}.safetensors" for step in STEPS}


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def with_lora(host: HostModules, pocket: PocketModel, file: Path) -> PocketModel:
    """The model as ComfyUI's own loader patches it."""
    tensors = host.module("comfy.utils").load_torch_file(str(file), safe_load=True)
    model, clip = host.module("comfy.sd").load_lora_for_models(pocket.model, pocket.clip, tensors, 1.0, 1.0)
    return PocketModel(model, clip, pocket.vae)


def draw(pocket: PocketModel, prompts: list[str]) -> list[Image.Image]:
    """Pictures of all prompts."""
    captions = [prompt for prompt in prompts for _ in range(PICTURES_A_PROMPT)]
    return [Image.fromarray(picture) for picture in sample_captions(pocket, captions, SAMPLING)]


def main(arguments: list[str]) -> int:
    """Train, draw, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--algorithm", default="locon")
    options = parser.parse_args(arguments)
    character = CHARACTERS["zorblax"]
    references_ND = torch.stack([describe(pixels_HWC(picture)) for picture, _ in reference_images(character)])
    prompts = [character.caption(name) for name in (*character.seen_backgrounds[:2], *character.unseen_backgrounds[:2])]
    plain = [without_trigger(prompt, character.trigger) for prompt in prompts]

    def score(pictures: list[Image.Image]) -> float:
        return sum(likeness(describe(pixels_HWC(picture)), references_ND) for picture in pictures) / len(pictures)

    with tempfile.TemporaryDirectory() as folder:
        comfyui = comfyui_folder()
        if comfyui is None:
            raise SystemExit("no ComfyUI: run `python dev.py test` once, or set COMFYUI_PATH")
        host = import_comfyui(comfyui, Path(folder))
        files = train(host, character, options.rate, options.algorithm)
        pocket = PocketModel(*host.load_checkpoint(POCKET_CHECKPOINT))
        print("| step | likeness | without the word | shows unasked | character when asked | when not asked |")
        print("|---|---|---|---|---|---|")
        base: tuple[float, float] | None = None
        for label, model in (("0", pocket), *((str(step), with_lora(host, pocket, files[step])) for step in STEPS)):
            asked, unasked = draw(model, prompts), draw(model, plain)
            mine = score(asked), score(unasked)
            base = base or mine
            leak = _leak(base, mine) if label != "0" else None
            shares = identity(asked, character), identity(unasked, character)
            told = "-" if leak is None else f"{leak:.0%}"
            figures = f"{mine[0]:.3f} | {mine[1]:.3f} | {told} | {shares[0]:.0%} | {shares[1]:.0%}"
            print(f"| {label} | {figures} |", flush=True)
    return 0


def _leak(base: tuple[float, float], mine: tuple[float, float]) -> float | None:
    """As Compare LoRAs says it, of mean scores with the word and without."""
    cells = tuple(Cell(lora=index, prompt=0, strength=0, text_strength=0) for index in range(2))
    comparison = Comparison(
        loras=(NO_LORA, "lora"), steps=(None, None), prompts=("",), strengths=(1.0,), text_strengths=(None,), run=None,
        cells=cells, scores=(base[0], mine[0]), plain_scores=(base[1], mine[1]),
    )  # fmt: skip
    return comparison.leaks()[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

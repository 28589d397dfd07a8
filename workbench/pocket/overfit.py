"""How much a LoRA shows of itself unasked while it is trained too long: `pack.workbench.pocket.overfit`.

Trains a character on the pocket model, far beyond what is good for it, and draws the saved steps as Compare LoRAs does:
prompts that ask for the character, and prompts that name other creatures, beside the base model's own pictures. Printed
for each step: what changed in either, what `training/compare/overfit.py` makes of it, and what is true of the pictures:
the share that shows the character, and how right the other creatures still are, relative to the base model. The limit
in training/compare/overfit.py lies between the steps that are good and those that are not.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ...tests.support.inprocess import HostModules, import_comfyui
from ...tests.support.paths import POCKET_CHECKPOINT, comfyui_folder
from ...training.compare.overfit import change, share_of_others
from ...training.data.images import pixels_HWC
from .captions import held_out_creatures
from .characters import CHARACTERS, OriginalCharacter, write_oc_dataset
from .measure import identity, prior
from .sampling import PocketModel, SamplerConfig, sample_captions
from .world import describe

STEPS = (50, 100, 200, 300, 500, 750, 1000)
PICTURES = 24
"""Of the character, and of others."""
SAMPLING = SamplerConfig(num_steps=12, cfg=4.0, seed=1, batch_size=PICTURES)


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


def draw(pocket: PocketModel, captions: Sequence[str]) -> list[Image.Image]:
    """A picture of each caption."""
    return [Image.fromarray(picture) for picture in sample_captions(pocket, captions, SAMPLING)]


def changed(pictures: list[Image.Image], before: list[Image.Image]) -> float:
    """As Compare LoRAs measures it."""
    return change([pixels_HWC(picture) for picture in pictures], [pixels_HWC(picture) for picture in before])


def main(arguments: list[str]) -> int:
    """Train, draw, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--character", choices=sorted(CHARACTERS), default="zorblax")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--algorithm", default="locon")
    options = parser.parse_args(arguments)
    character = CHARACTERS[options.character]
    backgrounds = [*character.seen_backgrounds[:2], *character.unseen_backgrounds[:2]]
    asked = [character.caption(name) for name in backgrounds for _ in range(PICTURES // len(backgrounds))]
    others = [describe(creature) for creature in held_out_creatures()[:PICTURES]]
    with tempfile.TemporaryDirectory() as folder:
        comfyui = comfyui_folder()
        if comfyui is None:
            raise SystemExit("no ComfyUI: run `python dev.py test` once, or set COMFYUI_PATH")
        host = import_comfyui(comfyui, Path(folder))
        files = train(host, character, options.rate, options.algorithm)
        pocket = PocketModel(*host.load_checkpoint(POCKET_CHECKPOINT))
        before = draw(pocket, asked), draw(pocket, others)
        print("| step | changed when asked | others changed | share | character when asked | others right |")
        print("|---|---|---|---|---|---|")
        for step in STEPS:
            model = with_lora(host, pocket, files[step])
            pictures = draw(model, asked), draw(model, others)
            mine, theirs = (changed(*pair) for pair in zip(pictures, before, strict=True))
            share = share_of_others(mine, theirs)
            told = "-" if share is None else f"{share:.0%}"
            truth = f"{identity(pictures[0], character):.0%} | {prior(pictures[1], others, before[1]):.0%}"
            print(f"| {step} | {mine:.3f} | {theirs:.3f} | {told} | {truth} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

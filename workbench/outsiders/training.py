"""The graphs that train a character: Train LoRA as it comes, and Recipe as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tests.support.client import Prompt
from ...tests.support.paths import POCKET_CHECKPOINT
from ..pocket.world import SIZE_PX
from .cast import SEEN, Outsider

SETTINGS = ("Train LoRA", "Recipe")


@dataclass(frozen=True)
class Trial:
    """One training of a character, by one of `SETTINGS`, with a seed."""

    outsider: Outsider
    settings: str
    seed: int

    @property
    def name(self) -> str:
        """The LoRA's name."""
        return f"{self.outsider.trigger}-{self.seed}"

    @property
    def key(self) -> str:
        """Its name among the results."""
        return " | ".join((self.settings, self.outsider.kind, self.outsider.trigger, str(self.seed)))


def write_dataset(folder: Path, outsider: Outsider) -> None:
    """Nine pictures on the seen backgrounds, with captions that name pose and background."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, prompt in enumerate(outsider.prompts(SEEN)):
        path = folder / f"{index}.png"
        outsider.pictures[prompt].save(path)
        path.with_suffix(".txt").write_text(outsider.caption(prompt) + "\n", encoding="utf-8")


def training_graph(trial: Trial) -> Prompt:
    """Nothing but dataset, name and seed is set, and pictures on the way are not drawn."""
    train: dict[str, Any] = {
        "model": ["checkpoint", 0], "clip": ["checkpoint", 1], "vae": ["checkpoint", 2], "dataset": ["dataset", 0],
        "preview": ["preview", 0], "name": trial.name, "seed": trial.seed,
    }  # fmt: skip
    preview = {"prompts": trial.outsider.trigger, "width": SIZE_PX, "height": SIZE_PX, "every": 0, "at_start": False}
    graph: Prompt = {
        "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=POCKET_CHECKPOINT.name),
        "dataset": _node("BakeryLoadDataset", folder=trial.outsider.trigger),
        "preview": _node("BakeryPreview", **preview, steps=1),
        "train": _node("BakeryTrain", **train),
    }
    if trial.settings == "Recipe":
        asked = {"dataset": ["dataset", 0], "model": ["checkpoint", 0], "clip": ["checkpoint", 1]}
        graph["recipe"] = _node("BakeryRecipe", **asked)
        outputs = {"network": 0, "optimizer": 1, "objective": 2, "stages": 3}
        graph["train"]["inputs"] |= {socket: ["recipe", index] for socket, index in outputs.items()}
    return graph


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}

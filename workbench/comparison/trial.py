"""One training, as a graph of the pack's nodes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ...tests.support.client import Prompt
from ...tests.support.paths import POCKET_CHECKPOINT
from ..examples.data import CLASS, MASKS
from .contestants import Contestant
from .kinds import POCKET_OF_KIND

SIZE_PX = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is done for each trial."""

    steps: int = 100
    batch_size: int = 4
    num_pictures: int = 5
    """Pictures of each prompt."""
    sampling_steps: int = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """A contestant at one learning rate with one seed."""

    contestant: Contestant
    rate: float
    seed: int
    scale: Scale

    @property
    def key(self) -> str:
        """Everything that determines the outcome, as text: equal contestants share a trial."""
        entry = {name: value for name, value in asdict(self.contestant).items() if name in _DECIDING}
        entry |= {name: value for name in _ONLY_IF_SET if (value := getattr(self.contestant, name))}
        defaults = {"optimizer": "AdamW", **entry.pop("optimizer")}
        network = {"rank": 16, "alpha": 16.0, **entry.pop("network")}
        parts = {**entry, "network": network, "optimizer": defaults, **asdict(self.scale)}
        return json.dumps({**parts, "rate": self.rate, "seed": self.seed}, sort_keys=True)

    @property
    def name(self) -> str:
        """A short name for files."""
        return hashlib.blake2b(self.key.encode(), digest_size=6).hexdigest()


_DECIDING = ("network", "optimizer", "objective", "character", "has_class_images")
_ONLY_IF_SET = ("num_images", "has_masks", "kind")
"""Named in a key only where they are used, so that trials from before they existed are still found."""


def trained_folder(contestant: Contestant) -> str:
    """Input folder of what a contestant trains."""
    few = f"_{contestant.num_images}" if contestant.num_images else ""
    return f"{contestant.character}{few}"


def held_out_folder(character: str) -> str:
    """Input folder of a character's pictures that are measured and never trained."""
    return f"{character}_held_out"


def training_graph(trial: Trial) -> Prompt:
    """Load, train, save; everything else has its default."""
    contestant, scale = trial.contestant, trial.scale
    graph: Prompt = {
        "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=POCKET_CHECKPOINT.name),
        "dataset": _node("BakeryLoadDataset", folder=trained_folder(contestant)),
        "held_out": _node("BakeryLoadDataset", folder=held_out_folder(contestant.character)),
        "network": _node("BakeryNetwork", **network_inputs(contestant)),
        "optimizer": _node("BakeryOptimizer", learning_rate=trial.rate, **contestant.optimizer),
        "objective": _node("BakeryObjective", **contestant.objective),
        # Without this node previews would be drawn on the way; it draws one, hardly, at the end.
        "preview": _node(
            "BakeryPreview", prompts=contestant.character, width=SIZE_PX, height=SIZE_PX, every=0, at_start=False,
            steps=1,
        ),
        "train": _node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], validation_dataset=["held_out", 0], network=["network", 0],
            optimizer=["optimizer", 0], objective=["objective", 0], preview=["preview", 0], name=trial.name,
            steps=scale.steps, batch_size=scale.batch_size, seed=trial.seed, save_every=scale.steps,
            save_dtype="float32",
        ),
    }  # fmt: skip
    if contestant.kind:
        graph["checkpoint"] = _node(POCKET_OF_KIND, kind=contestant.kind)
    if contestant.has_masks:
        graph["dataset"]["inputs"]["mask_folder"] = MASKS
    if contestant.has_class_images:
        graph["class"] = _node("BakeryLoadDataset", folder=CLASS, is_regularization=True)
        graph["both"] = _node("BakeryCombineDatasets", dataset_1=["dataset", 0], dataset_2=["class", 0])
        graph["train"]["inputs"]["dataset"] = ["both", 0]
    return graph


def network_inputs(contestant: Contestant) -> dict[str, Any]:
    """Inputs of the network's node; the trigger word is the character's."""
    named = {"trigger_embedding": contestant.character} if contestant.network.get("trigger_embedding") else {}
    return {**contestant.network, **named}


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


Result = Mapping[str, Any]
"""Scores of a trial, or its `error`; see `kitchen.Kitchen.bake`."""

"""One short training for a picture, as a graph of the pack's nodes."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ...tests.support.client import Prompt
from ...tests.support.paths import POCKET_CHECKPOINT
from ..examples.data import CHARACTER, CLASS

Inputs = Mapping[str, Any]
SIZE_PX = 64
RATE = 2e-3
"""That of the pocket model, which is small; large models want about a tenth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bake:
    """What is trained; everything else is as the nodes have it."""

    folder: str = CHARACTER
    """Dataset, below the input folder."""
    captions: Inputs = field(default_factory=dict[str, Any])
    """Inputs of BakeryCaptions; the node is there only if it has any."""
    has_class_images: bool = False
    """Regularization images of creatures in general."""
    network: Inputs = field(default_factory=dict[str, Any])
    """Inputs of BakeryNetwork besides algorithm locon, which learns most on the pocket model."""
    optimizer: Inputs = field(default_factory=dict[str, Any])
    objective: Inputs = field(default_factory=dict[str, Any])
    rate: float = RATE
    steps: int = 100
    save_every: int = 0
    """Steps between saves. 0 = only at the end."""

    @property
    def name(self) -> str:
        """A short name of all that decides the outcome."""
        return hashlib.blake2b(json.dumps(asdict(self), sort_keys=True).encode(), digest_size=6).hexdigest()


def training_graph(bake: Bake) -> Prompt:
    """Load, train, save."""
    graph: Prompt = {
        "checkpoint": _node("CheckpointLoaderSimple", ckpt_name=POCKET_CHECKPOINT.name),
        "pictures": _node("BakeryLoadDataset", folder=bake.folder),
        "network": _node("BakeryNetwork", **{"algorithm": "locon", **bake.network}),
        "optimizer": _node("BakeryOptimizer", **{"learning_rate": bake.rate, **bake.optimizer}),
        "objective": _node("BakeryObjective", **bake.objective),
        # Without this node previews would be drawn on the way; it draws one, hardly, at the end.
        "preview": _node(
            "BakeryPreview", prompts=CHARACTER, width=SIZE_PX, height=SIZE_PX, every=0, at_start=False, steps=1
        ),
        "train": _node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["pictures", 0], network=["network", 0], optimizer=["optimizer", 0], objective=["objective", 0],
            preview=["preview", 0], name=bake.name, steps=bake.steps, batch_size=4, seed=1,
            save_every=bake.save_every or bake.steps,
        ),
    }  # fmt: skip
    if bake.captions:
        graph["captions"] = _node("BakeryCaptions", dataset=["pictures", 0], **bake.captions)
        graph["train"]["inputs"]["dataset"] = ["captions", 0]
    if bake.has_class_images:
        graph["class"] = _node("BakeryLoadDataset", folder=CLASS, is_regularization=True)
        graph["both"] = _node(
            "BakeryCombineDatasets", dataset_1=graph["train"]["inputs"]["dataset"], dataset_2=["class", 0]
        )
        graph["train"]["inputs"]["dataset"] = ["both", 0]
    return graph


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}

"""The current round of a character that is trained in rounds."""

from dataclasses import replace
from typing import Any

from ...training.data.dataset import Dataset
from ...training.files.lora_file import load_lora
from ...training.optimizers.settings import OptimizerSettings
from ...training.session.plan import as_counted_before
from ...training.session.rounds import Round, RoundNote, open_round, rate_of_round, trained_rounds
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.host.run_folders import loras_output
from ..menu import ADVANCED
from .recipe import count_images
from .run_name import accepted_name

SETTINGS = OptimizerSettings()


class BakeryRound(io.ComfyNode):
    """Counts rounds, names them, and outputs the weights of the last one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryRound",
            display_name="Few-Image Round (Bakery)",
            category=ADVANCED,
            description="For training in rounds: train, draw, keep the good pictures, queue again. When the dataset "
            "has changed, the next round starts under its own name from the last round's weights.",
            search_aliases=["iterate", "loop", "bootstrap", "original character", "rare character", "round counter"],
            inputs=[
                sockets.Dataset.Input("dataset", tooltip="The dataset to train on. A changed dataset starts the next "
                "round."),
                io.String.Input(
                    "name", default="my_character",
                    tooltip="Name of the character; the LoRAs are named name_round_1, name_round_2 and so on.",
                ),
                io.Float.Input(
                    "learning_rate", default=SETTINGS.learning_rate, min=0.0, max=10.0, step=0.000001, round=False,
                    tooltip="Learning rate of round 1. Only used if the learning_rate output is connected to "
                    "Optimizer.",
                ),
                io.Float.Input(
                    "rate_factor", default=1.0, min=0.0, max=1.0, step=0.05,
                    tooltip="Each round multiplies the learning rate by this. 1 = always the same; 0.5 = half of the "
                    "round before.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="name", tooltip="Name of this round, for Train LoRA and Save Image."),
                sockets.LoraModel.Output(
                    display_name="lora", tooltip="LoRA of the previous round, for Train LoRA; empty in round 1."
                ),
                io.Int.Output(display_name="round", tooltip="Number of this round, starting at 1."),
                io.String.Output(display_name="report", tooltip="All rounds so far with their number of images."),
                io.Float.Output(display_name="learning_rate", tooltip="Learning rate of this round, for Optimizer."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, name: str | None = None) -> bool | str:
        """Refuse the name before anything runs."""
        return accepted_name(name)

    @classmethod
    def fingerprint_inputs(cls, name: str | None, **_: Any) -> str | float:
        """Changes when a round was trained or deleted."""
        if name is None:
            return float("nan")
        return " ".join(one.name for one in trained_rounds(loras_output(), name))

    @classmethod
    def execute(cls, dataset: Dataset, name: str, learning_rate: float, rate_factor: float) -> io.NodeOutput:
        note = RoundNote(dataset=dataset.fingerprint(), num_images=count_images(dataset)[0])
        earlier = replace(note, dataset=as_counted_before(dataset).fingerprint())
        current = open_round(loras_output(), name, note, earlier)
        before = current.previous
        lora = None if before is None else load_lora(before.lora).tensors
        report = describe_rounds(current)
        rate = rate_of_round(learning_rate, rate_factor, current.number)
        return io.NodeOutput(current.name, lora, current.number, report, rate, ui={"text": [report]})


def describe_rounds(current: Round) -> str:
    """The round and those before it, a line each."""
    before = current.previous
    start = "starts from scratch" if before is None else f"starts from {before.name}"
    earlier = [one for one in trained_rounds(current.loras, current.base_name) if one.number < current.number]
    counts = [f"round {one.number}: {_images(one.note)}" for one in [*earlier, current]]
    return "\n".join([f"{current.name} {start}.", *counts])


def _images(note: RoundNote | None) -> str:
    return "not noted" if note is None else f"{note.num_images} image{'s' * (note.num_images != 1)}"


NODES: list[type[io.ComfyNode]] = [BakeryRound]

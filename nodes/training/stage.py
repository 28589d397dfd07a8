"""One stage of a plan; stages are chained."""

from typing import Any

from ...training.loop.stages import Plan, Stage
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED

STAGE = Stage()


class BakeryStage(io.ComfyNode):
    """Appends a stage to a plan."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryStage",
            display_name="Training Stage (Bakery)",
            category=ADVANCED,
            description="A part of a run with its own length, batch size, optimizer and images. Chain several, for "
            "example linear for most steps and a short cosine at the end, or a low resolution first and a high one "
            "after.",
            search_aliases=["phases", "plan", "multi-step training", "epochs", "gradient accumulation"],
            inputs=[
                sockets.Stages.Input("stages", optional=True, tooltip="The stages before this one."),
                sockets.Optimizer.Input(
                    "optimizer",
                    optional=True,
                    tooltip="Optimizer of this stage. Not connected: that of the previous stage.",
                ),
                *_length_inputs(),
            ],
            outputs=[
                sockets.Stages.Output(display_name="stages", tooltip="For Train LoRA or the next Training Stage.")
            ],
        )

    @classmethod
    def execute(cls, steps: int, stages: Plan = (), resolution: int = 0, **values: Any) -> io.NodeOutput:
        return io.NodeOutput((*stages, Stage(steps=steps or None, resolution=resolution or None, **values)))


def _length_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "steps", display_name="steps (0 = epochs)", default=0, min=0, max=1_000_000,
            tooltip="Steps of this stage. 0 = use epochs.",
        ),
        io.Float.Input(
            "epochs", default=STAGE.epochs, min=0.01, max=100_000.0, step=1.0,
            tooltip="How often every image (with its repeats) is trained. Not used if steps is set. With gradient "
            "accumulation, batches run on over the end of an epoch: 25 batches, 4 a step, 10 epochs are 63 steps "
            "(kohya's scripts: 70).",
        ),
        io.Int.Input(
            "batch_size", default=STAGE.batch_size, min=1, max=256,
            tooltip="Images per batch. Larger batches are steadier and need more memory.",
        ),
        io.Int.Input(
            "grad_accumulation_steps", default=STAGE.grad_accumulation_steps, min=1, max=1024,
            optional=True, advanced=True,
            tooltip="Batches per step: as steady as a larger batch, without its memory.",
        ),
        io.Boolean.Input(
            "keep_optimizer_state", default=STAGE.keep_optimizer_state, optional=True, advanced=True,
            tooltip="Keep the optimizer's state from the previous stage if the optimizer is the same.",
        ),
        io.Int.Input(
            "resolution", display_name="resolution (0 = the dataset's)",
            default=0, min=0, max=4096, step=64, optional=True, advanced=True,
            tooltip="Resolution of this stage: side of a square in pixels. 0 = the dataset's own.",
        ),
        sockets.Dataset.Input(
            "dataset", optional=True, tooltip="Dataset of this stage only. Not connected: the dataset of Train LoRA."
        ),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [BakeryStage]

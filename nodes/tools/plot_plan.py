"""Draws a plan of stages before training."""

from typing import get_args

from comfy_api.latest import ui

from ...training.base_model import ModelFamily
from ...training.data.dataset import Dataset
from ...training.data.images import pixels_HWC
from ...training.loop.stages import Plan, Stage
from ...training.optimizers import check_optimizer
from ...training.optimizers.settings import OptimizerSettings
from ...training.session.plan_chart import describe_plan, draw_plan, plan_before_training
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import TOOLS


class BakeryPlotPlan(io.ComfyNode):
    """Learning rates and length of a plan, before it is trained."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryPlotPlan",
            display_name="Plot Plan (Bakery)",
            category=TOOLS,
            description="Draws the learning rate at every step of a plan before training, with the number of steps of "
            "each stage. Queue this node alone to see it at once.",
            search_aliases=["learning rate curve", "schedule preview", "lr plot", "scheduler"],
            is_output_node=True,
            inputs=[*_plan_inputs(), *_picture_inputs()],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The learning rate by step."),
                io.String.Output(display_name="text", tooltip="Every stage with its steps and learning rates."),
            ],
        )

    @classmethod
    def execute(
        cls,
        family: ModelFamily,
        stages: Plan | None = None,
        optimizer: OptimizerSettings | None = None,
        dataset: Dataset | None = None,
        **sizes: int,
    ) -> io.NodeOutput:
        plan = stages or (Stage(steps=sizes["steps"], batch_size=sizes["batch_size"]),)
        planned = plan_before_training(plan, optimizer or OptimizerSettings(), dataset, family)
        for stage in planned:
            check_optimizer(stage.optimizer)
        picture, text = draw_plan(planned, sizes["width"], sizes["panel_height"]), describe_plan(planned)
        image = pixels_HWC(picture)[None]
        return io.NodeOutput(image, text, ui={**ui.PreviewImage(image, cls=cls).as_dict(), "text": [text]})


def _plan_inputs() -> list[io.Input]:
    return [
        sockets.Stages.Input("stages", optional=True, tooltip="The plan, from the last Training Stage or from Recipe."),
        sockets.Optimizer.Input(
            "optimizer", optional=True,
            tooltip="Optimizer of stages that have none, as on Train LoRA. Not connected: "
            "its defaults."
        ),
        sockets.Dataset.Input(
            "dataset", optional=True, tooltip="The dataset of Train LoRA; required if a stage counts epochs."
        ),
        io.Int.Input(
            "steps", default=1000, min=1, max=1_000_000, tooltip="Steps of Train LoRA. Not used with stages."
        ),
        io.Int.Input(
            "batch_size", default=1, min=1, max=256, tooltip="Batch size of Train LoRA. Not used with stages."
        ),
        io.Combo.Input(
            "family", options=list(get_args(ModelFamily)), default="sd15",
            tooltip="Type of model. Sets the buckets, and so the batches per epoch, if no resolution is set.",
        ),
    ]  # fmt: skip


def _picture_inputs() -> list[io.Input]:
    return [
        io.Int.Input("width", default=1024, min=256, max=4096, step=8, tooltip="Width in pixels."),
        io.Int.Input("panel_height", default=256, min=128, max=2048, step=8, tooltip="Height of each chart in pixels."),
    ]


NODES: list[type[io.ComfyNode]] = [BakeryPlotPlan]

"""What is sampled while a LoRA trains."""

from typing import Any

from ...training.compare.layout import parse_numbers
from ...training.watch.previews import PreviewSettings
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.previews import SCHEDULERS
from ..inputs.pictures import guidance_inputs, size_inputs
from ..menu import LEAD


class BakeryPreview(io.ComfyNode):
    """Prompts, seed, size and sampler of the previews."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryPreview",
            display_name="LoRA Preview (Bakery)",
            category=LEAD,
            description="Draws preview pictures with ComfyUI's own sampler while the LoRA trains.",
            search_aliases=["sample prompts", "training preview", "sample every n steps"],
            inputs=[
                io.String.Input(
                    "prompts", multiline=True, default="",
                    placeholder="[trigger], smiling, forest",
                    tooltip="One prompt per line. Every preview draws all of them. [trigger] stands for the trigger "
                    "word: that of Captions, else the one with which every caption begins. Of several concepts "
                    "each is drawn.",
                ),
                io.String.Input("negative", multiline=True, default="", tooltip="Negative prompt for all previews."),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    tooltip="Seed of every preview, so that pictures differ by the training alone.",
                ),
                *size_inputs(),
                io.Int.Input(
                    "every", display_name="every (0 = start and end)", default=100, min=0, max=100_000,
                    tooltip="Training steps between previews. 0 = only at the start and the end.",
                ),
                io.Boolean.Input(
                    "at_start", default=True, tooltip="Also draw step 0: the model without the LoRA."
                ),
                io.Int.Input("steps", default=20, min=1, max=1000, tooltip="Sampling steps.", advanced=True),
                *guidance_inputs(is_advanced=True),
                io.Combo.Input(
                    "scheduler", options=SCHEDULERS, default="normal", tooltip="Noise schedule, as in KSampler.",
                    advanced=True,
                ),
                io.String.Input(
                    "strengths", default="1.0", optional=True,
                    tooltip="LoRA strengths at which every prompt is drawn, separated by commas: 0.6, 0.8, 1.0.",
                ),
            ],
            outputs=[sockets.Preview.Output(display_name="preview", tooltip="Connect to Train LoRA.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, prompts: str, strengths: str = "1.0", **settings: Any) -> io.NodeOutput:
        lines = tuple(line.strip() for line in prompts.splitlines() if line.strip())
        wanted = parse_numbers(strengths, "strengths", -10, 10) or [1.0]
        return io.NodeOutput(PreviewSettings(prompts=lines, strengths=tuple(wanted), **settings))


NODES: list[type[io.ComfyNode]] = [BakeryPreview]

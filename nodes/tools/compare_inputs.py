"""Inputs of Compare LoRAs: what is compared, how it is laid out, sampled and scored."""

from ...training.compare.layout import AXES
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.previews import SCHEDULERS
from ..inputs.pictures import guidance_inputs, size_inputs

MAX_LORAS = 4


def compare_inputs() -> list[io.Input]:
    """All inputs, in the order of the node."""
    return [*_what_inputs(), *_layout_inputs(), *_sampling_inputs(), *_scoring_inputs()]


def _what_inputs() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="The base model, without a LoRA."),
        io.Clip.Input("clip", tooltip="The CLIP of the base model."),
        io.Vae.Input("vae", tooltip="Decodes the pictures."),
        io.String.Input("prompts", multiline=True, default="", tooltip="One prompt per line. [trigger] "
        "stands for the run's trigger word."),
        io.String.Input("negative", multiline=True, default="", tooltip="Negative prompt for all pictures."),
        sockets.Run.Input("run", optional=True, tooltip="A run from Train LoRA; its saved steps are compared."),
        *[
            sockets.LoraModel.Input(f"lora_{number}", optional=True, tooltip="A LoRA to compare.")
            for number in range(1, MAX_LORAS + 1)
        ],
        io.String.Input(
            "steps", default="", tooltip="Saved steps of the run, separated by commas. Empty = evenly spaced steps."
        ),
        io.Int.Input(
            "num_steps", default=4, min=1, max=50, tooltip="How many evenly spaced steps, including the last."
        ),
        io.Boolean.Input("include_base", default=True, tooltip="Also draw the base model without a LoRA."),
        io.String.Input("strengths", default="1.0", tooltip="Strengths to compare, separated by commas."),
        io.String.Input(
            "text_encoder_strengths", default="",
            tooltip="Strengths of the text encoders to combine with those of the U-Net. Empty = same as the U-Net's.",
        ),
    ]  # fmt: skip


def _layout_inputs() -> list[io.Input]:
    return [
        io.Combo.Input("columns", options=list(AXES), default="LoRA", tooltip="What varies from left to right."),
        io.Combo.Input(
            "rows", options=list(AXES), default="prompt",
            tooltip="What varies from top to bottom. What is neither columns nor rows goes on further pages.",
        ),
    ]  # fmt: skip


def _sampling_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=io.ControlAfterGenerate.fixed,
            tooltip="Seed of every picture.",
        ),
        *size_inputs(),
        io.Int.Input("sampling_steps", default=20, min=1, max=1000, tooltip="Sampling steps per picture."),
        *guidance_inputs(),
        io.Combo.Input("scheduler", options=SCHEDULERS, default="normal", tooltip="Noise schedule, as in KSampler."),
    ]  # fmt: skip


def _scoring_inputs() -> list[io.Input]:
    return [
        io.Image.Input(
            "references", optional=True,
            tooltip="Pictures of the trained subject; cells are scored by likeness to "
            "them."
        ),
        io.ClipVision.Input(
            "clip_vision", optional=True,
            tooltip="Image encoder for the scores. Not connected: colors and edges are compared.",
        ),
        io.String.Input(
            "trigger", display_name="trigger (empty = of the run)", default="", optional=True, advanced=True,
            tooltip="Trigger word: stands in for [trigger] in prompts; with references, the prompts are also scored "
            "without it, which shows what the LoRA draws unasked. Empty = that of the run.",
        ),
        io.Boolean.Input(
            "is_by_round", default=False, optional=True, advanced=True,
            tooltip="If the run belongs to a Few-Image Round: compare the last LoRA of each round instead of this "
            "run's steps.",
        ),
        io.String.Input(
            "other_prompts", multiline=True, default="", optional=True, advanced=True,
            tooltip="Prompts of other subjects without the trigger word, one per line. How much a LoRA changes them "
            "shows whether it is overfit.",
        ),
    ]  # fmt: skip

"""Inputs of Train LoRA."""

from .. import sockets
from ..comfy_bridge.host.node_api import io

DEFAULT_NAME = "my_lora"


def train_inputs() -> list[io.Input]:
    """All inputs, in the order of the node."""
    return [*_required_inputs(), *_optional_inputs()]


def _required_inputs() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="Model to train on. It is not copied and stays unchanged."),
        io.Vae.Input("vae", tooltip="Encodes the images and draws the previews."),
        sockets.Dataset.Input("dataset", tooltip="Images and captions, from a dataset node."),
        io.String.Input(
            "name", default=DEFAULT_NAME,
            tooltip="Name of the LoRA and of its folder in output/loras. Using the same name again resumes the run.",
        ),
        io.Int.Input(
            "steps", default=1000, min=1, max=1_000_000,
            tooltip="Training steps. Raise it later to continue the run. Not used if stages are connected.",
        ),
        io.Int.Input(
            "batch_size", default=1, min=1, max=256,
            tooltip="Images per step. Larger batches are steadier and need more memory. Not used if stages are "
            "connected.",
        ),
        io.Int.Input(
            "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=io.ControlAfterGenerate.fixed,
            tooltip="Decides everything random: initial weights, noise, order of images.",
        ),
        io.Int.Input(
            "save_every", default=100, min=1, max=100_000,
            tooltip="Steps between saves. A power cut loses at most this many steps.",
        ),
        io.Combo.Input(
            "on_dataset_change", options=["start over", "continue"], default="start over",
            tooltip="If images or captions changed since the last run of this name: start over, or continue from its "
            "weights with a fresh optimizer.",
        ),
    ]  # fmt: skip


def _optional_inputs() -> list[io.Input]:
    return [
        io.Clip.Input(
            "clip", optional=True, tooltip="Encodes the captions. Its text encoders are trained if the network says so."
        ),
        sockets.Network.Input("network", optional=True, tooltip="What to train. Not connected: a LoRA of rank 16."),
        sockets.Optimizer.Input("optimizer", optional=True, tooltip="Optimizer and learning rate. Not connected: AdamW "
        "at 0.0002."),
        sockets.Objective.Input("objective", optional=True, tooltip="Loss and noise. Not connected: min-SNR 5."),
        sockets.Stages.Input("stages", optional=True, tooltip="A plan of stages; replaces steps and batch_size."),
        sockets.Preview.Input("preview", optional=True, tooltip="What to draw while training."),
        sockets.LoraModel.Input(
            "lora", display_name="start from this LoRA",
            optional=True, tooltip="A LoRA to start from. Its rank and alpha are used."
        ),
        io.Combo.Input(
            "gradient_checkpointing", options=["auto", "on", "finer", "off"], default="auto", advanced=True,
            tooltip="Recomputes activations in the backward pass: several times less memory, about a third slower. "
            "finer: saves more, slower still. auto: on for SDXL.",
        ),
        io.Combo.Input(
            "save_dtype", options=["float16", "bfloat16", "float32"], default="float16", advanced=True,
            tooltip="Precision of the LoRA files.",
        ),
        io.Combo.Input(
            "on_more_steps", options=["add", "stretch"], default="add", advanced=True,
            tooltip="If steps are added after the learning rate has decayed. add: the new steps get a schedule of "
            "their own. stretch: train again from the start with the schedule stretched over all steps.",
        ),
        sockets.Dataset.Input(
            "validation_dataset", optional=True,
            tooltip="Images used only to measure the validation loss, never trained. It tells when to stop.",
        ),
        io.Float.Input(
            "validation_share", default=0.0, min=0.0, max=0.9, step=0.01, advanced=True,
            tooltip="Share of the images held out for validation if no validation dataset is connected. 0 = off.",
        ),
        io.Int.Input(
            "validate_every", display_name="validate_every (0 = at saves)",
            default=0, min=0, max=100_000, advanced=True,
            tooltip="Steps between validations. 0 = at every save.",
        ),
        io.Int.Input(
            "keep_last", display_name="keep_last (0 = all)", default=0, min=0, max=10_000, advanced=True,
            tooltip="How many step LoRAs to keep. The oldest are deleted first; the best by validation stays. 0 = all.",
        ),
        io.Combo.Input(
            "after_stop", options=["go on", "stay"], default="go on", advanced=True,
            tooltip="What queueing again does after Stop & keep. go on: train the remaining steps. stay: leave the run "
            "as it is and only sample.",
        ),
        io.Boolean.Input(
            "deterministic", optional=True, default=False, advanced=True,
            tooltip="On a graphics card: only kernels that give the same bits in every run. Slower, most of all "
            "attention; ComfyUI must be started with --deterministic. A processor always gives the same bits.",
        ),
    ]  # fmt: skip

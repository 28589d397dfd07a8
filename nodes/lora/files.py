"""LoRA files and the graph: load, save, apply."""

from collections.abc import Mapping
from typing import Any

import torch

from ...training.files.facts import GraphFacts
from ...training.files.lora_file import LoraTensors, save_lora
from ...training.files.metadata import graph_entries
from ...training.tools.result_metadata import resized_metadata
from ...training.tools.strengths import Strengths
from .. import sockets
from ..comfy_bridge.host.lora_folders import SAVE_FOLDERS, lora_names, lora_state, new_lora_path, read_lora
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.model.lora import apply_lora, kohya_tensors, lora_family, unapplied_note
from ..menu import TOOLS

DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
BLOCKS_TOOLTIP = (
    "Strength by U-Net block: a preset (ALL, INS, IND, INALL, MIDD, OUTD, OUTS, OUTALL), 12, 17, 20 or 26 numbers as "
    "in LoRA Block Weight, or names such as IN04:0.5, M:0, OUT:-1. BASE means the text encoders. Empty = 1 everywhere."
)
NO_LORA = "none"


def strength_inputs() -> list[Any]:
    """Strengths by part and block, for Apply LoRA and Merge LoRA into Model."""
    return [
        io.Float.Input(
            "unet_strength", default=1.0, min=-100.0, max=100.0, step=0.01,
            tooltip="Strength in the U-Net. 0 = no change; negative values invert the LoRA.",
        ),
        io.Float.Input(
            "text_encoder_strength", default=1.0, min=-100.0, max=100.0, step=0.01,
            tooltip="Strength in the text encoders. 0 = no change; negative values invert the LoRA.",
        ),
        io.String.Input("block_strengths", default="", optional=True, advanced=True, tooltip=BLOCKS_TOOLTIP),
        io.Boolean.Input(
            "as_trained", display_name="exactly as in training", default=False, optional=True, advanced=True,
            tooltip="Off: the same result as ComfyUI's own loader. On: row-wise DoRA, OFT and BOFT are computed "
            "exactly as in training; ComfyUI's loader computes these differently.",
        ),
    ]  # fmt: skip


def apply_inputs(model: Any, clip: Any, lora: Mapping, **inputs: Any) -> tuple[Any, Any]:
    """MODEL and CLIP with the LoRA at the strengths of `strength_inputs`."""
    strengths = Strengths(
        unet=inputs["unet_strength"],
        text_encoder=inputs["text_encoder_strength"],
        blocks=inputs.get("block_strengths", ""),
    )
    return apply_lora(model, clip, lora, strengths, as_trained=inputs.get("as_trained", False))


class BakeryLoadLoRA(io.ComfyNode):
    """A LoRA file as LORA_MODEL."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryLoadLoRA",
            display_name="Load LoRA File (Bakery)",
            category=TOOLS,
            description="Loads an SD1.5 or SDXL LoRA or LyCORIS file with any key naming, and its metadata. A file "
            "that was overwritten is loaded again.",
            search_aliases=["load lora", "lora loader", "lycoris"],
            inputs=[
                io.Combo.Input(
                    "lora_name", options=[NO_LORA, *lora_names()], default=NO_LORA,
                    tooltip="A file in models/loras or output/loras, where Train LoRA saves.",
                )
            ],
            outputs=[
                sockets.LoraModel.Output(display_name="lora", tooltip="The LoRA with kohya's key names."),
                io.String.Output(display_name="name", tooltip="The file name without folder and extension."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, lora_name: str) -> str:
        """The file's time and size: an overwritten file counts as a changed input."""
        return lora_state(lora_name)

    @classmethod
    def execute(cls, lora_name: str) -> io.NodeOutput:
        lora = read_lora(lora_name)
        if lora.note:
            return io.NodeOutput(lora, lora.name, ui={"text": [lora.note]})
        return io.NodeOutput(lora, lora.name)


class BakerySaveLoRA(io.ComfyNode):
    """LORA_MODEL as a file that every tool reads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakerySaveLoRA",
            display_name="Save LoRA File (Bakery)",
            category=TOOLS,
            description="Saves a LoRA with kohya's key names, metadata, hashes and this workflow. Drop the file on the "
            "canvas to open the workflow.",
            search_aliases=["save lora", "export lora"],
            is_output_node=True,
            inputs=[
                sockets.LoraModel.Input("lora", tooltip="The LoRA to save."),
                io.String.Input(
                    "filename_prefix", default="my_lora",
                    tooltip="File name; a number is added. May contain subfolders.",
                ),
                io.Combo.Input(
                    "folder", options=SAVE_FOLDERS, default=SAVE_FOLDERS[0],
                    tooltip="Where to save. LoRA loaders list "
                    "both folders."
                ),
                io.Combo.Input("dtype", options=list(DTYPES), default="fp16", tooltip="Precision of the saved "
                "weights."),
                io.Boolean.Input(
                    "include_workflow", default=True, optional=True, advanced=True,
                    tooltip="Store this workflow in the file. Turn off to keep its prompts private.",
                ),
            ],
            outputs=[sockets.LoraModel.Output(display_name="lora", tooltip="The same LoRA with the file's metadata.")],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, lora: Mapping, filename_prefix: str, folder: str, dtype: str, include_workflow: bool = True
    ) -> io.NodeOutput:
        tensors = kohya_tensors(lora)
        metadata = dict(getattr(lora, "metadata", {})) or resized_metadata({}, tensors, lora_family(tensors), "")
        metadata = {key: text for key, text in metadata.items() if key not in ("workflow", "prompt")}
        if include_workflow:
            workflow = (cls.hidden.extra_pnginfo or {}).get("workflow")
            metadata |= graph_entries(GraphFacts(workflow=workflow, prompt=cls.hidden.prompt))
        path = new_lora_path(filename_prefix, folder)
        written = save_lora(path, tensors, metadata, DTYPES[dtype])
        return io.NodeOutput(LoraTensors(tensors, written, path.stem), ui={"text": [f"saved {path.name} in {folder}"]})


class BakeryApplyLoRA(io.ComfyNode):
    """LORA_MODEL onto MODEL and CLIP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryApplyLoRA",
            display_name="Apply LoRA (Bakery)",
            category=TOOLS,
            description="Applies any LoRA or LyCORIS with separate strengths for U-Net, text encoders and blocks.",
            search_aliases=["apply lora", "lora loader", "lora block weight", "lbw"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model to apply the LoRA to. The connected model is left unchanged."
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    tooltip="The text encoders to apply the LoRA to. Not connected: they stay unchanged.",
                ),
                sockets.LoraModel.Input("lora", tooltip="A LoRA from training, from a file or from a LoRA tool."),
                *strength_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the LoRA."),
                io.Clip.Output(display_name="clip", tooltip="The text encoders with the LoRA."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, lora: Mapping, clip: Any = None, **strengths: Any) -> io.NodeOutput:
        applied = apply_inputs(model, clip, lora, **strengths)
        note = unapplied_note(model, clip, lora)
        return io.NodeOutput(*applied, ui={"text": [note] if note else []})


NODES: list[type[io.ComfyNode]] = [BakeryLoadLoRA, BakerySaveLoRA, BakeryApplyLoRA]

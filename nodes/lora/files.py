"""LoRA files and the graph: load, save, apply."""

from collections.abc import Mapping
from typing import Any

import torch
from comfy_api.latest import io

from ...training.files.facts import GraphFacts
from ...training.files.lora_file import LoraTensors, save_lora
from ...training.files.metadata import graph_entries
from ...training.tools.result_metadata import resized_metadata
from ...training.tools.strengths import Strengths
from .. import sockets
from ..comfy_bridge.host.lora_folders import SAVE_FOLDERS, lora_names, lora_state, new_lora_path, read_lora
from ..comfy_bridge.model.lora import apply_lora, kohya_tensors, lora_family

CATEGORY = "LoRA Bakery/LoRA"
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
BLOCKS_TOOLTIP = (
    "Factor by U-Net block: a preset (ALL, INS, IND, INALL, MIDD, OUTD, OUTS, OUTALL), 12, 17, 20 or 26 numbers as "
    "LoRA Block Weight has them, or names like IN04:0.5, M:0, OUT:-1. BASE is the text encoders. Empty: 1 everywhere."
)
NO_LORA = "none"


def strength_inputs() -> list[Any]:
    """Strengths by part and block, as the apply and bake nodes have them."""
    return [
        io.Float.Input(
            "unet_strength", default=1.0, min=-100.0, max=100.0, step=0.01,
            tooltip="How strongly the U-Net changes. 0 leaves it, negative values turn the change round.",
        ),
        io.Float.Input(
            "text_encoder_strength", default=1.0, min=-100.0, max=100.0, step=0.01,
            tooltip="How strongly the text encoders change. 0 leaves them, negative values turn the change round.",
        ),
        io.String.Input("block_strengths", default="", optional=True, advanced=True, tooltip=BLOCKS_TOOLTIP),
        io.Boolean.Input(
            "as_trained", default=False, optional=True, advanced=True,
            tooltip="Off: exactly what ComfyUI's own loader makes of the LoRA. On: DoRA by rows, OFT and BOFT are "
            "computed as they were trained, which the loader does not.",
        ),
    ]  # fmt: skip


def apply_inputs(model: Any, clip: Any, lora: Mapping, **inputs: Any) -> tuple[Any, Any]:
    """MODEL and CLIP with the LoRA at the strengths that the inputs of `strength_inputs` say."""
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
            category=CATEGORY,
            description="Loads a LoRA or LyCORIS file of SD1.5 or SDXL in any naming, with its metadata, for the LoRA "
            "tools. A file that is overwritten is loaded again.",
            search_aliases=["load lora", "lora loader", "lycoris"],
            inputs=[
                io.Combo.Input(
                    "lora_name", options=[NO_LORA, *lora_names()], default=NO_LORA,
                    tooltip="A file in models/loras or output/loras, where Train LoRA saves.",
                )
            ],
            outputs=[
                sockets.LoraModel.Output(display_name="lora", tooltip="The LoRA's tensors under kohya's names."),
                io.String.Output(display_name="name", tooltip="The file's name without folder and ending."),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, lora_name: str) -> str:
        """The file's time and size: an overwritten file is another input."""
        return lora_state(lora_name)

    @classmethod
    def execute(cls, lora_name: str) -> io.NodeOutput:
        lora = read_lora(lora_name)
        return io.NodeOutput(lora, lora.name)


class BakerySaveLoRA(io.ComfyNode):
    """LORA_MODEL as a file that every tool reads."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakerySaveLoRA",
            display_name="Save LoRA File (Bakery)",
            category=CATEGORY,
            description="Saves a LoRA under kohya's names with metadata, hashes and this workflow: drop the file on "
            "the canvas and the graph opens.",
            search_aliases=["save lora", "export lora"],
            is_output_node=True,
            inputs=[
                sockets.LoraModel.Input("lora", tooltip="The LoRA to save."),
                io.String.Input(
                    "filename_prefix", default="my_lora",
                    tooltip="Name below the folder; a number is added. May hold subfolders.",
                ),
                io.Combo.Input(
                    "folder", options=SAVE_FOLDERS, default=SAVE_FOLDERS[0], tooltip="Both are listed by LoRA loaders."
                ),
                io.Combo.Input("dtype", options=list(DTYPES), default="fp16", tooltip="Type of the file's numbers."),
                io.Boolean.Input(
                    "include_workflow", default=True, optional=True, advanced=True,
                    tooltip="Put this graph into the file. Off where its prompts are nobody else's business.",
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
            category=CATEGORY,
            description="Applies any LoRA or LyCORIS with separate strengths for U-Net, text encoders and blocks.",
            search_aliases=["apply lora", "lora loader", "lora block weight", "lbw"],
            inputs=[
                io.Model.Input("model", tooltip="The model to change; the one connected stays as it is."),
                io.Clip.Input("clip", optional=True, tooltip="The text encoders to change; left out, they stay."),
                sockets.LoraModel.Input("lora", tooltip="The LoRA, from training, from a file or from the LoRA tools."),
                *strength_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model with the LoRA."),
                io.Clip.Output(display_name="clip", tooltip="The text encoders with the LoRA."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, lora: Mapping, clip: Any = None, **strengths: Any) -> io.NodeOutput:
        return io.NodeOutput(*apply_inputs(model, clip, lora, **strengths))


NODES: list[type[io.ComfyNode]] = [BakeryLoadLoRA, BakerySaveLoRA, BakeryApplyLoRA]

"""Tools for LoRAs: resize, extract, inspect; merging is in `merge.py`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ...training.files.lora_file import LoraTensors
from ...training.tools.chart import norm_chart
from ...training.tools.cut import cut
from ...training.tools.extract import ExtractSettings, extract, unpaired_modules
from ...training.tools.inspection import inspect_lora
from ...training.tools.resize import resize
from ...training.tools.result_metadata import extracted_metadata, resized_metadata
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.model.lora import kohya_tensors, lora_family
from ..comfy_bridge.model.lora_weights import HostWeights, weight_pairs
from ..comfy_bridge.model.model_facts import known_prediction_type
from ..comfy_bridge.model.trigger_words import likely_trigger_words
from ..menu import TOOLS
from . import merge as lora_merge
from .merge import lora_outputs, metadata_of, rank_choice, rank_inputs


class BakeryResizeLoRA(io.ComfyNode):
    """Another rank for a LoRA."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryResizeLoRA",
            display_name="Resize LoRA (Bakery)",
            category=TOOLS,
            description="Makes a LoRA smaller (the best approximation at the new rank) or larger (same result, with "
            "room for more training). LoHa, LoKr and full differences become plain LoRA.",
            search_aliases=["shrink lora", "lora rank", "svd"],
            inputs=[
                sockets.LoraModel.Input("lora", tooltip="The LoRA to resize."),
                *rank_inputs(16, "New rank; with the other rank methods, the highest rank of any layer."),
                io.Boolean.Input(
                    "keep_first",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="Keep the first ranks unchanged instead of the best approximation. For DyLoRA, whose ranks "
                    "are ordered.",
                ),
            ],
            outputs=lora_outputs(),
        )

    @classmethod
    def execute(cls, lora: Mapping, rank: int, keep_first: bool = False, **rest: Any) -> io.NodeOutput:
        tensors, choice = kohya_tensors(lora), rank_choice(rank, **rest)
        resized, report = cut(tensors, choice) if keep_first else resize(tensors, choice)
        comment = f"cut to its first {rank} ranks" if keep_first else f"resized to rank {rank} ({choice.method})"
        metadata = resized_metadata(metadata_of(lora), resized, lora_family(tensors), comment)
        result = LoraTensors(resized, metadata, getattr(lora, "name", ""))
        return io.NodeOutput(result, report.text(), ui={"text": [report.text()]})


class BakeryExtractLoRA(io.ComfyNode):
    """The difference of two models as a LoRA."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryExtractLoRA",
            display_name="Extract LoRA (Bakery)",
            category=TOOLS,
            description="Extracts a LoRA that turns one model into another, as closely as its rank allows. LoRAs "
            "applied to the models are included.",
            search_aliases=["lora from checkpoint", "model difference", "distil lora"],
            inputs=[
                io.Model.Input("model", tooltip="The original model."),
                io.Model.Input("tuned_model", tooltip="The fine-tuned model to approximate."),
                io.Clip.Input("clip", optional=True, tooltip="Text encoders of the original model. Not connected: "
                "U-Net only."),
                io.Clip.Input("tuned_clip", optional=True, tooltip="Text encoders of the fine-tuned model."),
                *rank_inputs(32, "Rank of the LoRA; with the other rank methods, the highest rank of any layer."),
                io.Boolean.Input(
                    "include_conv", default=False, optional=True, advanced=True,
                    tooltip="Include residual blocks and up/downsamplers: a closer match in a larger file.",
                ),
                io.Float.Input(
                    "min_difference", default=0.0, min=0.0, max=1.0, step=0.0001, optional=True, advanced=True,
                    tooltip="Layers whose weights differ by no more than this are skipped.",
                ),
            ],
            outputs=lora_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model: Any, tuned_model: Any, rank: int, clip: Any = None, tuned_clip: Any = None, **rest: Any
    ) -> io.NodeOutput:
        if (clip is None) != (tuned_clip is None):
            raise ValueError("clip and tuned_clip: connect both or neither")
        settings = ExtractSettings(
            choice=rank_choice(rank, **rest), include_conv=rest.get("include_conv", False),
            min_difference=rest.get("min_difference", 0.0), dtype=torch.float32,
        )  # fmt: skip
        original, tuned = HostWeights(model, clip), HostWeights(tuned_model, tuned_clip)
        unpaired = unpaired_modules(original.names, tuned.names, settings)
        tensors, report = extract(weight_pairs(original, tuned, settings), settings, unpaired)
        comment = "difference of two models"
        metadata = extracted_metadata(tensors, original.family, "extracted", comment, known_prediction_type(model))
        result = LoraTensors(tensors, metadata, "extracted")
        return io.NodeOutput(result, report.text(), ui={"text": [report.text()]})


class BakeryInspectLoRA(io.ComfyNode):
    """What is in a LoRA."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryInspectLoRA",
            display_name="Inspect LoRA (Bakery)",
            category=TOOLS,
            description="Shows algorithm, ranks, settings, dataset, tags, the size of the change per block, and signs "
            "of trouble.",
            search_aliases=["lora info", "lora metadata", "trigger words"],
            is_output_node=True,
            inputs=[
                sockets.LoraModel.Input("lora", tooltip="The LoRA to inspect."),
                io.Clip.Input(
                    "clip", optional=True,
                    tooltip="Text encoders without the LoRA. Lists the words the LoRA changes most: likely trigger "
                    "words.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="text", tooltip="Everything known about the LoRA, line by line."),
                io.Image.Output(display_name="image", tooltip="Size of the change per block; text encoders in orange."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, lora: Mapping, clip: Any = None) -> io.NodeOutput:
        tensors = kohya_tensors(lora)
        info = inspect_lora(tensors, lora_family(tensors), metadata_of(lora))
        text = info.text()
        if clip is not None:
            words = likely_trigger_words(clip, lora)
            text += "\nlikely trigger words: " + (
                ", ".join(f"{word} ({change:.1%})" for word, change in words) or "none"
            )
        chart = norm_chart(getattr(lora, "name", ""), info)
        image_BHWC = torch.from_numpy(np.asarray(chart, dtype=np.float32) / 255)[None]
        return io.NodeOutput(text, image_BHWC, ui={"text": [text]})


NODES: list[type[io.ComfyNode]] = [
    *lora_merge.NODES,
    BakeryResizeLoRA,
    BakeryExtractLoRA,
    BakeryInspectLoRA,
]

"""Merging LoRAs, with each other and into a model; the inputs that the LoRA tools share."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...training.files.lora_file import LoraTensors
from ...training.tools.merge import MERGE_METHODS, MergeSettings, merge
from ...training.tools.ranks import RANK_METHODS, RankChoice
from ...training.tools.report import unsaved_notes
from ...training.tools.result_metadata import merged_metadata
from ...training.tools.strengths import Strengths
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.model.lora import kohya_tensors, lora_family, unapplied_note
from ..comfy_bridge.model.lora_weights import weight_source
from ..menu import TOOLS
from .files import BLOCKS_TOOLTIP, apply_inputs, strength_inputs

MAX_LORAS = 8
MAX_RANK = 4096


def lora_outputs() -> list[Any]:
    """The resulting LoRA and a report."""
    return [
        sockets.LoraModel.Output(display_name="lora", tooltip="The new LoRA."),
        io.String.Output(display_name="report", tooltip="Ranks, size and error."),
    ]


def rank_inputs(default: int, tooltip: str, minimum: int = 1) -> list[Any]:
    """Rank and the rules that choose it per layer."""
    return [
        io.Int.Input(
            "rank", display_name="rank" if minimum else "rank (0 = exact)", default=default, min=minimum, max=MAX_RANK,
            tooltip=tooltip,
        ),
        io.Int.Input(
            "conv_rank", display_name="conv_rank (0 = rank)",
            default=0, min=0, max=MAX_RANK, optional=True, advanced=True,
            tooltip="Rank of 3x3 convolutions. 0 = same as rank.",
        ),
        io.Combo.Input(
            "rank_method", options=list(RANK_METHODS), default="fixed", optional=True, advanced=True,
            tooltip="fixed: the same rank everywhere. The others choose a rank per layer, up to rank: sv_ratio keeps "
            "singular values above the largest / threshold; sv_fro and sv_cumulative keep a share of the norm or of "
            "the sum.",
        ),
        io.Float.Input(
            "threshold", default=0.9, min=0.0, max=10000.0, step=0.01, optional=True, advanced=True,
            tooltip="sv_fro and sv_cumulative: a share up to 1. sv_ratio: a number above 1, such as 10. sd-scripts' "
            "program keeps one rank a layer more at the same number.",
        ),
    ]  # fmt: skip


def rank_choice(
    rank: int, conv_rank: int = 0, rank_method: Any = "fixed", threshold: float = 0.9, **_: Any
) -> RankChoice:
    """The values of `rank_inputs` as one setting."""
    return RankChoice(rank=rank, conv_rank=conv_rank or None, method=rank_method, threshold=threshold)


def metadata_of(lora: Mapping) -> dict[str, str]:
    """Metadata of the LoRA's file; empty if it comes from one of core's nodes."""
    return dict(getattr(lora, "metadata", {}))


class BakeryMergeLoRAs(io.ComfyNode):
    """Several LoRAs into one."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        loras = [
            io_input
            for n in range(1, MAX_LORAS + 1)
            for io_input in (
                sockets.LoraModel.Input(f"lora_{n}", optional=n > 1, tooltip="A LoRA to merge."),
                io.Float.Input(
                    f"strength_{n}", default=1.0, min=-100.0, max=100.0, step=0.01, optional=n > 1,
                    tooltip="Strength of the LoRA of the same number in the result; negative subtracts it.",
                ),
            )
        ]  # fmt: skip
        return io.Schema(
            node_id="BakeryMergeLoRAs",
            display_name="Merge LoRAs (Bakery)",
            category=TOOLS,
            description="Merges LoRAs of any algorithm and rank: exactly, or down to a rank with the error reported. "
            "For more than eight, merge the results.",
            search_aliases=["combine loras", "blend loras", "ties", "dare", "add difference"],
            inputs=[
                *loras,
                *rank_inputs(0, "Rank of the result. 0 keeps low-rank LoRAs exactly: their ranks add up.", 0),
                io.Combo.Input(
                    "method", options=list(MERGE_METHODS), default="sum", optional=True, advanced=True,
                    tooltip="sum: weighted sum. add_difference: first + second - third. ties and dare: reduce "
                    "interference element by element, as in their papers.",
                ),
                io.Float.Input(
                    "density", default=0.5, min=0.01, max=1.0, step=0.01, optional=True, advanced=True,
                    tooltip="Share of elements that ties and dare keep.",
                ),
                io.Int.Input(
                    "seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, optional=True, advanced=True,
                    control_after_generate=io.ControlAfterGenerate.fixed,
                    tooltip="Seed of dare's random choices.",
                ),
                io.String.Input(
                    "block_strengths", default="", multiline=True, optional=True, advanced=True,
                    tooltip=f"One line for each LoRA, in order. {BLOCKS_TOOLTIP}",
                ),
                io.Model.Input(
                    "model", optional=True,
                    tooltip="Only for DoRA, GLoRA, OFT, BOFT and IA3: the model they were "
                    "trained on."
                ),
                io.Clip.Input("clip", optional=True, tooltip="Only for their text-encoder parts: the CLIP they were "
                "trained on."),
            ],
            outputs=lora_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(cls, rank: int, method: Any = "sum", density: float = 0.5, seed: int = 0, **rest: Any) -> io.NodeOutput:
        model, clip = rest.get("model"), rest.get("clip")
        loras = _connected(rest)
        pairs = [(kohya_tensors(lora, model), strengths) for lora, strengths, _ in loras]
        choice = rank_choice(rank, **rest) if rank else None
        settings = MergeSettings(method=method, choice=choice, density=density, seed=seed)
        family = lora_family(pairs[0][0], model)
        merged, found = merge(pairs, family, settings, weight_source(model, clip))
        report = replace(found, notes=(*found.notes, *unsaved_notes(merged)))
        comment = f"{method} at strengths {', '.join(f'{strengths.unet:g}' for _, strengths, _ in loras)}"
        metadata = merged_metadata([(name, metadata_of(lora)) for lora, _, name in loras], merged, family, comment)
        return io.NodeOutput(LoraTensors(merged, metadata, "merged"), report.text(), ui={"text": [report.text()]})


def _connected(inputs: Mapping[str, Any]) -> list[tuple[Mapping, Strengths, str]]:
    """The LoRAs that are connected, with their strengths and names."""
    blocks = [*inputs.get("block_strengths", "").splitlines(), *[""] * MAX_LORAS]
    loras: list[tuple[Mapping, Strengths, str]] = []
    for n in range(1, MAX_LORAS + 1):
        lora, strength = inputs.get(f"lora_{n}"), inputs.get(f"strength_{n}", 1.0)
        if lora is not None:
            strengths = Strengths(unet=strength, text_encoder=strength, blocks=blocks[n - 1])
            loras.append((lora, strengths, getattr(lora, "name", "") or f"LoRA {n}"))
    return loras


class BakeryMergeIntoModel(io.ComfyNode):
    """Merges a LoRA into MODEL and CLIP."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryMergeIntoModel",
            display_name="Merge LoRA into Model (Bakery)",
            category=TOOLS,
            description="Merges a LoRA into the model and its text encoders. Connect Save Checkpoint to write a model "
            "that has the LoRA built in.",
            search_aliases=["bake lora", "lora to checkpoint", "fuse lora"],
            inputs=[
                io.Model.Input("model", tooltip="The model to merge into. The connected model is left unchanged."),
                io.Clip.Input("clip", tooltip="Its text encoders."),
                sockets.LoraModel.Input("lora", tooltip="The LoRA to merge."),
                *strength_inputs(),
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The changed model, for sampling or Save Checkpoint."),
                io.Clip.Output(display_name="clip", tooltip="The changed text encoders."),
            ],
        )

    @classmethod
    def execute(cls, model: Any, clip: Any, lora: Mapping, **strengths: Any) -> io.NodeOutput:
        applied = apply_inputs(model, clip, lora, **strengths)
        note = unapplied_note(model, clip, lora)
        return io.NodeOutput(*applied, ui={"text": [note] if note else []})


NODES: list[type[io.ComfyNode]] = [BakeryMergeLoRAs, BakeryMergeIntoModel]

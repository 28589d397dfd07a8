"""What is trained: the kind and size of the network, and where in the model it sits."""

from dataclasses import replace
from typing import Any, get_args

from ...training.base_model import PartName
from ...training.networks.algorithms import NAMES
from ...training.networks.block_weights import CURVES, LBW_PRESETS, BlockWeights
from ...training.networks.lycoris_arguments import preset_note, split_fields
from ...training.networks.settings import NetworkSettings, TargetPreset
from ...training.recipes.damping import describe_network_scale
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED

SETTINGS = NetworkSettings()
BLOCKS = BlockWeights()
SAME_RANK = 0
"""conv_rank if convolutions have the rank of the other layers."""
SAME_SCALE = -1.0
"""conv_alpha if convolutions have the alpha / rank of the other layers."""
NO_PRESET = "none"


class BakeryNetwork(io.ComfyNode):
    """Algorithm, size and targets."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and output."""
        return io.Schema(
            node_id="BakeryNetwork",
            display_name="LoRA Network (Bakery)",
            category=ADVANCED,
            description="The network that is trained on top of the frozen model. A LoRA of rank 16 on attention and "
            "feed-forward layers is a good start. Higher ranks hold more detail; LyCORIS types suit styles and "
            "concepts.",
            search_aliases=["lora", "locon", "lycoris", "loha", "lokr", "dora", "rank", "network dim", "oft", "ia3"],
            inputs=[
                *_size_inputs(),
                *_part_inputs(),
                *_form_inputs(),
                *_dropout_inputs(),
                *_pattern_inputs(),
                *_text_inputs(),
            ],
            outputs=[sockets.Network.Output(display_name="network", tooltip="For Train LoRA or Block Weights.")],
        )

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        """Build the settings, which refuse invalid values."""
        parts = tuple(part for part in get_args(PartName) if values.pop(f"train_{part}", part in SETTINGS.parts))
        conv_rank, conv_alpha = values.pop("conv_rank", SAME_RANK), values.pop("conv_alpha", SAME_SCALE)
        for name in ("include", "exclude"):
            values[name] = tuple(values.get(name, "").replace(",", " ").split())
        values["conv_rank"] = None if conv_rank == SAME_RANK else conv_rank
        values["conv_alpha"] = None if conv_alpha < 0 else conv_alpha
        settings = NetworkSettings(**with_lycoris({**values, "parts": parts}))
        notes = describe_network_scale(settings), preset_note(values.get("lycoris_arguments", ""))
        return io.NodeOutput(settings, ui={"text": [note for note in notes if note]})


def with_lycoris(values: dict[str, Any]) -> dict[str, Any]:
    """The values with what the arguments of LyCORIS say of the node's own inputs.

    Raises:
        ValueError: An input says something else, away from its default.
    """
    text, fields = split_fields(values.get("lycoris_arguments", ""))
    for name, value in fields.items():
        own = values.get(name, getattr(SETTINGS, name))
        if own not in (value, getattr(SETTINGS, name)):
            raise ValueError(f"{name} must be {value}, as lycoris_arguments says, or at its default, got {own}")
    return {**values, **fields, "lycoris_arguments": text}


def _size_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "algorithm", options=list(NAMES), default=SETTINGS.algorithm,
            tooltip="lora: the safe choice for characters. locon: also trains convolutions. loha, lokr, glora: learn "
            "more gently, for styles and concepts. dylora: can be cut to a smaller rank afterward. lycoris: any "
            "algorithm of the installed LyCORIS, by lycoris_arguments.",
        ),
        io.Int.Input(
            "rank", default=SETTINGS.rank, min=1, max=100_000,
            tooltip="Size of the network: 4 to 16 for simple subjects, 32 to 128 for complex ones. diag-oft and boft: "
            "block size. lokr: a very large number means full matrices.",
        ),
        io.Float.Input(
            "alpha", display_name="alpha (0 = rank)", default=SETTINGS.alpha, min=0.0, max=100_000.0, step=0.5,
            tooltip="The change is multiplied by alpha / rank, so a lower alpha learns more slowly. 0 = same as rank.",
        ),
        io.Int.Input(
            "conv_rank", display_name="conv_rank (0 = rank)", default=SAME_RANK, min=SAME_RANK, max=100_000,
            tooltip="Rank of the 3x3 convolutions, for every algorithm except lora. It brings them among the usual "
            "targets too. 0 = same as rank, where the targets have convolutions.",
        ),
        io.Float.Input(
            "conv_alpha", display_name="conv_alpha (-1 = as other layers)",
            default=SAME_SCALE, min=SAME_SCALE, max=100_000.0, step=0.5, optional=True, advanced=True,
            tooltip="Alpha of the 3x3 convolutions. -1 = same alpha / rank as the other layers; 0 = same as conv_rank.",
        ),
    ]  # fmt: skip


def _part_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "train_unet", default="unet" in SETTINGS.parts,
            tooltip="Train the U-Net, the part that draws. Nearly "
            "always on."
        ),
        io.Boolean.Input(
            "train_text_encoder", default="text_encoder" in SETTINGS.parts,
            tooltip="Also train the text encoder (SDXL: the first one). Helps the model learn a new word; costs time "
            "and memory.",
        ),
        io.Boolean.Input(
            "train_text_encoder_2", default="text_encoder_2" in SETTINGS.parts, optional=True, advanced=True,
            tooltip="Also train SDXL's second, larger text encoder. No effect on SD1.5.",
        ),
        io.Combo.Input(
            "targets", options=list(get_args(TargetPreset)), default=SETTINGS.targets,
            tooltip="Which layers to train. attention: attention only. attention_feed_forward: the usual choice. "
            "blocks: resnets too. all_linear, all: also layers outside the blocks. With locon, the usual choice "
            "becomes blocks.",
        ),
    ]  # fmt: skip


def _form_inputs() -> list[io.Input]:
    return [
        io.Boolean.Input(
            "weight_decompose", default=SETTINGS.weight_decompose, optional=True, advanced=True,
            tooltip="DoRA: trains magnitude and direction of each weight separately. Slightly slower with lora and "
            "locon, more than twice as slow with loha and lokr.",
        ),
        io.Boolean.Input(
            "rank_stabilized", default=SETTINGS.rank_stabilized, optional=True, advanced=True,
            tooltip="rsLoRA: divides alpha by the square root of the rank, so that high ranks learn as fast as low "
            "ones.",
        ),
        io.Int.Input(
            "factor", display_name="factor (-1 = near square)",
            default=SETTINGS.factor, min=-1, max=100_000, optional=True, advanced=True,
            tooltip="lokr: how weights are split. -1 = as evenly as possible, the smallest file; 4 to 8 keep more "
            "detail.",
        ),
        io.Boolean.Input(
            "full_matrix", default=SETTINGS.full_matrix, optional=True, advanced=True,
            tooltip="lokr: train the second factor as a full matrix instead of a low-rank one. rank and alpha then "
            "have no effect.",
        ),
        io.Boolean.Input(
            "decompose_both", default=SETTINGS.decompose_both, optional=True, advanced=True,
            tooltip="lokr: make the first factor low-rank too, for the smallest files.",
        ),
        io.Int.Input(
            "block_size", default=SETTINGS.block_size, min=1, max=1024, optional=True, advanced=True,
            tooltip="dylora: how many ranks are trained together in a step. rank must be a multiple of it.",
        ),
        io.Boolean.Input(
            "train_bias", default=SETTINGS.train_bias, optional=True, advanced=True,
            tooltip="full: train the biases too.",
        ),
        io.Boolean.Input(
            "train_norms", default=SETTINGS.train_norms, optional=True, advanced=True,
            tooltip="Train the U-Net's normalization layers too. Some programs cannot load them.",
        ),
    ]  # fmt: skip


def _dropout_inputs() -> list[io.Input]:
    limits = {"min": 0.0, "max": 0.95, "step": 0.05, "optional": True, "advanced": True}
    return [
        io.Float.Input(
            "dropout", default=SETTINGS.dropout, **limits,
            tooltip="Probability of dropping each value inside the network in a step, against overfitting. 0 = off.",
        ),
        io.Float.Input(
            "rank_dropout", default=SETTINGS.rank_dropout, **limits,
            tooltip="Probability of dropping each rank in a step; usually 0.1 to 0.3. 0 = off.",
        ),
        io.Float.Input(
            "module_dropout", default=SETTINGS.module_dropout, **limits,
            tooltip="Probability of skipping a layer's network in a step; usually 0.1 to 0.3. 0 = off.",
        ),
    ]  # fmt: skip


def _pattern_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "include", default="", optional=True, advanced=True,
            tooltip="Train only layers whose path or file key matches one of these patterns, such as *attn2*. Empty = "
            "all.",
        ),
        io.String.Input(
            "exclude", default="", optional=True, advanced=True,
            tooltip="Skip layers whose path or file key matches one of these patterns, such as *to_q.",
        ),
    ]  # fmt: skip


def _text_inputs() -> list[io.Input]:
    """Last: saved workflows hold values by place."""
    return [
        io.String.Input(
            "lycoris_arguments", default=SETTINGS.lycoris_arguments, optional=True, advanced=True,
            placeholder="algo=tlora preset=attn-mlp",
            tooltip="lycoris: arguments of the installed LyCORIS as written for kohya. rank and alpha are those of "
            "this node.",
        ),
        io.String.Input(
            "trigger_embedding", default=SETTINGS.trigger_embedding, optional=True, advanced=True,
            tooltip="Trigger word that gets vectors of its own in the text encoder (textual inversion), saved as an "
            "embedding beside the LoRA. With all parts off it is trained alone.",
        ),
    ]  # fmt: skip


class BakeryBlockWeights(io.ComfyNode):
    """Learning weight and rank of each block."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Inputs and output."""
        return io.Schema(
            node_id="BakeryBlockWeights",
            display_name="Block Weights (Bakery)",
            category=ADVANCED,
            description="How much each U-Net block learns. IN blocks decide composition and body shape, OUT blocks "
            "texture and detail. A block with weight 0 is not trained.",
            search_aliases=["lbw", "block lr", "down_lr_weight", "block dims", "layer weights"],
            inputs=[
                sockets.Network.Input("network", tooltip="The network to set block weights for."),
                *_weight_inputs(),
            ],
            outputs=[sockets.Network.Output(display_name="network", tooltip="The network with these block weights.")],
        )

    @classmethod
    def execute(cls, network: NetworkSettings, **values: Any) -> io.NodeOutput:
        """Put block weights into the settings."""
        preset, blocks = values.pop("preset", NO_PRESET), values.pop("blocks", "").strip()
        if blocks and preset != NO_PRESET:
            raise ValueError(f"preset must be {NO_PRESET} where blocks is filled in, got {preset}; empty one of them")
        lbw = blocks or ("" if preset == NO_PRESET else preset)
        return io.NodeOutput(replace(network, block_weights=BlockWeights(lbw=lbw, **values)))


def _weight_inputs() -> list[io.Input]:
    curves = ", ".join(CURVES)
    return [
        io.Combo.Input(
            "preset", options=[NO_PRESET, *LBW_PRESETS], default=NO_PRESET,
            tooltip="A common selection of blocks: IN, MID or OUT. S = shallow, D = deep (both SD1.5 only).",
        ),
        io.String.Input(
            "blocks", multiline=True, default="",
            tooltip="Weights by name, such as IN04:0.5, M:0, OUT:1.2 (a name without a number means all blocks of that "
            "kind), or 12, 17, 20 or 26 numbers as in LoRA Block Weight.",
        ),
        io.String.Input(
            "ranks", default=BLOCKS.ranks,
            tooltip="Ranks by name, such as IN:8, OUT:32, or 25 numbers (SDXL: 23). Empty = the network's rank.",
        ),
        io.String.Input(
            "conv_ranks", default=BLOCKS.conv_ranks, optional=True, advanced=True,
            tooltip="Ranks of the 3x3 convolutions, written the same way.",
        ),
        io.String.Input(
            "down", default=BLOCKS.down, optional=True, advanced=True,
            tooltip=f"IN blocks as in sd-scripts: 12 numbers (SDXL: 9), or a curve: {curves}, each optionally "
            "with +x.",
        ),
        io.String.Input(
            "mid", default=BLOCKS.mid, optional=True, advanced=True,
            tooltip="Middle block as in sd-scripts: 1 number (SDXL: 3).",
        ),
        io.String.Input(
            "up", default=BLOCKS.up, optional=True, advanced=True,
            tooltip=f"OUT blocks as in sd-scripts: 12 numbers (SDXL: 9), or a curve: {curves}, each optionally "
            "with +x.",
        ),
        io.Float.Input(
            "zero_threshold", default=BLOCKS.zero_threshold, min=0.0, max=10.0, step=0.01, optional=True, advanced=True,
            tooltip="Blocks with this weight or less are not trained.",
        ),
    ]  # fmt: skip


NODES = [BakeryNetwork, BakeryBlockWeights]

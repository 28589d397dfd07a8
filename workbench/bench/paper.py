"""Memory of training a U-Net of the SD family, worked out from its architecture: what measurements are compared with.

Counted are the tensors that the formulas of backward need, each once. A frozen linear layer needs nothing, a frozen
convolution keeps its input (PyTorch's does, whether or not the weight is trained), a normalization its input, SiLU and
GELU theirs, a product its factors, fused attention query, key, value, output and one number per head and query. An
adapter adds its layer's input, where nothing else keeps that, and the R numbers per position between its two factors.

Shapes: n = B * H * W positions at a level, c channels there, T = B * L positions of the text, R rank.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..layouts import Layout

FLOAT = 4
Adapted = Literal["nothing", "attention_feed_forward", "all"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """What is trained on."""

    latent: int
    """Rows and columns of the latents."""
    batch: int
    tokens: int = 77
    """Positions of the text per image."""
    rank: int = 16
    adapted: Adapted = "nothing"
    itemsize: int = FLOAT
    """Bytes of an activation."""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of the U-Net in the order of its forward pass."""

    kind: Literal["input", "resnet", "transformer", "down", "up", "output"]
    level: int
    channels_in: int
    channels: int
    depth: int = 0


def parts_of(layout: Layout) -> Iterator[Part]:
    """Walk a U-Net as its authors describe it (https://arxiv.org/abs/2112.10752)."""
    config = layout.config
    widths = [config["model_channels"] * factor for factor in config["channel_mult"]]
    depths, depths_out = list(config["transformer_depth"]), list(config["transformer_depth_output"])
    width, skipped = widths[0], [widths[0]]
    yield Part("input", 0, config["in_channels"], width)
    for level, wide in enumerate(widths):
        for _ in range(config["num_res_blocks"][level]):
            yield Part("resnet", level, width, wide)
            yield Part("transformer", level, wide, wide, depths.pop(0))
            width = wide
            skipped.append(width)
        if level < len(widths) - 1:
            yield Part("down", level, width, width)
            skipped.append(width)
    last = len(widths) - 1
    yield Part("resnet", last, width, width)
    yield Part("transformer", last, width, width, config["transformer_depth_middle"])
    yield Part("resnet", last, width, width)
    for level in reversed(range(len(widths))):
        for index in range(config["num_res_blocks"][level] + 1):
            yield Part("resnet", level, width + skipped.pop(), widths[level])
            width = widths[level]
            yield Part("transformer", level, width, width, depths_out.pop())
            if level and index == config["num_res_blocks"][level]:
                yield Part("up", level - 1, width, width)
    yield Part("output", 0, width, config["out_channels"])


def activation_bytes(layout: Layout, work: Workload) -> int:
    """Bytes kept from forward to backward without checkpointing.

    What comes before the first trained layer needs no gradient and keeps nothing; `nothing` adapted means the gradient
    that a LoRA's first layer would ask for.
    """
    total, is_reached = 0, work.adapted == "all"
    for part in parts_of(layout):
        positions = work.batch * (work.latent >> part.level) ** 2
        if part.kind == "transformer" and part.depth:
            total += _transformer(layout, part, positions, work, is_reached)
            is_reached = True
        elif is_reached and part.kind != "transformer":
            total += _convolutions(part, positions, work)
    return total * work.itemsize


def _convolutions(part: Part, n: int, work: Workload) -> int:
    """Numbers kept by a part without attention."""
    c_in, c = part.channels_in, part.channels
    rank = work.rank * n if work.adapted == "all" else 0
    if part.kind == "resnet":
        # Both halves: normalization, SiLU, convolution. The step embedding's layers are a rounding error.
        return 3 * c_in * n + 3 * c * n + rank * (2 if c_in == c else 3)
    if part.kind == "output":
        return 3 * c_in * n + rank
    if part.kind == "down":
        # The input is kept by the next block or the skip as well, but it is this level's tensor.
        return c_in * n + rank // 4
    return c_in * n + rank


def _transformer(layout: Layout, part: Part, n: int, work: Workload, is_reached: bool) -> int:
    """Numbers kept by a group norm, a projection in, blocks, a projection out."""
    c, text = part.channels, work.batch * work.tokens
    is_linear = layout.config["use_linear_in_transformer"]
    is_adapted = work.adapted != "nothing"
    heads = layout.config["num_heads"] if layout.config["num_heads"] > 0 else c // layout.config["num_head_channels"]
    norm_in = c * n * is_reached
    # Convolutions keep their inputs in any case, linear projections for their adapters only.
    projections = 2 * c * n if is_adapted or not is_linear else 0
    normalizations = 3 * c * n
    attention = 4 * c * n + heads * n + (2 * c * n + 2 * c * text + heads * n)
    feed_forward = 12 * c * n
    block = normalizations + attention + feed_forward
    if is_adapted:
        block += 3 * c * n + 4 * c * n + work.rank * (8 * n + 2 * text)
        projections += work.rank * 2 * n
    return norm_in + projections + part.depth * block


def adapter_bytes(layout: Layout, work: Workload) -> int:
    """Parameters of a LoRA on attention and feed-forward, float32."""
    total = 0
    for part in parts_of(layout):
        c, text = part.channels, layout.context_dim
        if part.kind == "transformer" and part.depth:
            block = 6 * (c + c) + 2 * (text + c) + (c + 8 * c) + (4 * c + c)
            total += part.depth * block + 2 * (c + c)
    return total * work.rank * FLOAT


def optimizer_bytes(layout: Layout, work: Workload, moments: int = 2) -> int:
    """State of an optimizer with so many moments, and the gradients."""
    return adapter_bytes(layout, work) * (moments + 1)

"""Sections of docs/performance.md on what a graphics card would be asked: operations, and weights in half precision."""

from collections.abc import Mapping
from typing import Any

PARTS = ("forward", "backward")
LISTS, ONE_BY_ONE = "after, lists", "after, tensor by tensor"
DTYPES = {"float16": "float16, loss scaled", "bfloat16": "bfloat16", "float8_e4m3fn": "fp8 (e4m3)"}


def launches_section(results: Mapping[str, Any]) -> str:
    """Operations that a step of SDXL starts, beside a plain LoRA module."""
    pack, plain = results["pack"], results["plain"]
    ours = sum(pack[part] for part in (*PARTS, LISTS))
    of_lists, of_tensors = (ours / sum(plain[part] for part in (*PARTS, after)) for after in (LISTS, ONE_BY_ONE))
    rows = [
        f"| this pack | {pack['forward']:,} | {pack['backward']:,} | {pack[LISTS]:,} |",
        f"| a plain LoRA module under autocast | {plain['forward']:,} | {plain['backward']:,} "
        f"| {plain[LISTS]:,} over lists of tensors, {plain[ONE_BY_ONE]:,} tensor by tensor |",
    ]
    return (
        "## Operations a step starts\n\n`--only launches` counts the operations that a step of SDXL asks of its "
        "device (1024 x 1024, rank 16, float16, gradient checkpointing), on shapes alone; it takes no GPU and says no "
        "time.\n\n"
        "| | forward | backward | unscale, clip, AdamW |\n|---|---|---|---|\n" + "\n".join(rows) + f"\n\nIn sum "
        f"{of_lists:.2f} of the plain module with PyTorch's default on CUDA (lists), {of_tensors:.2f} of one that goes "
        "tensor by tensor."
    )


def precision_section(results: Mapping[str, Any]) -> str:
    """Gradients and losses with narrow weights beside those with float32."""
    rows = [
        f"| {label} | {one['cosine']:.5f} | {one['worst_cosine']:.5f} | {one['error']:.2%} | {one['worst_error']:.2%} "
        f"| {one['apart']:.2%} | {one['most_apart']:.2%} | {one['last']:.4f} | {one['last_in_float32']:.4f} |"
        for name, label in DTYPES.items()
        if (one := results.get(name))
    ]
    first = results["float16"]
    return (
        "## Half precision and fp8 beside float32\n\n`--only precision`: the pocket model, trained on the "
        "second device (below); no graphics card. Gradients of the first step by layer (cosine, relative error), "
        f"{first['layers']} of them; losses of {first['steps']} steps at batch 1, each beside the same step with "
        "float32 weights, and the mean of the last fifty.\n\n"
        "| frozen weights | cosine, median | worst | error, median | worst | a loss apart, median | most | last losses "
        "| in float32 |\n|---|---|---|---|---|---|---|---|---|\n" + "\n".join(rows)
    )

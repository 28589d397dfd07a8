"""Warnings about a recipe or about the user's changes to it: one sentence each, with a remedy."""

from ..networks.settings import NetworkSettings
from ..optimizers.settings import OptimizerSettings
from .choices import HARD_GRADES
from .damping import describe_damping, is_weak, network_scale
from .estimate import Estimate
from .request import LOW_VRAM, LOW_VRAM_RANKS, RecipeRequest
from .subjects import NO_FIT

SIMPLE_GRADES = "ABC"
WASTEFUL_RANK = 64
"""Rank that the simple grades never need."""


def cautions(
    request: RecipeRequest, network: NetworkSettings, optimizer: OptimizerSettings, estimate: Estimate
) -> tuple[str, ...]:
    """All warnings, the most serious first."""
    found = (
        _images(request),
        _algorithm(request, network),
        _rank(request, network),
        _scale(network, optimizer),
        _memory(request, estimate),
        _poor_images(request),
    )
    return tuple(text for text in found if text)


def _images(request: RecipeRequest) -> str:
    row = request.row
    if request.num_images <= 2:
        return (
            f"{request.num_images} image(s) only: train briefly, generate variations, keep the good ones and train on "
            "with them (example workflow from_one_image)"
        )
    if request.num_images < row.min_images:
        return (
            f"{request.num_images} images are few: {row.name} needs at least {row.min_images}, usually "
            f"{row.usual_images}; add some, and compare early steps"
        )
    return ""


def _algorithm(request: RecipeRequest, network: NetworkSettings) -> str:
    row = request.row
    if network.algorithm in row.fitting:
        return ""
    why = NO_FIT.get(network.algorithm, f"{network.algorithm} is for styles and concepts")
    only = "only plain LoRA learns it" if row.grade in tuple(HARD_GRADES) and row.kind == "character" else ""
    return f"algorithm {network.algorithm} does not fit {row.name}: {only or why}; choose {row.algorithm}"


def _rank(request: RecipeRequest, network: NetworkSettings) -> str:
    row = request.row
    if network.algorithm in ("lokr", "ia3", "diag-oft", "boft", "full"):
        return ""
    is_simple = row.kind == "character" and row.grade in tuple(SIMPLE_GRADES)
    if network.rank > row.high_rank or (is_simple and network.rank >= WASTEFUL_RANK):
        high = row.high_rank
        return f"rank {network.rank} is too high for {row.name}, {high} is enough: a larger file, no more likeness"
    if request.rank and network.rank < row.low_rank:
        return (
            f"rank {network.rank} is too low for {row.name}: it will never learn all of it; use {row.low_rank} or more"
        )
    return ""


def _scale(network: NetworkSettings, optimizer: OptimizerSettings) -> str:
    scale = network_scale(network)
    if scale is not None and scale > 1 and not network.rank_stabilized:
        return f"alpha {network.alpha:g} is above rank {network.rank}: it overfits; alpha should be at most the rank"
    return describe_damping(network, optimizer) if is_weak(network, optimizer) else ""


def _memory(request: RecipeRequest, estimate: Estimate) -> str:
    if estimate.memory_gib <= request.vram_gib:
        return ""
    return (
        f"memory of roughly {estimate.memory_gib:.1f} GiB is above the {request.vram_gib:g} GiB of the GPU; parts of "
        f"the model will have to wait in main memory, which is slow: {_less_memory(request)}"
    )


def _less_memory(request: RecipeRequest) -> str:
    """What to change to save memory; for SDXL the estimate includes gradient checkpointing already."""
    if request.is_low_vram:
        return "close other programs"
    if request.family != "sdxl":
        return "lower the rank, or turn gradient_checkpointing on"
    barring = {
        "text_encoder auto": request.text_encoder == "trained",
        f"rank 0 to {LOW_VRAM_RANKS[1]}": request.rank > LOW_VRAM_RANKS[1],
        "algorithm auto": request.algorithm not in ("auto", "lora"),
    }
    return f"choose {', '.join([f'profile {LOW_VRAM}', *(setting for setting, is_so in barring.items() if is_so)])}"


def _poor_images(request: RecipeRequest) -> str:
    if request.image_quality == "good" or request.row.kind == "style" or request.has_regularization:
        return ""
    return (
        "poor images without regularization images: their look will be learned too; load pictures of the class in "
        "general with is_regularization and join them with Combine Datasets"
    )

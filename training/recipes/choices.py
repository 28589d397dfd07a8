"""Which network, optimizer, objective and stages answer a request, each with the rule behind it.

Rules and numbers are the community guide's, with what was measured about sd-scripts or on the pocket model where they
differ. min-SNR: https://arxiv.org/abs/2303.09556; Prodigy: https://arxiv.org/abs/2306.06101.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..base_model import ModelFamily, PartName
from ..loop.stages import Plan, Stage
from ..networks.settings import NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.schedules import ScheduleSettings
from ..optimizers.settings import OptimizerSettings
from .request import LOW_VRAM_RANKS, Accuracy, RecipeRequest
from .subjects import Subject

Settings = TypeVar("Settings")

UNET_LR = 1e-4
KNOWN_SHARE = 0.3
"""A subject that the model knows needs about 300 of the usual 1000 steps."""
ACCURACY_SHARE: Mapping[Accuracy, float] = {"loose": 0.7, "normal": 1.0, "exact": 1.5}
HARD_GRADES = "EFGHI"
HARD_SHARE = 1.5
"""From E up: higher rank, and more time."""
SLOW_ALGORITHM_SHARE: Mapping[str, float] = {"lokr": 1.5}
LAST_STAGE_SHARE = 0.2
"""Part of an exact, fixed-rate plan that its closing stage has."""
D_COEF = 1.0
"""Of Prodigy. The guide's 2, and 5 to 9 for LoKr and (IA)^3, made runs of the pocket model diverge within 100 steps."""
FAILED_WITH_PRODIGY: Mapping[str, str] = {"lokr": "diverged at every d_coef", "ia3": "did harm before it learned"}
"""Algorithms that always get a fixed rate, and what Prodigy did with them on the pocket model."""
RATE_SHARE: Mapping[str, float] = {"lokr": 10.0, "ia3": 90.0}
"""Of their fixed rates, beside LoRA's. Measured like the above."""
SDXL_NOISE_OFFSET = 0.0357
"""What SDXL's base model itself was trained with."""
BATCH_SIZES: Mapping[ModelFamily, tuple[tuple[float, int], ...]] = {
    "sd15": ((16.0, 4), (8.0, 2)),
    "sdxl": ((40.0, 4), (20.0, 2)),
}
"""GiB from which a batch size is used, largest first; below all of them 1."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[Settings]):
    """Settings, and why they are so."""

    settings: Settings
    reasons: tuple[str, ...]
    """One line for each thing chosen."""


def choose_network(request: RecipeRequest) -> Choice[NetworkSettings]:
    """Algorithm, rank, alpha and parts."""
    row = request.row
    algorithm = row.algorithm if request.algorithm == "auto" else request.algorithm
    if request.is_low_vram:
        algorithm = "lora"
    rank, why_rank = _rank(request, row)
    alpha, why_alpha = _alpha(request, algorithm, rank)
    parts, why_parts = _parts(request)
    why_algorithm = f"algorithm {algorithm}: {_ALGORITHM_RULES[row.kind]}"
    if request.is_low_vram:
        why_algorithm = "algorithm lora: the low-VRAM profile adapts no convolutions"
    elif request.algorithm != "auto":
        why_algorithm = f"algorithm {algorithm}: as you chose"
    settings = NetworkSettings(
        algorithm=algorithm, rank=rank, alpha=alpha, parts=parts, block_size=math.gcd(rank, 4)
    )  # fmt: skip
    return Choice(settings, (why_algorithm, why_rank, why_alpha, why_parts))


_ALGORITHM_RULES: Mapping[str, str] = {
    "character": "plain LoRA learns characters of every grade, and is the only one from E up",
    "style": "convolutions carry texture, and gentle learning is welcome over a long run",
    "concept": "convolutions carry texture, and gentle learning is welcome over a long run",
    "vehicle": "full realism needs plain LoRA; LoKr works slowly",
}


def _rank(request: RecipeRequest, row: Subject) -> tuple[int, str]:
    if request.rank:
        return request.rank, f"rank {request.rank}: as you chose; {row.name} usually takes {row.low_rank} to " + str(
            row.high_rank
        )
    if request.is_low_vram:
        rank = LOW_VRAM_RANKS[request.accuracy == "exact"]
        return rank, f"rank {rank}: the low-VRAM profile has {LOW_VRAM_RANKS[0]} to {LOW_VRAM_RANKS[1]}"
    wanted = {"loose": row.low_rank, "normal": row.rank, "exact": row.high_rank}[request.accuracy]
    reason = f"rank {wanted}: {row.name} takes {row.low_rank} to {row.high_rank}; a {request.accuracy} likeness this"
    if request.is_male and row.kind == "character" and row.grade in tuple("ABCD") and request.accuracy == "normal":
        return row.high_rank, f"rank {row.high_rank}: {row.name}, and male is half a grade harder"
    return wanted, reason


def _alpha(request: RecipeRequest, algorithm: str, rank: int) -> tuple[float, str]:
    if request.row.kind in ("style", "concept"):
        return max(1.0, rank / 2), "alpha half the rank: styles and concepts want 1 to rank / 2, which damps learning"
    if _has_fixed_rates(request, algorithm):
        return float(rank), "alpha = rank: a fixed rate is then neither damped nor raised"
    return 1.0, "alpha 1: an optimizer that finds its rate makes up for the damping, and 1 is what suits it best"


def _parts(request: RecipeRequest) -> tuple[tuple[PartName, ...], str]:
    if request.text_encoder == "frozen":
        return ("unet",), "U-Net only: as you chose"
    if request.text_encoder == "trained":
        parts: tuple[PartName, ...] = ("unet", "text_encoder")
        return parts if request.family == "sd15" else (*parts, "text_encoder_2"), "text encoders too: as you chose"
    if request.family == "sdxl":
        return ("unet",), "U-Net only: SDXL's text encoders are large and rarely gain from it"
    return ("unet", "text_encoder"), "text encoder too: it learns what the trigger word means"


def choose_optimizer(request: RecipeRequest, network: NetworkSettings, batch_size: int) -> Choice[OptimizerSettings]:
    """Optimizer, rates and schedule."""
    if _has_fixed_rates(request, network.algorithm):
        return _fixed_rates(request, network, batch_size)
    settings = OptimizerSettings(
        optimizer="Prodigy", learning_rate=1.0, weight_decay=0.01, arguments=f"d_coef={D_COEF:g} betas=0.9,0.999"
    )
    why = f"d_coef {D_COEF:g}: what it finds as it is; more, usual elsewhere, made runs diverge where it was measured"
    return Choice(settings, ("Prodigy at rate 1, constant: finds the rate by itself, no schedule is needed", why))


def _has_fixed_rates(request: RecipeRequest, algorithm: str) -> bool:
    return request.rates == "fixed" or request.is_low_vram or algorithm in FAILED_WITH_PRODIGY


def _fixed_rates(request: RecipeRequest, network: NetworkSettings, batch_size: int) -> Choice[OptimizerSettings]:
    row, is_poor = request.row, request.image_quality == "poor"
    share = RATE_SHARE.get(network.algorithm, 1.0)
    unet_lr = UNET_LR * batch_size * share
    text_lr = (row.poor_text_encoder_lr if is_poor else row.text_encoder_lr) * batch_size * share
    has_text = "text_encoder" in network.parts
    settings = OptimizerSettings(
        optimizer="Adafactor" if request.is_low_vram else "AdamW",
        learning_rate=unet_lr,
        text_encoder_lr=text_lr if has_text else None,
        weight_decay=0.01,
        schedule=ScheduleSettings(
            schedule="linear" if _has_closing_stage(request, network) else "cosine", warmup_steps=0.05
        ),
    )  # fmt: skip
    why = "Adafactor: keeps hardly any state" if request.is_low_vram else "AdamW: the best tried"
    if request.rates != "fixed" and not request.is_low_vram:
        why = f"AdamW: Prodigy {FAILED_WITH_PRODIGY[network.algorithm]} with {network.algorithm} where it was measured"
    rule = f"1e-4 x batch size {batch_size}"
    if share != 1:
        rule += f" x {share:g}, for {network.algorithm} learns little below that"
    reasons = (f"{why}; rate {unet_lr:g}: {rule}",)
    of_text = f"text encoder {text_lr:g}: about half, for too much of it brings unwanted things into pictures"
    return Choice(settings, (*reasons, of_text) if has_text else reasons)


def choose_objective(request: RecipeRequest, network: NetworkSettings) -> Choice[ObjectiveSettings]:
    """min-SNR, norms and noise offset."""
    row = request.row
    gamma = 5.0 if row.kind in ("character", "vehicle") else 8.0
    reasons = [
        f"min_snr_gamma {gamma:g}: calms training at no cost; 5 or less for characters, more for styles and concepts"
    ]
    is_flexible = row.kind == "character" and row.grade not in tuple(HARD_GRADES) and request.accuracy != "exact"
    norms = 1.0 if is_flexible and network.algorithm in ("lora", "locon") else 0.0
    reasons.append(
        "scale_weight_norms 1: leaves the style of the images behind, so clothes and poses change more easily"
        if norms
        else "scale_weight_norms off: it brakes, and takes away style and exactness"
    )
    offset = SDXL_NOISE_OFFSET if request.family == "sdxl" else 0.0
    if offset:
        reasons.append(f"noise_offset {offset:g}: as SDXL itself was trained")
    settings = ObjectiveSettings(min_snr_gamma=gamma, scale_weight_norms=norms, noise_offset=offset)
    return Choice(settings, tuple(reasons))


def choose_batch_size(request: RecipeRequest) -> int:
    """Images per step that the memory allows."""
    if request.is_low_vram:
        return 1
    fitting = (size for needed, size in BATCH_SIZES[request.family] if request.vram_gib >= needed)
    return min(next(fitting, 1), request.num_images)


def choose_stages(
    request: RecipeRequest, network: NetworkSettings, optimizer: OptimizerSettings, batch_size: int
) -> Choice[Plan]:
    """How long, and whether a closing stage follows."""
    samples, why = _samples(request, network)
    steps = max(1, math.ceil(samples / batch_size))
    if not _has_closing_stage(request, network):
        return Choice((Stage(steps=steps, batch_size=batch_size),), (why,))
    closing = max(1, round(LAST_STAGE_SHARE * steps))
    cosine = OptimizerSettings(
        optimizer=optimizer.optimizer,
        learning_rate=optimizer.learning_rate / 2,
        text_encoder_lr=None if optimizer.text_encoder_lr is None else optimizer.text_encoder_lr / 2,
        weight_decay=optimizer.weight_decay,
        schedule=ScheduleSettings(schedule="cosine"),
    )
    plan = (
        Stage(steps=max(1, steps - closing), batch_size=batch_size),
        Stage(steps=closing, batch_size=batch_size, optimizer=cosine),
    )
    return Choice(plan, (why, f"closing stage of {closing} steps: linear for most of it, then a little cosine"))


def _has_closing_stage(request: RecipeRequest, network: NetworkSettings) -> bool:
    return request.accuracy == "exact" and _has_fixed_rates(request, network.algorithm)


def _samples(request: RecipeRequest, network: NetworkSettings) -> tuple[int, str]:
    """Images to be seen, and how that came about."""
    row = request.row
    base = row.poor_steps if request.image_quality == "poor" else row.good_steps
    factors = [(ACCURACY_SHARE[request.accuracy], f"{request.accuracy} likeness")]
    if request.is_known:
        factors.append((KNOWN_SHARE, "known to the model"))
    if row.grade in tuple(HARD_GRADES):
        factors.append((HARD_SHARE, "grade E or harder"))
    slow = SLOW_ALGORITHM_SHARE.get(network.algorithm)
    if slow:
        factors.append((slow, f"{network.algorithm} learns slowly"))
    if request.has_regularization:
        factors.append((2.0, "half of them regularization images"))
    samples = round(base * math.prod(factor for factor, _ in factors))
    shown = "".join(f" x {factor:g} ({name})" for factor, name in factors if factor != 1)
    return samples, f"{samples} images to be seen: {base} for {row.name} with {request.image_quality} images{shown}"

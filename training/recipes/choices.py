"""Chooses network, optimizer, objective and stages for a request, each with the rule behind it.

Rules and numbers are from the community guide, corrected by measurements of sd-scripts or on the small test model.
min-SNR: https://arxiv.org/abs/2303.09556; Prodigy: https://arxiv.org/abs/2306.06101.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..base_model import PartName
from ..networks.settings import NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.schedules import ScheduleSettings
from ..optimizers.settings import OptimizerSettings
from .request import LOW_VRAM_RANKS, RecipeRequest
from .subjects import Subject

Settings = TypeVar("Settings")

PRODIGY, ADAFACTOR = "Prodigy", "Adafactor"
UNET_LR = 1e-4
HARD_GRADES = "EFGHI"
D_COEF = 1.0
"""For Prodigy. The guide's 2, and 5 to 9 for LoKr and (IA)^3, made runs of the small test model diverge in 100 steps.
"""
FAILED_WITH_PRODIGY: Mapping[str, str] = {"lokr": "diverged at every d_coef", "ia3": "did harm before it learned"}
"""Algorithms that always get a fixed learning rate, and how Prodigy failed with them on the small test model."""
RATE_SHARE: Mapping[str, float] = {"lokr": 10.0, "ia3": 90.0}
"""Their fixed learning rates as a multiple of LoRA's, measured the same way."""


@dataclass(frozen=True, slots=True)
class Choice(Generic[Settings]):
    """Chosen settings and the reasons."""

    settings: Settings
    reasons: tuple[str, ...]
    """One line per choice."""


def choose_network(request: RecipeRequest, optimizer: str, held_rank: int = 0) -> Choice[NetworkSettings]:
    """Algorithm, rank, alpha and parts; `held_rank` is what fits into memory if that is less than wanted."""
    row, algorithm = request.row, choose_algorithm(request)
    rank, why_rank = _rank(request, row)
    if held_rank:
        rank, why_rank = held_rank, f"rank {held_rank}: all that {request.vram_gib:g} GiB hold; {row.name} wants {rank}"
    alpha, why_alpha = _alpha(request, optimizer, rank)
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


def choose_algorithm(request: RecipeRequest) -> str:
    """The requested algorithm, or one that suits the subject."""
    if request.is_low_vram:
        return "lora"
    return request.row.algorithm if request.algorithm == "auto" else request.algorithm


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
        why = f"rank {rank}: the low-VRAM profile has {LOW_VRAM_RANKS[0]} to {LOW_VRAM_RANKS[1]}"
        if rank < row.low_rank:
            why += f", {row.name} wants {row.low_rank} or more: expect a simpler likeness, or train SD1.5"
        return rank, why
    wanted = {"loose": row.low_rank, "normal": row.rank, "exact": row.high_rank}[request.accuracy]
    reason = f"rank {wanted}: {row.name} takes {row.low_rank} to {row.high_rank}; {_likeness(request)} this"
    if request.is_male and row.kind == "character" and row.grade in tuple("ABCD") and request.accuracy == "normal":
        return row.high_rank, f"rank {row.high_rank}: {row.name}, and male is half a grade harder"
    return wanted, reason


def _likeness(request: RecipeRequest) -> str:
    return f"{'an' if request.accuracy == 'exact' else 'a'} {request.accuracy} likeness"


def _alpha(request: RecipeRequest, optimizer: str, rank: int) -> tuple[float, str]:
    if request.row.kind in ("style", "concept"):
        return max(1.0, rank / 2), "alpha half the rank: styles and concepts want 1 to rank / 2, which damps learning"
    if optimizer != PRODIGY:
        return float(rank), "alpha = rank: the learning rate then acts at full strength"
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


def preferred_optimizer(request: RecipeRequest) -> str:
    """The optimizer to use if memory allows."""
    if request.is_low_vram:
        return ADAFACTOR
    has_fixed_rates = request.rates == "fixed" or choose_algorithm(request) in FAILED_WITH_PRODIGY
    return "AdamW" if has_fixed_rates else PRODIGY


def choose_optimizer(
    request: RecipeRequest, network: NetworkSettings, name: str, batch_size: int
) -> Choice[OptimizerSettings]:
    """Learning rates and schedule of an optimizer."""
    if name != PRODIGY:
        return _fixed_rates(request, network, name, batch_size)
    settings = OptimizerSettings(
        optimizer=PRODIGY, learning_rate=1.0, weight_decay=0.01, arguments=f"d_coef={D_COEF:g} betas=0.9,0.999"
    )
    why = f"d_coef {D_COEF:g}: what it finds as it is; more, usual elsewhere, made runs diverge where it was measured"
    return Choice(settings, ("Prodigy at rate 1, constant: finds the rate by itself, no schedule is needed", why))


def _fixed_rates(
    request: RecipeRequest, network: NetworkSettings, name: str, batch_size: int
) -> Choice[OptimizerSettings]:
    row, is_poor = request.row, request.image_quality == "poor"
    share = RATE_SHARE.get(network.algorithm, 1.0)
    unet_lr = UNET_LR * batch_size * share
    text_lr = (row.poor_text_encoder_lr if is_poor else row.text_encoder_lr) * batch_size * share
    has_text = "text_encoder" in network.parts
    settings = OptimizerSettings(
        optimizer=name,
        learning_rate=unet_lr,
        text_encoder_lr=text_lr if has_text else None,
        weight_decay=0.01,
        schedule=ScheduleSettings(
            schedule="linear" if has_closing_stage(request, name) else "cosine", warmup_steps=0.05
        ),
    )  # fmt: skip
    why = "Adafactor: needs hardly any memory of its own" if name == ADAFACTOR else "AdamW: the best tried"
    if name != preferred_optimizer(request):
        why += f", for {preferred_optimizer(request)}'s does not fit into {request.vram_gib:g} GiB"
    elif request.rates != "fixed" and not request.is_low_vram:
        why = f"AdamW: Prodigy {FAILED_WITH_PRODIGY[network.algorithm]} with {network.algorithm} where it was measured"
    rule = f"1e-4 x batch size {batch_size}"
    if share != 1:
        rule += f" x {share:g}, for {network.algorithm} learns little below that"
    reasons = (f"{why}; rate {unet_lr:g}: {rule}",)
    of_text = f"text encoder {text_lr:g}: about half, for too much of it brings unwanted things into pictures"
    return Choice(settings, (*reasons, of_text) if has_text else reasons)


def has_closing_stage(request: RecipeRequest, optimizer: str) -> bool:
    """Whether a cosine stage follows, for exact accuracy at fixed learning rates."""
    return request.accuracy == "exact" and optimizer != PRODIGY


def choose_objective(request: RecipeRequest, network: NetworkSettings) -> Choice[ObjectiveSettings]:
    """min-SNR, norms and noise offset."""
    row = request.row
    gamma = 5.0 if row.kind in ("character", "vehicle") else 8.0
    reasons = [
        f"min_snr_gamma {gamma:g}: training is more stable, at no cost; 5 or less for characters, more for styles"
    ]
    norms, offset = _brakes(request, network)
    if request.is_low_vram:
        reasons.append("scale_weight_norms and noise_offset off: the low rank already slows learning enough")
    elif norms:
        reasons.append(
            "scale_weight_norms 1: leaves the style of the images behind, so clothes and poses change more easily"
        )
    else:
        reasons.append("scale_weight_norms off: it brakes, and takes away style and exactness")
    if offset:
        reasons.append(f"noise_offset {offset:g}: as SDXL's base model itself was trained")
    profile = request.base_profile
    has_zero_snr = profile is not None and profile.prediction == "v_prediction"
    if has_zero_snr:
        reasons.append(
            "zero_terminal_snr: up to pure noise, as the model itself was trained; no noise offset beside it"
        )
        reasons.append("min-SNR has its form for v-prediction, which the loss takes by itself")
    settings = ObjectiveSettings(
        min_snr_gamma=gamma, scale_weight_norms=norms, noise_offset=offset, zero_terminal_snr=has_zero_snr
    )
    return Choice(settings, tuple(reasons))


def _brakes(request: RecipeRequest, network: NetworkSettings) -> tuple[float, float]:
    """(scale_weight_norms, noise_offset): at most one of them, and none at low rank; each slows learning."""
    row, profile = request.row, request.base_profile
    if request.is_low_vram:
        return 0.0, 0.0
    is_flexible = row.kind == "character" and row.grade not in tuple(HARD_GRADES) and request.accuracy != "exact"
    if is_flexible and network.algorithm in ("lora", "locon"):
        return 1.0, 0.0
    return 0.0, profile.noise_offset if profile is not None else 0.0

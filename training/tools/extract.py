"""Extracts a LoRA from the difference of two models: the best low-rank approximation, layer by layer."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from re import compile as regex
from typing import NamedTuple

import torch
from torch import Tensor

from ..base_model import ModelFamily
from ..files.formats import Tensors, join_modules
from ..files.names import UNET_PREFIX
from .checkpoints import open_checkpoint
from .factors import approximate, low_rank_parts
from .ranks import RankChoice
from .report import LayerReport, Report, rounding_notes, size_of
from .resize import cast_parts

_ATTENTION = regex(
    r"(attentions|input_blocks|output_blocks|middle_block)_\d+(_1)?_(proj_in|proj_out|transformer_blocks)"
)
_TEXT = regex(r"lora_te\d?_text_model_encoder_layers_\d+_(self_attn|mlp)_")

_NAMES_SHOWN = 5
_HALVES = {torch.bfloat16: "bf16", torch.float16: "fp16"}


class WeightPair(NamedTuple):
    """One module's weight in both models, by kohya name."""

    name: str
    original: Tensor
    tuned: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtractSettings:
    """What to extract from the difference."""

    choice: RankChoice = field(default_factory=RankChoice)
    """Rank per module."""
    include_conv: bool = False
    """Include residual blocks and samplers (LoCon); else attention and feed-forward layers only."""
    include_text_encoder: bool = True
    """Include the text encoders."""
    min_difference: float = 0.0
    """Modules whose weights all differ by at most this are left out; 0 leaves out equal ones."""
    dtype: torch.dtype = torch.float16
    """Dtype of the result's tensors."""

    def __post_init__(self) -> None:
        """Refuse a threshold that is negative or not a number."""
        if not self.min_difference >= 0:
            raise ValueError(f"min_difference must be 0 or more, got {self.min_difference}")

    def wants(self, name: str) -> bool:
        """Whether to include a module of this kohya name."""
        if not name.startswith(UNET_PREFIX):
            return self.include_text_encoder and _TEXT.match(name) is not None
        return self.include_conv or _ATTENTION.search(name) is not None


def extract(
    pairs: Iterable[WeightPair], settings: ExtractSettings, unpaired: Collection[str] = ()
) -> tuple[Tensors, Report]:
    """The LoRA that turns the original model into the tuned one, as closely as its rank allows.

    Pairs are used one by one, so an iterator that reads them from files never holds two models. `unpaired` are wanted
    modules that only one of the models has, for the report.

    Raises:
        ValueError: The models differ in a shape, or not at all.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    layers: list[LayerReport] = []
    num_equal = bytes_before = 0
    roundings = set(_HALVES)
    for name, original, tuned in pairs:
        if original.shape != tuned.shape:
            raise ValueError(f"models: {name} is {tuple(original.shape)} and {tuple(tuned.shape)}; not of one family")
        delta = tuned.to(torch.float32) - original.to(torch.float32)
        if not bool(delta.isfinite().all()):
            raise ValueError(f"models: {name} holds NaN or infinity in one of them; it is broken, download it again")
        bytes_before += original.numel() * original.element_size()
        if float(delta.abs().max()) <= settings.min_difference:
            num_equal += 1
            continue
        roundings &= _roundings(original, tuned)
        found, error, norm = approximate(delta.flatten(1), settings.choice, tuple(delta.shape))
        modules[name] = cast_parts(low_rank_parts(found), settings.dtype)
        layers.append(LayerReport(name, 0, found.rank, norm, error))
    if unpaired and not modules and not num_equal:
        raise ValueError(f"models: they have no module in common ({_some(unpaired)}); choose two of one family")
    if not modules:
        raise ValueError(f"models: nothing differs by more than {settings.min_difference}; are they the same model?")
    result = join_modules(modules)
    return result, Report(
        tuple(layers), bytes_before, size_of(result), (*_notes(num_equal, roundings, unpaired), *rounding_notes(result))
    )


def _notes(num_equal: int, roundings: Collection[torch.dtype], unpaired: Collection[str]) -> list[str]:
    notes = [f"{num_equal} modules do not differ and are left out"] if num_equal else []
    if roundings:
        names = " or ".join(sorted(_HALVES[dtype] for dtype in roundings))
        notes.append(f"the models are equal once rounded to {names}: this LoRA holds the rounding and nothing else")
    if unpaired:
        notes.append(f"{len(unpaired)} modules are in only one of the models and are left out: {_some(unpaired)}")
    return notes


def _roundings(original: Tensor, tuned: Tensor) -> set[torch.dtype]:
    """Dtypes in which two weights are equal."""
    return {dtype for dtype in _HALVES if torch.equal(original.to(dtype), tuned.to(dtype))}


def unpaired_modules(original: Iterable[str], tuned: Iterable[str], settings: ExtractSettings) -> list[str]:
    """Wanted modules that only one of the models has, sorted."""
    return sorted(filter(settings.wants, set(original) ^ set(tuned)))


def _some(names: Collection[str]) -> str:
    shown = sorted(names)[:_NAMES_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def extract_from_files(original: Path, tuned: Path, settings: ExtractSettings) -> tuple[Tensors, Report, ModelFamily]:
    """Extract from two checkpoint files, one layer at a time.

    Raises:
        ValueError: A file is not an SD1.5 or SDXL checkpoint, or the two are of different families.
    """
    with open_checkpoint(original) as before, open_checkpoint(tuned) as after:
        if before.family != after.family:
            raise ValueError(f"models: {original.name} is {before.family}, {tuned.name} is {after.family}")

        def pairs() -> Iterable[WeightPair]:
            for name in before.weights:
                if not settings.wants(name):
                    continue
                one, two = before.weight(name), after.weight(name)
                if one is not None and two is not None and one.ndim >= 2:
                    yield WeightPair(name, one, two)

        tensors, report = extract(pairs(), settings, unpaired_modules(before.weights, after.weights, settings))
        return tensors, report, before.family

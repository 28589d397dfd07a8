"""Options that were set but have no effect beside the others: said on the node, for neither loss nor file shows it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from ..base_model import PartName
from ..data.captions import CaptionSettings
from ..loop.stages import stage_optimizers
from ..networks.block_weights import BlockWeights
from ..objective.settings import ObjectiveSettings, PriorPreservation
from ..optimizers.groups import TrainableGroup
from ..optimizers.schedules import SCHEDULES, ScheduleSettings
from ..optimizers.settings import OptimizerSettings
from .plan import trained_dataset
from .request import TrainRequest, ValidationSettings

_TEXT_RATES: dict[str, set[PartName]] = {
    "unet_lr": {"unet"},
    "text_encoder_lr": {"text_encoder", "text_encoder_2"},
    "text_encoder_2_lr": {"text_encoder_2"},
}


_Choice = Mapping[str, tuple[str, ...]]
"""Other options that must be on, or have one of these values."""
_OF_SCHEDULE: Mapping[str, tuple[_Choice, ...]] = {
    "cycles": ({"schedule": ("cosine_with_restarts",)},),
    "power": ({"schedule": ("polynomial",)},),
    "decay_steps": ({"schedule": ("warmup_stable_decay",)},),
    "timescale": ({"schedule": ("inverse_sqrt",)},),
    "min_ratio": ({"schedule": SCHEDULES[1:]}, {"warmup_from_min": (), "warmup_steps": ()}),
    "warmup_from_min": ({"warmup_steps": (), "min_ratio": ()},),
}
_HUBER = {"loss_type": ("huber", "smooth_l1")}
_OF_OBJECTIVE: Mapping[str, tuple[_Choice, ...]] = {
    "huber_schedule": (_HUBER,),
    "huber_c": (_HUBER,),
    "huber_scale": (_HUBER,),
    "noise_offset_random": ({"noise_offset": ()},),
    "multires_noise_discount": ({"multires_noise_iterations": ()},),
    "input_perturbation_random": ({"input_perturbation": ()},),
    "logit_mean": ({"timestep_distribution": ("logit_normal",)},),
    "logit_std": ({"timestep_distribution": ("logit_normal",)},),
    "prior_preservation_weight": ({"prior_preservation": get_args(PriorPreservation)[1:]},),
    "trigger_class": ({"prior_preservation": ("captions_without_trigger", "extra_term")},),
}
_OF_CAPTIONS: Mapping[str, tuple[_Choice, ...]] = {
    "keep_tags": ({"shuffle_tags": ()}, {"tag_dropout": ()}, {"tag_warmup_steps": ()}),
    "tag_warmup_min": ({"tag_warmup_steps": ()},),
}
_OF_BLOCKS: Mapping[str, tuple[_Choice, ...]] = {
    "zero_threshold": ({"down": ()}, {"mid": ()}, {"up": ()}, {"lbw": ()}),
}
_OF_VALIDATION: Mapping[str, tuple[_Choice, ...]] = {"every": ({"share": ()}, {"dataset": ()})}
_INPUTS = {
    "every": "validate_every", "share": "validation_share", "dataset": "validation_dataset",
    "lbw": "blocks",
}  # fmt: skip
"""Names at the nodes, where they differ from the settings'."""


def idle_options(request: TrainRequest, groups: Sequence[TrainableGroup]) -> list[str]:
    """A line for each option that differs from its default and changes no weight; usually none.

    An option of several captions or stages counts as used if it is in one of them.
    """
    optimizers = stage_optimizers(request.stages, request.optimizer)
    captions = [subset.captions for subset in trained_dataset(request).subsets]
    return [
        *_idle([one.schedule for one in optimizers], ScheduleSettings(), _OF_SCHEDULE),
        *_idle([request.objective], ObjectiveSettings(), _OF_OBJECTIVE),
        *_idle(captions, CaptionSettings(), _OF_CAPTIONS),
        *_idle([request.network.block_weights], BlockWeights(), _OF_BLOCKS),
        *_idle([request.validation], ValidationSettings(), _OF_VALIDATION),
        *_idle_rates(optimizers, groups),
    ]


def _idle(settings: Sequence[Any], usual: Any, rules: Mapping[str, tuple[_Choice, ...]]) -> Iterator[str]:
    for name, choices in rules.items():
        given = [one for one in settings if getattr(one, name) != getattr(usual, name)]
        if given and not any(_is_met(one, choice) for one in given for choice in choices):
            needed = " or ".join(_in_words(choice) for choice in choices)
            yield f"{_INPUTS.get(name, name)}: no effect, it needs {needed}"


def _is_met(settings: Any, choice: _Choice) -> bool:
    values = {name: getattr(settings, name) for name in choice}
    return all(value in choice[name] if choice[name] else bool(value) for name, value in values.items())


def _in_words(choice: _Choice) -> str:
    return " and ".join(f"{_INPUTS.get(name, name)} {' or '.join(values)}".strip() for name, values in choice.items())


def _idle_rates(optimizers: Sequence[OptimizerSettings], groups: Sequence[TrainableGroup]) -> Iterator[str]:
    parts = {group.part for group in groups}
    for name, its in _TEXT_RATES.items():
        if any(getattr(one, name) for one in optimizers) and not its & parts:
            yield f"{name}: no effect, nothing of {' and '.join(sorted(its))} is trained"
    if any(one.loraplus_ratio != 1 for one in optimizers) and not any(group.is_up for group in groups):
        yield "loraplus_ratio: no effect, this network has no up matrices"
    if any(one.alpha_compensation != "none" for one in optimizers) and all(group.scale == 1 for group in groups):
        yield "alpha_compensation: no effect, alpha / rank is 1 or its algorithm makes nothing up for it"

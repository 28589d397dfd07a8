"""The settings of a run for the header of its files: what differs from the defaults, under this pack's names."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from typing import Any

from ..data.dataset import Subset
from ..loop.stages import PlannedStage
from .plan import trained_dataset
from .request import Session

_OF_EVERY_NETWORK = ("dropout", "rank_dropout", "module_dropout", "parts", "block_weights", "trigger_embedding")
"""What is asked of a LoRA that is trained further; its file decides the rest."""
_ELSEWHERE = ("steps", "epochs", "optimizer", "dataset", "cache")
"""Fields that are told in another form, or change no weight."""


def settings_told(session: Session) -> dict[str, Any]:
    """Network, objective, stages and subsets; JSON can hold it."""
    request = session.request
    network = changed(request.network)
    if request.start is not None:
        network = {name: value for name, value in network.items() if name in _OF_EVERY_NETWORK}
    return {
        "network": network,
        "objective": changed(request.objective),
        "stages": [_stage(planned) for planned in session.job.stages],
        "subsets": [_subset(subset) for subset in trained_dataset(request).subsets],
    }


def changed(settings: Any) -> dict[str, Any]:
    """Fields of a settings dataclass that differ from their defaults; nested ones alike."""
    told: dict[str, Any] = {}
    for field in fields(settings):
        value = getattr(settings, field.name)
        if field.name not in _ELSEWHERE and value != _default(field):
            told[field.name] = changed(value) if is_dataclass(value) else value
    return told


def _default(field: "Field[Any]") -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _stage(planned: PlannedStage) -> Mapping[str, Any]:
    optimizer = planned.optimizer
    rate = {"optimizer": optimizer.optimizer, "learning_rate": optimizer.learning_rate}
    dataset = planned.stage.dataset
    own = {} if dataset is None else {"subsets": [subset.name for subset in dataset.subsets]}
    return {"steps": planned.steps, **changed(planned.stage), **rate, **changed(optimizer), **own}


def _subset(subset: Subset) -> Mapping[str, Any]:
    own = {"captions": changed(subset.captions), "buckets": changed(subset.buckets)}
    plain = {name: getattr(subset, name) for name in ("is_regularization", "loss_weight", "repeats")}
    usual = {"is_regularization": False, "loss_weight": 1.0, "repeats": 1}
    told = {name: value for name, value in plain.items() if value != usual[name]}
    return {"name": subset.name, **told, **{name: value for name, value in own.items() if value}}

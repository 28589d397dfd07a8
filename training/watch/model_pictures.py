"""How pictures of a model are drawn unless the user says otherwise: size, guidance and sampler of its kind.

The numbers of SDXL are what the makers of its checkpoints give (recipes/profiles.py names their pages); those of SD1.5
are the values that ComfyUI's own nodes begin with.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..base_model import ModelFamily, PredictionType
from ..data.buckets import NATIVE_RESOLUTION
from .previews import AS_MODEL_CFG, AS_MODEL_SAMPLER, AS_MODEL_SIZE, PreviewSettings


@dataclass(frozen=True, slots=True)
class Drawing:
    """Guidance and sampler that suit a kind of model."""

    cfg: float
    sampler: str


_DRAWING: Mapping[tuple[ModelFamily, PredictionType], Drawing] = {
    ("sd15", "epsilon"): Drawing(7.0, "euler"),
    ("sd15", "v_prediction"): Drawing(7.0, "euler"),
    ("sdxl", "epsilon"): Drawing(5.0, "euler_ancestral"),
    ("sdxl", "v_prediction"): Drawing(4.5, "euler"),
    ("sd15", "flow"): Drawing(7.0, "euler"),
    ("sdxl", "flow"): Drawing(5.0, "euler"),
}


def for_model(settings: PreviewSettings, family: ModelFamily, prediction: PredictionType) -> PreviewSettings:
    """The settings with what they leave to the model filled in."""
    side, drawing = NATIVE_RESOLUTION[family], _DRAWING[family, prediction]
    return replace(
        settings,
        width=side if settings.width == AS_MODEL_SIZE else settings.width,
        height=side if settings.height == AS_MODEL_SIZE else settings.height,
        cfg=drawing.cfg if settings.cfg == AS_MODEL_CFG else settings.cfg,
        sampler=drawing.sampler if settings.sampler == AS_MODEL_SAMPLER else settings.sampler,
    )

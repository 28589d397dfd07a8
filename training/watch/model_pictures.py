"""Default size, guidance and sampler of pictures, by kind of model.

SDXL's numbers are recommended by the makers of its checkpoints (recipes/profiles.py names their pages); SD1.5's are the
defaults of ComfyUI's own nodes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..base_model import ModelFamily, PredictionType
from ..data.buckets import NATIVE_RESOLUTION
from .previews import AS_MODEL_CFG, AS_MODEL_SAMPLER, AS_MODEL_SIZE, PreviewSettings


@dataclass(frozen=True, slots=True)
class Drawing:
    """Guidance and sampler for a kind of model."""

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
    """Fill in what the settings leave to the model."""
    side, drawing = NATIVE_RESOLUTION[family], _DRAWING[family, prediction]
    return replace(
        settings,
        width=side if settings.width == AS_MODEL_SIZE else settings.width,
        height=side if settings.height == AS_MODEL_SIZE else settings.height,
        cfg=drawing.cfg if settings.cfg == AS_MODEL_CFG else settings.cfg,
        sampler=drawing.sampler if settings.sampler == AS_MODEL_SAMPLER else settings.sampler,
    )

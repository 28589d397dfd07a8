"""Inputs shared by nodes that draw pictures of a model: size, guidance and sampler."""

from ...training.watch.previews import AS_MODEL_CFG, AS_MODEL_SAMPLER, AS_MODEL_SIZE
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.previews import SAMPLERS

MAX_SIDE = 4096


def size_inputs() -> list[io.Input]:
    """Width and height; saved workflows keep their values."""
    of_model = "0 = the model's own, 512 for SD1.5 and 1024 for SDXL."
    return [
        io.Int.Input(
            side, display_name=f"{side} (0 = the model's)", default=AS_MODEL_SIZE, min=0, max=MAX_SIDE, step=8,
            tooltip=f"{side.title()} in pixels. {of_model}",
        )
        for side in ("width", "height")
    ]  # fmt: skip


def guidance_inputs(is_advanced: bool = False) -> list[io.Input]:
    """Guidance and sampler; saved workflows keep their values."""
    return [
        io.Float.Input(
            "cfg", display_name="cfg (-1 = the model's)", default=AS_MODEL_CFG, min=AS_MODEL_CFG, max=100.0, step=0.1,
            advanced=is_advanced,
            tooltip="Classifier-free guidance. -1 = what suits the model: 7 for SD1.5, 5 for SDXL, 4.5 for SDXL with "
            "v-prediction.",
        ),
        io.Combo.Input(
            "sampler", options=[AS_MODEL_SAMPLER, *SAMPLERS], default=AS_MODEL_SAMPLER, advanced=is_advanced,
            tooltip="Sampler, as in KSampler. auto = what suits the model: euler_ancestral for SDXL, euler for SD1.5 "
            "and v-prediction.",
        ),
    ]  # fmt: skip

"""Presets of LyCORIS, which layers an algorithm adapts, as settings of the network here."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import TargetPreset

PRESETS: "Mapping[str, TargetPreset]" = {
    "full": "blocks",
    "attn-mlp": "attention_feed_forward",
    "attn-only": "attention",
    "full-lin": "all_linear",
    "unet-only": "blocks",
    "unet-transformer-only": "attention_feed_forward",
}
"""Presets of the library, and the targets that they are; where several are the same, the first is written."""
UNET_PRESETS = frozenset({"unet-only", "unet-transformer-only"})
"""Those that leave the text encoders alone."""
_ELSEWHERE: Mapping[str, str] = {
    "ia3": "choose algorithm ia3, which adapts the layers of this preset",
    "unet-convblock-only": "choose targets all with include *in_layers* *out_layers* *emb_layers* *skip_connection*",
}
NOTES: Mapping[str, str] = {
    **dict.fromkeys(
        ("full", "unet-only"),
        "targets blocks, without conv_in, conv_out and the time embedding, which LyCORIS adapts too; targets all does",
    ),
    "full-lin": "targets all_linear; on SDXL with label_emb, which LyCORIS leaves out",
}
"""What of a preset is not quite what the library does."""


def preset_fields(preset: str) -> dict[str, Any]:
    """Settings of the network that a preset of the library is.

    Raises:
        ValueError: It is no preset, or one that has no settings here.
    """
    if preset not in PRESETS:
        raise ValueError(
            f"lycoris_arguments: preset must be one of {', '.join(PRESETS)}, got {preset}; "
            + _ELSEWHERE.get(preset, "targets, include and exclude choose other layers")
        )
    return {"targets": PRESETS[preset], **({"parts": ("unet",)} if preset in UNET_PRESETS else {})}


def without_convolutions(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields where conv_dim is 0, which leaves out the k x k convolutions: those of linear layers."""
    targets = {"blocks": "all_linear", "all": "all_linear"}.get(fields.get("targets", ""))
    kept = {name: value for name, value in fields.items() if name not in ("conv_rank", "conv_alpha")}
    return {**kept, "targets": targets} if targets else kept

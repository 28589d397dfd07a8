"""The three scores of a LoRA: identity, flexibility, prior; each 0..1, over pictures alone.

Pictures are uint8 arrays, PIL images, or a batch of floats 0..1 (N, H, W, 3). An OC is an `OriginalCharacter`, a
`Signature`, a list of reference pictures, or a list of its RGB colors, the main one first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .characters import OriginalCharacter, reference_images
from .readers import Reading, as_pictures, read_picture
from .signature import Signature, carries, signature_from_colors, signature_from_references
from .world import BACKGROUNDS, BODIES, EYES, SKINS, TOPS

ATTRIBUTES = ("color", "background", "body", "top", "eyes")


@dataclass(frozen=True)
class Wanted:
    """What a caption asks for; None where it does not say."""

    color: str | None = None
    background: str | None = None
    body: str | None = None
    top: str | None = None
    eyes: str | None = None


def parse_caption(caption: str, is_complete: bool = False) -> Wanted:
    """The attributes a caption names; if it is complete, a top part it does not name is wanted absent."""
    tags = {tag.strip() for tag in caption.split(",")}

    def named(names: Sequence[str], suffix: str = "") -> str | None:
        return next((name for name in names if f"{name}{suffix}" in tags), None)

    return Wanted(
        color=named(tuple(SKINS), " skin"),
        background=named(tuple(BACKGROUNDS), " background"),
        body=named(BODIES, " body"),
        top=named(TOPS) or ("none" if is_complete else None),
        eyes=named(EYES),
    )


def signature_of(oc: object) -> Signature:
    """The signature of an OC in any of the forms above."""
    if isinstance(oc, Signature):
        return oc
    if isinstance(oc, OriginalCharacter):
        return _character_signature(oc)
    parts = list(oc)
    is_colors = all(np.shape(part) == (3,) for part in parts)
    return signature_from_colors(parts) if is_colors else signature_from_references(parts)


@lru_cache(maxsize=16)
def _character_signature(oc: OriginalCharacter) -> Signature:
    return signature_from_references([picture for picture, _ in reference_images(oc)])


def identity(images: object, oc: object) -> float:
    """Share of the pictures that show the OC."""
    signature = signature_of(oc)
    return float(np.mean([carries(picture, signature) for picture in as_pictures(images)]))


def flexibility(images: object, captions: Sequence[str], oc: object) -> float:
    """Share of the pictures that show the OC in front of the background that their caption names."""
    signature, scores = signature_of(oc), []
    for picture, caption in zip(as_pictures(images), captions, strict=True):
        wanted = parse_caption(caption).background
        is_obeyed = wanted is None or read_picture(picture).background == wanted
        scores.append(is_obeyed and carries(picture, signature))
    return float(np.mean(scores))


def accuracy_by_attribute(images: object, captions: Sequence[str]) -> dict[str, float]:
    """Share of the pictures that have what their full caption says, by attribute."""
    readings = [read_picture(picture) for picture in as_pictures(images)]
    wishes = [parse_caption(caption, is_complete=True) for caption in captions]
    return {name: _share_right(name, readings, wishes) for name in ATTRIBUTES}


def _share_right(name: str, readings: Sequence[Reading], wishes: Sequence[Wanted]) -> float:
    pairs = [(getattr(r, name), getattr(w, name)) for r, w in zip(readings, wishes, strict=True)]
    told = [seen == wanted for seen, wanted in pairs if wanted is not None]
    return float(np.mean(told)) if told else float("nan")


def prior(images: object, captions: Sequence[str], base_images: object | None = None) -> float:
    """Mean accuracy over the attributes; with the base's own pictures of these captions, relative to theirs."""
    score = float(np.nanmean(list(accuracy_by_attribute(images, captions).values())))
    return score if base_images is None else score / max(1e-6, prior(base_images, captions))

"""Advice on training, from the strengths at which a LoRA is most similar to its references.

A LoRA should be right at strength 1. One that must be turned down learned too much or too fast, one that must be turned
up too little. With separate strengths this can be told for U-Net and text encoder separately.
"""

from collections.abc import Mapping, Sequence

from .layout import Cell

MIN_GAIN = 0.02
"""Similarity that another strength must gain over strength 1 to count."""


def strength_advice(
    scores: Mapping[Cell, float], lora: int, strengths: Sequence[float], text_strengths: Sequence[float | None]
) -> str:
    """A line about one LoRA, by its index in the cells; empty if strengths were not compared.

    `text_strengths` are None if the text encoder has the U-Net's.
    """
    means = _mean_by_strength(scores, lora)
    if len(means) < 2:
        return ""
    values = {pair: (strengths[pair[0]], text_strengths[pair[1]]) for pair in means}
    best = max(sorted(means), key=lambda pair: means[pair])
    unet, text = values[best]
    usual = next((pair for pair, value in values.items() if value in ((1.0, None), (1.0, 1.0))), None)
    if usual is None:
        return f"most like the references at {_name(unet, text)}; add 1 to see whether it is right where it should be"
    if means[best] - means[usual] < MIN_GAIN:
        return "right at strength 1, as it should be"
    return f"most like the references at {_name(unet, text)}, not at 1: {_remedy(unet, text)}"


def _mean_by_strength(scores: Mapping[Cell, float], lora: int) -> dict[tuple[int, int], float]:
    """Mean over the prompts, by indices of both strengths."""
    groups: dict[tuple[int, int], list[float]] = {}
    for cell, score in scores.items():
        if cell.lora == lora:
            groups.setdefault((cell.strength, cell.text_strength), []).append(score)
    return {pair: sum(values) / len(values) for pair, values in groups.items()}


def _name(unet: float, text: float | None) -> str:
    return f"strength {unet:g}" if text is None else f"U-Net {unet:g}, text encoder {text:g}"


def _remedy(unet: float, text: float | None) -> str:
    if text is None or unet == text:
        if unet < 1:
            return f"it learned too much; take an earlier step, or train with {unet:g} times the rate"
        return f"it learned too little; train on, or with {unet:g} times the rate"
    rates = (("U-Net's rate", unet), ("text encoder's rate", text))
    return "train with " + " and ".join(_times(name, factor) for name, factor in rates if factor != 1)


def _times(name: str, factor: float) -> str:
    if factor <= 0:
        return f"the {name} 0"
    words = {0.5: f"half the {name}", 2.0: f"twice the {name}"}
    return words.get(factor, f"{factor:g} times the {name}")

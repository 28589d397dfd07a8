"""What was measured, as tables in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from .measure import Measured
from .training import SETTINGS

Results = Mapping[str, Mapping[str, float]]
"""`Measured` as a mapping, by the key of the trial."""


def table(results: Results) -> str:
    """A table of the settings, then one of every training."""
    by_settings = {name: _of(results, name) for name in SETTINGS}
    lines = [
        "| settings | trainings | recognized, worst | seen: dB, below the VAE's, worst | unseen: the same"
        " | change of others, worst | s, longest |",
        "|---|---|---|---|---|---|---|",
        *(_summary(name, found) for name, found in by_settings.items() if found),
        "",
        "| settings | character | seed | recognized | seen dB | unseen dB | VAE dB | change of others | s |",
        "|---|---|---|---|---|---|---|---|---|",
        *(_row(name, Measured(**found)) for name, found in results.items()),
    ]
    return "\n".join(lines)


def _of(results: Results, settings: str) -> list[Measured]:
    return [Measured(**found) for name, found in results.items() if name.startswith(f"{settings} | ")]


def _summary(settings: str, found: Sequence[Measured]) -> str:
    known = [one.recognized for one in found]
    seen = _below([one.seen for one in found], [one.vae_seen for one in found])
    unseen = _below([one.unseen for one in found], [one.vae_unseen for one in found])
    prior, seconds = [one.prior for one in found], [one.seconds for one in found]
    return (
        f"| {settings} | {len(found)} | {statistics.mean(known):.2f}, {min(known):.2f} | {seen} | {unseen} "
        f"| {statistics.mean(prior):.1f}, {max(prior):.1f} | {statistics.mean(seconds):.0f}, {max(seconds):.0f} |"
    )


def _below(drawn: Sequence[float], vae: Sequence[float]) -> str:
    """Mean dB, the mean distance to the VAE's, and the largest."""
    gaps = [of_vae - of_drawn for of_drawn, of_vae in zip(drawn, vae, strict=True)]
    return f"{statistics.mean(drawn):.1f}, {statistics.mean(gaps):.1f}, {max(gaps):.1f}"


def _row(name: str, one: Measured) -> str:
    settings, kind, trigger, seed = name.split(" | ")
    return (
        f"| {settings} | {trigger} ({kind}) | {seed} | {one.recognized:.2f} | {one.seen:.1f} | {one.unseen:.1f} "
        f"| {one.vae_seen:.1f}, {one.vae_unseen:.1f} | {one.prior:.1f} | {one.seconds:.0f} |"
    )

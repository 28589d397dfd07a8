"""The charts of a run, drawn from its metrics: loss, loss by noise level, learning rates, norms."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from ..drawing.charts import Line, Panel, draw_panels
from ..drawing.paper import COLORS, faint
from .lines import read_lines

BANDS = ((0, 250), (250, 500), (500, 750), (750, 1000))
"""Timesteps [from, to), from little noise to much."""


def draw_run(metrics: Path, width: int, panel_height: int, is_log: bool) -> Image.Image:
    """All charts of a run, one below the other, without those that have no data."""
    lines = list(read_lines(metrics))
    steps = [line for line in lines if "loss" in line]
    panels = [
        _loss_panel(steps, [line for line in lines if "validation_loss" in line], is_log),
        _band_panel(steps, is_log),
        _rate_panel(steps),
        _norm_panel(steps),
    ]
    return draw_panels(panels, width, panel_height)


def smooth(values: Sequence[float], weight: float) -> list[float]:
    """Exponential moving average where each value weighs `weight` times the next; not biased toward the start."""
    total = count = 0.0
    smoothed: list[float] = []
    for value in values:
        total, count = total * weight + value, count * weight + 1.0
        smoothed.append(total / count)
    return smoothed


def smoothing_weight(num_points: int) -> float:
    """Smoothing weight that averages over about a twentieth of the points, 3 to 100."""
    return 1.0 - 1.0 / max(3.0, min(100.0, num_points / 20))


def _smooth_line(label: str, steps: Sequence[float], values: Sequence[float], color: tuple[int, int, int]) -> Line:
    return Line(label, steps, smooth(values, smoothing_weight(len(values))), color)


def _loss_panel(lines: list[dict[str, Any]], checks: list[dict[str, Any]], is_log: bool) -> Panel:
    steps, losses = [line["step"] for line in lines], [line["loss"] for line in lines]
    curves = [
        Line("each step", steps, losses, faint(COLORS[0]), 1),
        _smooth_line("smoothed", steps, losses, COLORS[0]),
    ]
    if checks:
        held_out = [line["validation_loss"] for line in checks]
        curves.append(Line("validation", [line["step"] for line in checks], held_out, COLORS[1]))
    return Panel("loss", curves, is_log)


def _band_panel(lines: list[dict[str, Any]], is_log: bool) -> Panel:
    curves: list[Line] = []
    for (low, high), color in zip(BANDS, COLORS, strict=False):
        found = [
            (line["step"], sample["loss"])
            for line in lines
            for sample in line.get("samples") or ()
            if low <= sample["timestep"] < high
        ]
        if found:
            steps, losses = zip(*found, strict=True)
            curves.append(_smooth_line(f"{low}-{high - 1}", steps, losses, color))
    return Panel("loss by timestep", curves, is_log)


def _rate_panel(lines: list[dict[str, Any]]) -> Panel:
    groups = list(dict.fromkeys(name for line in lines for name in line["learning_rates"]))
    curves = [
        Line(name, [line["step"] for line in lines], [line["learning_rates"].get(name, 0.0) for line in lines], color)
        for name, color in zip(groups, COLORS, strict=False)
    ]
    return Panel("learning rate (d x lr for adaptive optimizers)", curves)


def _norm_panel(lines: list[dict[str, Any]]) -> Panel:
    steps, norms = [line["step"] for line in lines], [line["grad_norm"] for line in lines]
    curves = [Line("gradient", steps, norms, faint(COLORS[0]), 1), _smooth_line("smoothed", steps, norms, COLORS[0])]
    scaled = [(line["step"], line["max_key_norm"]) for line in lines if line.get("max_key_norm") is not None]
    if scaled:
        curves.append(Line("largest module", [step for step, _ in scaled], [norm for _, norm in scaled], COLORS[1]))
    return Panel("norm", curves)

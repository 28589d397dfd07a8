"""A one-page report of a GPU's checks for issues, and the same as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from .checks import Check

WORDS = {True: "held", False: "**did not hold**", None: "not asked here"}


def page(card: dict[str, object], checks: Sequence[Check], minutes: float, mode: str) -> str:
    """Markdown."""
    about = [f"- {name}: {value}" for name, value in card.items() if value is not None]
    rows = [f"| {check.name} | {WORDS[check.held]} | {_figures(check)} |" for check in checks]
    failed = sum(check.held is False for check in checks)
    verdict = "All held." if not failed else f"{failed} of {len(checks)} did not hold."
    return "\n".join([
        "# LoRA Bakery on this card", "", *about, f"- {mode} checks, {minutes:.1f} minutes", "",
        verdict, "", "Cosines are to the gradients that the processor computes in float32.", "",
        "| check | | figures |", "| --- | --- | --- |", *rows, "",
    ])  # fmt: skip


def _figures(check: Check) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in check.figures.items())


def write(folder: Path, card: dict[str, object], checks: Sequence[Check], minutes: float, mode: str) -> str:
    """Writes both files; returns the page."""
    text = page(card, checks, minutes, mode)
    (folder / "gpu-report.md").write_text(text, encoding="utf-8")
    data = {"card": card, "mode": mode, "minutes": round(minutes, 2), "checks": [asdict(check) for check in checks]}
    (folder / "gpu-report.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return text

"""Bars of time and memory as an SVG that any browser shows, without a plotting library."""

from collections.abc import Sequence
from html import escape

WIDTH, LABEL_WIDTH, BAR_HEIGHT, GAP, TITLE_HEIGHT = 760, 230, 20, 8, 34
COLORS = {"pack": "#2a7a4b", "other": "#9aa3ab", "bound": "#c9b26b"}

Bar = tuple[str, float, str]
"""Label, value, text after the bar."""


def color(label: str) -> str:
    """Color of a bar, by what it stands for."""
    return COLORS["bound" if label.startswith("bound") else "pack" if "Bakery" in label else "other"]


def bar_chart(groups: Sequence[tuple[str, Sequence[Bar]]]) -> str:
    """Groups below each other, each with its own scale."""
    body: list[str] = []
    y = 0
    for title, bars in groups:
        y += TITLE_HEIGHT
        body.append(f'<text x="0" y="{y - 10}" font-weight="bold">{escape(title)}</text>')
        longest = max((value for _, value, _ in bars), default=1.0)
        for label, value, text in bars:
            length = max(2.0, (WIDTH - LABEL_WIDTH - 150) * value / longest)
            middle = y + BAR_HEIGHT * 0.72
            body.append(f'<text x="{LABEL_WIDTH - 8}" y="{middle:.0f}" text-anchor="end">{escape(label)}</text>')
            body.append(
                f'<rect x="{LABEL_WIDTH}" y="{y}" width="{length:.0f}" height="{BAR_HEIGHT}" fill="{color(label)}"/>'
            )
            body.append(f'<text x="{LABEL_WIDTH + length + 8:.0f}" y="{middle:.0f}">{escape(text)}</text>')
            y += BAR_HEIGHT + GAP
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        'font-family="sans-serif" font-size="13">'
    )
    return "\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *body, "</svg>", ""])

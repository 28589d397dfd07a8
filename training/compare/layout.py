"""Layout of a comparison: which LoRA, strength and prompt is in which cell of which page. No pictures here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from ..run.picks import shown

AXES = ("LoRA", "prompt", "strength", "text encoder")
"""`strength` is the U-Net's, and also the text encoders' unless they have strengths of their own."""
MAX_CELLS = 1000
NO_LORA = "no LoRA"


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture: indices of LoRA, prompt, strength and text-encoder strength."""

    lora: int
    prompt: int
    strength: int
    text_strength: int


@dataclass(frozen=True, slots=True)
class Page:
    """One grid."""

    title: str
    column_labels: tuple[str, ...]
    row_labels: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    """Rows of cells."""


def parse_numbers(text: str, name: str, low: float, high: float) -> list[float]:
    """Numbers separated by commas, spaces or line breaks, without repeats, in the given order.

    Raises:
        ValueError: An entry is not a number or not in low..high.
    """
    numbers: list[float] = []
    for word in text.replace(",", " ").replace(";", " ").split():
        try:
            number = float(word)
        except ValueError:
            raise ValueError(f"{name} must be numbers separated by commas, got {word[:20]!r}") from None
        if not low <= number <= high:
            raise ValueError(f"{name} must be {low:g} to {high:g}, got {word[:20]}")
        numbers.append(number)
    return list(dict.fromkeys(numbers))


def choose_steps(saved: Sequence[int], wanted: str, count: int) -> list[int]:
    """The wanted steps, or, without any, `count` evenly spaced ones that end with the last.

    Raises:
        ValueError: A wanted step is not saved, or none is.
    """
    if not saved:
        raise ValueError("run has no saved LoRA yet; train it first")
    steps = [int(step) for step in parse_numbers(wanted, "steps", 0, 1e9)]
    missing = [step for step in steps if step not in saved]
    if missing:
        raise ValueError(f"steps must be saved ones ({shown(list(saved))}), got {shown(missing)}")
    if steps:
        return steps
    number = min(count, len(saved))
    return [saved[-1 - (len(saved) - 1) * (number - 1 - i) // max(1, number - 1)] for i in range(number)]


def arrange(labels: Mapping[str, Sequence[str]], columns: str, rows: str) -> list[Page]:
    """Pages with all combinations; axes that are neither columns nor rows become pages.

    `labels` has those of every axis of `AXES`, at least one each.

    Raises:
        ValueError: Columns and rows are the same, or there would be too many pictures.
    """
    if columns == rows:
        raise ValueError(f"columns and rows must differ, got {columns!r} for both")
    num_cells = 1
    for name in AXES:
        num_cells *= len(labels[name])
    if num_cells > MAX_CELLS:
        raise ValueError(
            f"{num_cells} pictures are too many (at most {MAX_CELLS}); take fewer steps, strengths or prompts"
        )
    others = [name for name in AXES if name not in (columns, rows)]
    pages: list[Page] = []
    for fixed in product(*(range(len(labels[name])) for name in others)):
        place = dict(zip(others, fixed, strict=True))
        cells = tuple(
            tuple(_cell({**place, columns: column, rows: row}) for column in range(len(labels[columns])))
            for row in range(len(labels[rows]))
        )
        title = " · ".join(labels[name][index] for name, index in place.items() if len(labels[name]) > 1)
        pages.append(Page(title, tuple(labels[columns]), tuple(labels[rows]), cells))
    return pages


def _cell(place: Mapping[str, int]) -> Cell:
    return Cell(*(place[name] for name in AXES))


def best_lora(scores: Mapping[Cell, float]) -> int:
    """The LoRA whose best strength has the highest mean over the prompts; the first one of equals."""
    groups: dict[tuple[int, int, int], list[float]] = {}
    for cell, score in scores.items():
        groups.setdefault((cell.lora, cell.strength, cell.text_strength), []).append(score)
    means = {key: sum(values) / len(values) for key, values in groups.items()}
    return max(sorted(means), key=lambda key: means[key])[0]


def without_trigger(prompt: str, trigger: str) -> str:
    """The prompt without the tag or word."""
    tags = [tag.strip() for tag in prompt.split(",")]
    kept = [" ".join(word for word in tag.replace(trigger, " ").split()) for tag in tags]
    return ", ".join(tag for tag in kept if tag)

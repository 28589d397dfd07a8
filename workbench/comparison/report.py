"""docs/comparison.md and its picture, written from the results."""

import platform
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

import torch

from ..demo.scores import NUM_OTHER_CREATURES
from ..pocket.characters import CHARACTERS
from .contestants import CHARACTER, GROUPS
from .kitchen import CFG
from .page_rows import merged, spread, tables_of
from .rows import SCORES, Row, rows_of
from .schedule import next_trial
from .sheet import PICTURES, Panel, draw_sheet
from .shelf import Shelf
from .trial import Scale

PAGE, IMAGE = "comparison.md", "images/comparison.png"
"""Below the folder of the docs."""
NOTES = Path(__file__).with_name("notes.md")
"""What the figures mean, in words; placed above the tables."""
COLUMNS: tuple[tuple[str, ...], ...] = (("Algorithms",), ("Optimizers", "Rank"), ("Objectives",))
"""Tables by the column of the picture that shows them."""
BEST = "**"
CHANCE = "What is noise"
CHANCE_NAMES = ("identity", "flexibility", "prior", "held-out loss")
MB = 1e6


def write_report(shelf: Shelf, scale: Scale, docs: Path) -> None:
    """Write page and picture into a folder, from what is there; rows that the shelf lacks stay as the page has them.

    The picture is drawn again only if the shelf has every row that it shows.

    Raises:
        SystemExit: nothing is there.
    """
    page = docs / PAGE
    kept = tables_of(page.read_text(encoding="utf-8")) if page.is_file() else {}
    rows = {title: rows_of(contestants, scale, shelf.results) for title, contestants in GROUPS.items()}
    rows = {title: _to_write(found, kept.get(title, {}), scale, shelf) for title, found in rows.items()}
    tables = {
        title: merged(kept.get(title, {}), _lines(rows[title]), (row.name for row in contestants))
        for title, contestants in GROUPS.items()
    }
    tables = {title: lines for title, lines in tables.items() if lines}
    if not tables:
        raise SystemExit("Nothing was compared yet.")
    shown = [title for titles in COLUMNS for title in titles if title in tables]
    if shown and all(len(rows[title]) == len(tables[title]) for title in shown):
        (docs / IMAGE).parent.mkdir(parents=True, exist_ok=True)
        sheet = draw_sheet([panels for titles in COLUMNS if (panels := _panels(titles, rows, shelf))])
        sheet.save(docs / IMAGE, optimize=True)
    sections = [_opening(scale), chance(kept.get(CHANCE, {}), rows), NOTES.read_text(encoding="utf-8")]
    sections += [f"## {title}\n\n{_table(lines)}" for title, lines in tables.items()]
    page.write_text("\n\n".join(section.strip() for section in sections if section) + "\n", encoding="utf-8")


def _to_write(rows: Sequence[Row], kept: Mapping[str, str], scale: Scale, shelf: Shelf) -> list[Row]:
    """Rows that are new on the page, and complete ones: all rates, all seeds."""
    return [
        row
        for row in rows
        if row.contestant.name not in kept or next_trial([row.contestant], scale, shelf.results) is None
    ]


def _opening(scale: Scale) -> str:
    with_trigger, others = 3 * scale.num_pictures, NUM_OTHER_CREATURES * scale.num_pictures
    return f"""# Algorithms, optimizers and objectives compared

Written by `python dev.py compare` ({date.today().isoformat()}), torch {torch.__version__.partition("+")[0]} on
{platform.system()}, ComfyUI 0.30.0, CPU. Each row trains the demo's character ({CHARACTER}, 12 pictures) on the pocket
model ([workbench/pocket](../workbench/pocket/README.md)) for {scale.steps} steps of batch {scale.batch_size}. It
differs from the nodes' defaults only in what it names: rank 16, alpha 16, AdamW, constant rate, min-SNR 5, U-Net
alone; where no algorithm is named it is locon. The file is loaded by ComfyUI's own loader and
{with_trigger + others} pictures are
drawn (euler, {scale.sampling_steps} steps, cfg {CFG:g}), from the same noise for all.

- **identity**: share of the {with_trigger} pictures asked for with the trigger that show the character.
- **flexibility**: of those in front of the two backgrounds its dataset lacks, the share that shows both as asked.
- **prior**: how well {others} pictures of other creatures follow their captions, base model = 100 %.
- **held-out loss**: squared error on new drawings on the two unseen backgrounds, at fixed noise, base model =
  100 %. It is finer than the scores, which count pictures.
- **CPU s**: processor time of a step, one thread. Other programs ran too: ignore differences below a quarter.
- **file**: as float32, in the form ComfyUI reads; by default files are float16, half of it.
- Rows that were not measured again keep the figures they had.
- **rates**: mean of the three scores at each rate tried with the first seed; the best (bold) is the row's.

![A row a contestant; in each column the same prompt and noise]({IMAGE})

In the picture: * marks backgrounds the dataset lacks, "other" are creatures without the trigger."""


def chance(kept: Mapping[str, str], tables: Mapping[str, Sequence[Row]]) -> str:
    """How far seeds lie apart."""
    rows = {row.trial.key: row for found in tables.values() for row in found if len(row.seeds) > 1}
    new = {_setting(row): f"| {' | '.join((_setting(row), *_by_seed(row)))} |" for row in rows.values()}
    lines = list({**kept, **new}.values())
    if not lines:
        return ""
    most = (f"{spread(lines, column)} points of {name}" for column, name in enumerate(CHANCE_NAMES, 1))
    return (
        f"## {CHANCE}\n\nThe same with two or three seeds, which decide start weights, noise and order:\n\n"
        "| | identity % | flexibility % | prior % | held-out loss % |\n|---|---|---|---|---|\n"
        + "\n".join(lines)
        + f"\n\nSo one seed differs from another by up to {', '.join(most)}. Smaller differences between rows of one "
        "seed mean nothing. Rows with several seeds show their mean."
    )


def _setting(row: Row) -> str:
    return f"{row.contestant.name}, rate {row.trial.rate:g}"


def _by_seed(row: Row) -> list[str]:
    return [", ".join(f"{100 * float(result[name]):.0f}" for result in row.seeds) for name in SCORES]


def _table(lines: Sequence[str]) -> str:
    head = "| | rate | identity | flexibility | prior | held-out loss | CPU s | file MB | rates |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|", *lines])


def _lines(rows: Sequence[Row]) -> dict[str, str]:
    """A row a contestant, by its name."""
    found: dict[str, str] = {}
    for row in rows:
        texts = [
            row.contestant.name + (f" ({len(row.seeds)} seeds)" if len(row.seeds) > 1 else ""),
            f"{row.trial.rate:g}",
            *(f"{row.mean(name):.0%}" for name in SCORES),
            f"{row.mean('cpu_s_per_step'):.2f}",
            f"{row.mean('file_bytes') / MB:.1f}",
            _rates(row),
        ]
        found[row.contestant.name] = f"| {' | '.join(texts)} |"
    return found


def _rates(row: Row) -> str:
    if len(row.tried) < 2:
        return ""

    def text(rate: float, score: float | None) -> str:
        mark = BEST if rate == row.trial.rate else ""
        return f"{mark}{rate:g}: {'failed' if score is None else f'{score:.0%}'}{mark}"

    return ", ".join(text(rate, score) for rate, score in row.tried)


def _panels(titles: Sequence[str], tables: Mapping[str, Sequence[Row]], shelf: Shelf) -> list[Panel]:
    panels = []
    for title in titles:
        for trigger, rows in groupby(tables.get(title, []), key=lambda row: row.contestant.character):
            base = ("base model", "no LoRA", shelf.pictures(f"base {trigger}"))
            shown = [(row.contestant.name, f"rate {row.trial.rate:g}", shelf.pictures(row.trial.name)) for row in rows]
            panels.append(Panel(title, _column_titles(trigger), (base, *shown)))
    return panels


def _column_titles(trigger: str) -> tuple[str, ...]:
    character = CHARACTERS[trigger]
    asked = (character.seen_backgrounds[0], *character.unseen_backgrounds[:2])
    names = [f"{asked[prompt]}" if prompt < len(asked) else "other" for prompt, _ in PICTURES]
    return tuple(f"{name}*" if name in asked[1:] else name for name in names)

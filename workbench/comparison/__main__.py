"""Compares algorithms, optimizers and objectives on the small test model: `python dev.py compare [--only NAME ...]`.

Every contestant trains the demo's character and gets the demo's scores. Results are kept in .cache/comparison, trial by
trial, so that a call continues where the last one stopped; docs/comparison.md is written from them. `--quick` runs a
few steps of a few contestants and writes nothing into the repository.

`--recipes [TEXT ...]` instead runs what Recipe chooses, with several learning rates, for `--steps`, and prints a table;
with texts, only rows whose names contain all of them.

`--characters N` trains characters nobody tuned for, with defaults (`workbench/outsiders`).
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ...tests.support.inprocess import import_comfyui
from ...tests.support.paths import CACHE, ROOT, comfyui_folder
from ..outsiders.compare import main as compare_outsiders
from .contestants import GROUPS, Contestant
from .kitchen import Kitchen
from .recipes import RECIPES, recipe_table
from .report import write_report
from .schedule import next_trial
from .shelf import Shelf
from .trial import Result, Scale, Trial

FOLDER = CACHE / "comparison"
QUICK = Scale(steps=4, num_pictures=1, sampling_steps=4)
QUICK_NAMES = ("lora", "Prodigy", "plain")


def main() -> int:
    """Run what is missing, then write the page."""
    if any(argument.startswith("--characters") for argument in sys.argv[1:]):
        return compare_outsiders()
    parser = argparse.ArgumentParser(prog="dev.py compare", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few steps of a few contestants, nothing is written")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these tables or rows only; none: just the report")
    parser.add_argument("--list", action="store_true", help="name tables and rows")
    parser.add_argument("--recipes", nargs="*", metavar="TEXT", help="what Recipe chooses, with several rates")
    parser.add_argument("--steps", type=int, default=Scale().steps, help="of --recipes")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{title}: {', '.join(row.name for row in rows)}" for title, rows in GROUPS.items()))
        return 0
    if options.quick:
        with tempfile.TemporaryDirectory(prefix="comparison-", dir=CACHE) as folder:
            run(Shelf(Path(folder)), lambda: kitchen_in(Path(folder) / "comfyui", QUICK), chosen(QUICK_NAMES), QUICK)
        return 0
    shelf, scale = Shelf(FOLDER), Scale()
    if options.recipes is not None:
        scale = Scale(steps=options.steps)
        rows = [row for row in RECIPES if all(text in row.name for text in options.recipes)]
        run(shelf, lambda: kitchen_in(FOLDER / "comfyui", scale), rows, scale)
        print(recipe_table(shelf.results, scale))
        return 0
    run(shelf, lambda: kitchen_in(FOLDER / "comfyui", scale), chosen(options.only), scale)
    write_report(shelf, scale, ROOT / "docs")
    return 0


def chosen(names: Sequence[str] | None) -> list[Contestant]:
    """Contestants by the name of their row or table; all of them for None.

    Raises:
        SystemExit: a name is not known.
    """
    known = {*GROUPS, *(row.name for rows in GROUPS.values() for row in rows)}
    if wrong := set(names or ()) - known:
        raise SystemExit(f"There is no {', '.join(sorted(wrong))}; --list names all tables and rows.")
    return [row for title, rows in GROUPS.items() for row in rows if names is None or {title, row.name} & set(names)]


def run(shelf: Shelf, open_kitchen: Callable[[], Kitchen], contestants: Sequence[Contestant], scale: Scale) -> None:
    """Train and score what the shelf lacks; without anything to do, ComfyUI is not started."""
    kitchen = None
    while (trial := next_trial(contestants, scale, shelf.results)) is not None:
        kitchen = kitchen or open_kitchen()
        started = time.monotonic()
        result, pictures = kitchen.bake(trial)
        trigger = trial.contestant.character
        shelf.add_pictures(f"base {trigger}", kitchen.base_pictures(trigger))
        shelf.add(trial, result, pictures)
        print(describe(trial, result, time.monotonic() - started), flush=True)


def kitchen_in(base: Path, scale: Scale) -> Kitchen:
    """Import ComfyUI with folders of its own; possible once per process."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    return Kitchen(import_comfyui(comfyui, base, [("use_pytorch_cross_attention", True)]), scale)


def describe(trial: Trial, result: Result, seconds: float) -> str:
    """A line about what was done."""
    name = f"{trial.contestant.name:34} rate {trial.rate:<8g} seed {trial.seed} {seconds:5.0f} s "
    if "error" in result:
        return f"{name} {result['error']}"
    figures = [f"{key} {result[key]:.3f}" for key in ("identity", "flexibility", "prior", "held_out_loss")]
    return f"{name} {'  '.join(figures)}  {result['cpu_s_per_step'] or 0:.3f} CPU s/step"


if __name__ == "__main__":
    sys.exit(main())

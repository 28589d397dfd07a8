"""The page of the comparison, written from a shelf that has only some of its rows."""

from pack.workbench.comparison.__main__ import chosen
from pack.workbench.comparison.page_rows import tables_of
from pack.workbench.comparison.report import CHANCE, PAGE, write_report
from pack.workbench.comparison.shelf import Shelf
from pack.workbench.comparison.trial import Scale, Trial

SCALE = Scale(steps=3)
PAGE_BEFORE = """# Algorithms

## What is noise

| | identity % | flexibility % | prior % | held-out loss % |
|---|---|---|---|---|
| locon, rate 0.002 | 100, 90 | 100, 50 | 97, 93 | 25, 27 |

## Algorithms

| | rate | identity |
|---|---|---|
| lora (2 seeds) | 0.0005 | 27% |
| locon (2 seeds) | 0.002 | 100% |
| what is no contestant any more | 1 | 3% |

## Optimizers

| | rate | identity |
|---|---|---|
| CAME | 0.0001 | 99% |
"""


def add(shelf, name, rates, seeds):
    (contestant,) = chosen([name])
    for rate in rates:
        for seed in seeds if rate == rates[0] else (1,):
            score = (0.8 if rate == rates[0] else 0.1) - 0.1 * (seed - 1)
            figures = {"identity": score, "flexibility": 0.2, "prior": 0.9, "held_out_loss": 0.3}
            trial = Trial(contestant=contestant, rate=rate, seed=seed, scale=SCALE)
            shelf.add(trial, {**figures, "cpu_s_per_step": 1.0, "file_bytes": 1e6}, {})


def test_rows_that_the_shelf_lacks_stay_and_complete_ones_are_written(tmp_path):
    (tmp_path / PAGE).write_text(PAGE_BEFORE, encoding="utf-8")
    shelf = Shelf(tmp_path / "shelf")
    add(shelf, "its mask", (2e-3,), (1, 2))
    add(shelf, "lora", (1e-3, 5e-4, 2e-3), (1, 2, 3))
    add(shelf, "locon", (1e-3,), (1,))  # one of its rates: the page has more
    write_report(shelf, SCALE, tmp_path)
    tables = tables_of((tmp_path / PAGE).read_text(encoding="utf-8"))
    assert list(tables["Algorithms"]) == ["lora", "locon"]
    assert tables["Algorithms"]["lora"].startswith("| lora (3 seeds) | 0.001 | 70% |")
    assert tables["Algorithms"]["locon"] == "| locon (2 seeds) | 0.002 | 100% |"
    assert list(tables["Optimizers"]) == ["AdamW", "CAME"] and "99%" in tables["Optimizers"]["CAME"]
    assert tables["Masks"]["its mask"].startswith("| its mask (2 seeds) | 0.002 | 75% |")
    assert set(tables[CHANCE]) == {"locon, rate 0.002", "lora, rate 0.001", "its mask, rate 0.002"}
    assert "up to 20 points of identity, 50 points of flexibility" in (tmp_path / PAGE).read_text(encoding="utf-8")
    assert not (tmp_path / "images").exists(), "pictures of the rows that stay are not there"


def test_writing_it_twice_changes_nothing(tmp_path):
    (tmp_path / PAGE).write_text(PAGE_BEFORE, encoding="utf-8")
    shelf = Shelf(tmp_path / "shelf")
    add(shelf, "its mask", (2e-3,), (1, 2))
    write_report(shelf, SCALE, tmp_path)
    first = (tmp_path / PAGE).read_text(encoding="utf-8")
    write_report(shelf, SCALE, tmp_path)
    assert (tmp_path / PAGE).read_text(encoding="utf-8") == first

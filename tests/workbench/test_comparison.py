"""The comparison end to end in a few steps, and which trials it chooses."""

import json

import pytest
from pack.training.recipes import RecipeRequest, make_recipe
from pack.workbench.comparison.__main__ import chosen, run
from pack.workbench.comparison.contestants import GROUPS, Contestant
from pack.workbench.comparison.kitchen import Kitchen
from pack.workbench.comparison.recipes import RECIPES, recipe_table
from pack.workbench.comparison.report import IMAGE, PAGE, write_report
from pack.workbench.comparison.rows import rows_of
from pack.workbench.comparison.schedule import best_trial, next_trial
from pack.workbench.comparison.shelf import Shelf
from pack.workbench.comparison.trial import Scale, Trial
from PIL import Image

SCALE = Scale(steps=3, batch_size=2, num_pictures=2, sampling_steps=2)


def trial(contestant, rate, seed=1):
    return Trial(contestant=contestant, rate=rate, seed=seed, scale=SCALE)


def outcome(score, loss=0.5):
    return {"identity": score, "flexibility": score, "prior": score, "held_out_loss": loss}


def test_rates_are_tried_in_turn_then_seeds_of_the_best():
    contestant = Contestant(name="x", rates=(1e-3, 2e-3, 4e-3), num_seeds=3)
    results, order = {}, []
    scores = {1e-3: outcome(0.5), 2e-3: outcome(0.9, 0.4), 4e-3: outcome(0.9, 0.3)}
    while (found := next_trial([contestant], SCALE, results)) is not None:
        order.append((found.rate, found.seed))
        results[found.key] = scores[found.rate]
    assert order == [(1e-3, 1), (2e-3, 1), (4e-3, 1), (4e-3, 2), (4e-3, 3)]
    (row,) = rows_of([contestant], SCALE, results)
    assert row.trial.rate == 4e-3 and len(row.seeds) == 3
    assert row.tried == ((1e-3, 0.5), (2e-3, pytest.approx(0.9)), (4e-3, pytest.approx(0.9)))


def test_a_rate_that_failed_never_counts_and_a_contestant_that_failed_has_no_row():
    contestant = Contestant(name="x", rates=(1e-3, 2e-3))
    results = {trial(contestant, 1e-3).key: outcome(0.1), trial(contestant, 2e-3).key: {"error": "diverged"}}
    found = best_trial(contestant, SCALE, results)
    assert found is not None and found.rate == 1e-3
    (row,) = rows_of([contestant], SCALE, results)
    assert row.tried[1] == (2e-3, None)
    assert not rows_of([Contestant(name="y", rates=(2e-3,))], SCALE, results)


def test_contestants_alike_in_all_but_their_name_share_a_trial():
    locon, adamw, plain = chosen(["locon"])[0], chosen(["AdamW"])[0], chosen(["plain"])[0]
    assert trial(locon, 1e-3).key == trial(adamw, 1e-3).key != trial(plain, 1e-3).key
    assert trial(locon, 1e-3).name != trial(locon, 1e-3, seed=2).name


def test_names_are_unique_and_wrong_ones_refused():
    names = [row.name for rows in GROUPS.values() for row in rows]
    assert len({*names, *GROUPS}) == len(names) + len(GROUPS)
    with pytest.raises(SystemExit, match="no lorra"):
        chosen(["lora", "lorra"])


def test_recipes_hold_what_the_recipe_chooses_and_failures_are_in_their_table():
    chosen_one = make_recipe(RecipeRequest(subject="character B", text_encoder="frozen"))
    rows = [row for row in RECIPES if row.optimizer.get("arguments") == chosen_one.optimizer.arguments]
    assert any(row.network["rank"] == chosen_one.network.rank and row.network["alpha"] == 1.0 for row in rows)
    for subject, algorithm in (("character B", "lokr"), ("style", "ia3")):
        network = make_recipe(RecipeRequest(subject=subject, algorithm=algorithm)).network
        wanted = {"algorithm": algorithm, "rank": network.rank, "alpha": network.alpha}
        assert any(row.network == wanted and not row.optimizer for row in RECIPES), "its fixed rates are not run"
    results = {trial(RECIPES[0], 1.0).key: outcome(0.5), trial(RECIPES[1], 1.0).key: {"error": "training diverged"}}
    table = recipe_table(results, SCALE)
    assert table.count("\n") == 3 and "d_coef 1 | 50% | 50% | 50% | 50% |" in table and "d_coef 2 | diverged |" in table


@pytest.mark.comfy
@pytest.mark.full
def test_trains_scores_keeps_and_reports(comfy, pocket_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(comfy.server, "send_sync", comfy.server.send_sync)  # put back afterwards
    contestants = [*chosen(["lora"]), *chosen(["regularization images"])]
    contestants = [Contestant(**{**as_inputs(one), "rates": one.rates[:1], "num_seeds": 1}) for one in contestants]
    shelf = Shelf(tmp_path / "kept")
    run(shelf, lambda: Kitchen(comfy, SCALE), contestants, SCALE)
    results = json.loads((tmp_path / "kept" / "results.json").read_text())
    assert len(results) == len(contestants) and not any("error" in result for result in results.values())
    for result in results.values():
        assert 0 < result["held_out_loss"] < 2 and result["file_bytes"] > 10_000
        assert all(0 <= result[name] <= 1.5 for name in ("identity", "flexibility", "prior"))
    base = shelf.pictures("base zorblax")
    assert all(shelf.pictures(trial(one, one.rates[0]).name).tobytes() != base.tobytes() for one in contestants)
    assert not list((comfy.base / "output" / "loras").glob(trial(contestants[0], 1e-3).name))  # cleared away

    def no_kitchen():
        raise AssertionError("everything is there")

    run(Shelf(tmp_path / "kept"), no_kitchen, contestants, SCALE)
    write_report(Shelf(tmp_path / "kept"), SCALE, tmp_path)
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert "| lora | 0.001 |" in page and "regularization images" in page
    with Image.open(tmp_path / IMAGE) as picture:
        assert picture.height >= 3 * 64
    assert "identity" in capsys.readouterr().out


def as_inputs(contestant):
    return {name: getattr(contestant, name) for name in Contestant.__dataclass_fields__}

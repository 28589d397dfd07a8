"""What a LoRA changes in other subjects, beside what it changes where it is asked for."""

import re
from pathlib import Path

import pytest
import torch
from pack.training.compare.overfit import OVERFIT, change, share_of_others


def flat(red, green, blue):
    return torch.tensor([red, green, blue]).expand(16, 16, 3)


def test_change_is_of_colors_and_edges_and_a_mean():
    red, blue = flat(1.0, 0.0, 0.0), flat(0.0, 0.0, 1.0)
    assert change([red, blue], [red, blue]) == pytest.approx(0, abs=1e-6)
    whole = change([red], [blue])
    assert whole > 0.4
    assert change([red, red], [red, blue]) == pytest.approx(whole / 2, abs=1e-6)


def test_share_of_others_is_said_where_enough_is_changed():
    assert share_of_others(0.2, 0.05) == pytest.approx(0.25)
    assert share_of_others(0.2, 0.5) == 1.0
    assert share_of_others(0.01, 0.01) is None


def test_the_page_has_the_same_limit():
    text = (Path(__file__).resolve().parents[3] / "js" / "compare" / "compare_model.js").read_text(encoding="utf-8")
    assert float(re.search(r"OVERFIT = ([\d.]+);", text)[1]) == OVERFIT

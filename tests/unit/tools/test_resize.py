"""Resizing is optimal in the Frobenius norm, follows sd-scripts' rules, and can grow without change."""

import re

import pytest
import torch
from pack.tests.unit.tools.loras import CONV, FROM_FILE_ALONE, IN, NAME, OUT, draw, low_rank, named, of_algorithm
from pack.training.files.formats import split_modules
from pack.training.tools.deltas import delta_weight
from pack.training.tools.factors import approximate
from pack.training.tools.linear_algebra import top_svd
from pack.training.tools.ranks import RankChoice
from pack.training.tools.resize import resize


@pytest.mark.parametrize("algorithm", FROM_FILE_ALONE)
@pytest.mark.parametrize("rank", [1, 3, 20])
def test_equals_the_full_matrix_s_svd(algorithm: str, rank: int):
    parts = of_algorithm(algorithm)
    wanted = delta_weight(parts)
    best = float(torch.linalg.svdvals(wanted)[rank:].norm())
    resized, report = resize(named(NAME, parts), RankChoice(rank=rank))
    got = delta_weight(split_modules(resized)[NAME])
    assert float((got - wanted).norm()) == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert report.relative_error == pytest.approx(best / float(wanted.norm()), rel=1e-9, abs=1e-12)


def test_convolutions_have_their_own_rank():
    tensors = {**named(CONV, low_rank(8, kernel=3)), **named(NAME, low_rank(8))}
    resized, report = resize(tensors, RankChoice(rank=5, conv_rank=2))
    assert resized[f"{CONV}.lora_down.weight"].shape == (2, IN, 3, 3)
    assert resized[f"{CONV}.lora_up.weight"].shape == (OUT, 2, 1, 1)
    assert resized[f"{NAME}.lora_down.weight"].shape == (5, IN)
    assert {layer.rank_after for layer in report.layers} == {2, 5}
    assert report.bytes_after < report.bytes_before


@pytest.mark.parametrize(
    ("method", "threshold", "rank"),
    [
        ("sv_ratio", 3.0, 2),  # values above 8 / 3
        ("sv_ratio", 100.0, 4),
        ("sv_fro", 0.86, 1),  # 8 / sqrt(64 + 16 + 4 + 1) = 0.868, with 4: 0.970, with 2: 0.994
        ("sv_fro", 0.97, 2),
        ("sv_fro", 0.99, 3),
        ("sv_cumulative", 0.5, 1),  # 8 / 15 = 0.533, 12 / 15 = 0.8
        ("sv_cumulative", 0.8, 2),
        ("sv_cumulative", 1.0, 4),
    ],
)
def test_rules_for_the_rank(method: str, threshold: float, rank: int):
    up, down = torch.linalg.qr(draw(OUT, 4))[0], torch.linalg.qr(draw(IN, 4))[0].T
    values = torch.tensor([8.0, 4.0, 2.0, 1.0], dtype=torch.float64)
    parts = {"lora_up.weight": up * values, "lora_down.weight": down, "alpha": torch.tensor(4.0)}
    resized, _ = resize(named(NAME, parts), RankChoice(rank=16, method=method, threshold=threshold))
    assert resized[f"{NAME}.lora_down.weight"].shape[0] == rank


def test_the_rule_s_limit_holds():
    resized, _ = resize(named(NAME, low_rank(8)), RankChoice(rank=2, method="sv_fro", threshold=1.0))
    assert resized[f"{NAME}.lora_down.weight"].shape[0] == 2


def test_growing_changes_nothing_and_leaves_room_to_train():
    resized, report = resize(named(NAME, low_rank(4)), RankChoice(rank=10))
    parts = split_modules(resized)[NAME]
    assert torch.allclose(delta_weight(parts), delta_weight(low_rank(4)), atol=1e-12)
    assert parts["lora_down.weight"].shape == (10, IN)
    assert float(parts["alpha"]) == 10
    assert not parts["lora_up.weight"][:, 4:].any()
    assert parts["lora_down.weight"][4:].norm(dim=1).min() > 0.1
    assert report.relative_error < 1e-12


@pytest.mark.parametrize("rank", [3, 4, 10])
@pytest.mark.parametrize("num_dead", [2, 4])
def test_ranks_that_change_nothing_can_be_trained_afterwards(num_dead: int, rank: int):
    """An `up` that never moved from zero, in part or in all, must not leave both sides zero."""
    parts = low_rank(4)
    parts["lora_up.weight"][:, 4 - num_dead :] = 0
    resized = split_modules(resize(named(NAME, parts), RankChoice(rank=rank))[0])[NAME]
    assert torch.allclose(delta_weight(resized), delta_weight(parts), atol=1e-12)
    assert resized["lora_down.weight"].shape == (rank, IN)
    assert resized["lora_down.weight"].norm(dim=1).min() > 0.1


def test_what_changes_nothing_gets_the_smallest_rank():
    parts = low_rank(4) | {"lora_up.weight": torch.zeros(OUT, 4, dtype=torch.float64)}
    resized, _ = resize(named(NAME, parts), RankChoice(rank=16, method="sv_fro", threshold=0.9))
    assert resized[f"{NAME}.lora_down.weight"].shape == (1, IN)


def test_magnitudes_biases_and_norms_stay():
    dora = of_algorithm("dora")
    norm = {"lora_unet_x_norm1.w_norm": draw(5), "lora_unet_x_norm1.b_norm": draw(5)}
    resized, _ = resize({**named(NAME, dora), **named(CONV, of_algorithm("full")), **norm}, RankChoice(rank=2))
    assert torch.equal(resized[f"{NAME}.dora_scale"], dora["dora_scale"])
    assert torch.equal(resized[f"{CONV}.diff_b"], of_algorithm("full")["diff_b"])
    assert norm.items() <= resized.items()


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_type_of_the_result(dtype: torch.dtype | None):
    parts = {suffix: tensor.half() for suffix, tensor in low_rank().items()}
    resized, _ = resize(named(NAME, parts), RankChoice(rank=2), dtype)
    assert {tensor.dtype for tensor in resized.values()} == {dtype or torch.float16}


def test_small_changes_survive_half_precision():
    parts = low_rank(4, 4.0)
    parts["lora_up.weight"] *= 1e-6
    resized, _ = resize(named(NAME, parts), RankChoice(rank=4), torch.float16)
    wanted = delta_weight(parts)
    got = delta_weight({suffix: tensor.double() for suffix, tensor in split_modules(resized)[NAME].items()})
    assert float((got - wanted).norm() / wanted.norm()) < 2e-3


@pytest.mark.parametrize("rank", [4, 16, 32])
@pytest.mark.parametrize(
    ("kind", "per_mille"),
    [("falling fast", 0.001), ("falling", 0.01), ("falling slowly", 2.0), ("by a power", 0.1), ("noise", 2.0)],
)
def test_a_few_products_are_as_good_as_the_full_decomposition(kind: str, per_mille: float, rank: int):
    left, right = torch.linalg.qr(draw(600, 500))[0], torch.linalg.qr(draw(500, 500))[0]
    places = torch.arange(500, dtype=torch.float64)
    values = {
        "falling fast": 0.9**places,
        "falling": 0.97**places,
        "falling slowly": 0.995**places,
        "by a power": (1 + places) ** -0.5,
        "noise": torch.linalg.svdvals(draw(600, 500, seed=1)),
    }[kind]
    matrix = left * values @ right
    found = top_svd(matrix, rank)
    error = float((matrix - (found.left_OK * found.values_K) @ found.right_KI).norm())
    assert error <= (1 + per_mille / 1000) * float(values[rank:].norm())
    assert torch.equal(found.values_K, top_svd(matrix, rank).values_K)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["one element", "a few rows", "a few columns", "scattered", "low rank", "zeros"])
def test_less_rank_than_asked_for_is_found_exactly(kind: str, dtype: torch.dtype):
    """As where a fine-tune left most of a layer alone: nothing is counted twice."""
    dense = draw(600, 500).to(dtype)
    rows, columns = torch.arange(600)[:, None], torch.arange(500)
    matrix = {
        "one element": dense * ((rows == 5) & (columns == 7)),
        "a few rows": dense * (rows < 10),
        "a few columns": dense * (columns % 60 == 0),
        "scattered": dense * ((rows % 50 == 3) & (columns % 7 == 2)),
        "low rank": dense[:, :4] @ dense[:4],
        "zeros": dense * 0,
    }[kind]
    found, error, norm = approximate(matrix, RankChoice(rank=16), (600, 500))
    lacking = float((matrix - found.matrix()).norm())
    assert lacking <= 1e-5 * float(matrix.norm())
    assert error == pytest.approx(lacking, abs=1e-5 * norm)


@pytest.mark.parametrize("lacking", [0.5, 0.05, 1e-3, 1e-5])
def test_the_error_is_said_right_however_small(lacking: float):
    """In float32, of a matrix whose rank-16 part is known and whose rest is of a known size."""
    left, right = torch.linalg.qr(draw(600, 500))[0], torch.linalg.qr(draw(500, 500))[0]
    values = torch.cat([torch.full((16,), 0.25), torch.full((484,), lacking / 22)]).double()
    _, error, norm = approximate((left * values @ right).float(), RankChoice(rank=16), (600, 500))
    assert norm == pytest.approx(float(values.norm()), rel=1e-5)
    assert error == pytest.approx(float(values[16:].norm()), rel=1e-2 if lacking > 1e-4 else 0.1)


@pytest.mark.parametrize(("dtype", "name"), [(torch.float16, "fp16"), (torch.bfloat16, "bf16"), (torch.float32, "")])
def test_the_report_says_what_rounding_adds(dtype: torch.dtype, name: str):
    """Of the size that it is: the same ranks, exact but for the type."""
    parts = {"lora_up.weight": draw(600, 4), "lora_down.weight": draw(4, 500), "alpha": torch.tensor(4.0)}
    resized, report = resize(named(NAME, parts), RankChoice(rank=4), dtype)
    wanted = delta_weight(parts)
    lacking = float((delta_weight(split_modules(resized)[NAME]).double() - wanted).norm() / wanted.norm())
    notes = [note for note in report.notes if "rounding to" in note]
    if not name:
        assert not notes
        return
    (note,) = notes
    found = re.search(rf"before rounding to {name}, which adds about ([\d.]+)%", note)
    assert found is not None
    assert lacking == pytest.approx(float(found[1]) / 100, rel=0.3)


def test_a_change_that_needs_the_base_is_refused():
    with pytest.raises(ValueError, match="weight.*oft.*base model"):
        resize(named(NAME, of_algorithm("oft")), RankChoice(rank=2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"conv_rank": -1}, "conv_rank must be at least 1, got -1"),
        ({"method": "sv_ratio", "threshold": 0.9}, "threshold must be above 1 for sv_ratio, got 0.9"),
        ({"method": "sv_ratio", "threshold": float("nan")}, "threshold must be above 1 for sv_ratio, got nan"),
        ({"method": "sv_fro", "threshold": 2.0}, "threshold must be above 0 and at most 1 for sv_fro, got 2.0"),
    ],
)
def test_refuses_by_name(settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        RankChoice(**settings)

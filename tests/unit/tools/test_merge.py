"""A merged LoRA changes the weight by the weighted sum of the changes: float64, full matrices, every pair."""

import itertools
import math

import pytest
import torch
from pack.tests.support.cases import combined, pairs
from pack.tests.unit.tools.loras import (
    ALGORITHMS,
    CONV,
    FROM_FILE_ALONE,
    IN,
    NAME,
    OUT,
    TEXT,
    draw,
    low_rank,
    named,
    of_algorithm,
)
from pack.training.files.formats import split_modules
from pack.training.tools.deltas import delta_weight, needs_weight
from pack.training.tools.factors import Factors
from pack.training.tools.inspection import inspect_lora
from pack.training.tools.merge import MergeSettings, merge
from pack.training.tools.ranks import RankChoice
from pack.training.tools.resize import resize
from pack.training.tools.strengths import Strengths, block_of_name
from pack.training.tools.task_vectors import dare, smallest_kept, ties

EXACT = MergeSettings(dtype=torch.float64)
FULL_RANK = MergeSettings(dtype=torch.float64, choice=RankChoice(rank=20))


def change(parts: dict[str, torch.Tensor], weight: torch.Tensor | None = None) -> torch.Tensor:
    return delta_weight(parts, weight)


def close(got: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-9):
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance * float(expected.abs().max()))


@pytest.mark.parametrize(("one", "two"), pairs(ALGORITHMS))
def test_every_pair_sums(one: str, two: str):
    weight = draw(OUT, IN, seed=9)
    first, second = of_algorithm(one, seed=1), of_algorithm(two, seed=2)
    expected = 0.7 * change(first, weight) - 1.3 * change(second, weight)
    pair = [(named(NAME, first), Strengths(unet=0.7)), (named(NAME, second), Strengths(unet=-1.3))]
    merged, report = merge(pair, "sd15", FULL_RANK, lambda name: weight)
    close(change(split_modules(merged)[NAME]), expected, 1e-5 if {"oft", "boft"} & {one, two} else 1e-9)
    assert report.relative_error < 1e-9


@pytest.mark.parametrize(("one", "two"), pairs(FROM_FILE_ALONE))
def test_without_a_rank_the_result_is_exact_or_says_by_how_much_not(one: str, two: str):
    first, second = of_algorithm(one, seed=1), of_algorithm(two, seed=2)
    expected = change(first) + change(second)
    merged, report = merge([(named(NAME, first), Strengths()), (named(NAME, second), Strengths())], "sd15", EXACT)
    lacking = float((change(split_modules(merged)[NAME]) - expected).norm())
    assert lacking == pytest.approx(report.layers[0].error, abs=1e-9)
    if {one, two} <= {"lora"} or one == two == "full":
        assert lacking < 1e-12
    else:
        assert report.relative_error < 0.05


def test_the_automatic_rank_s_limit_is_said():
    """A full change of many ranks among low-rank ones: nearer only with a rank, which the report tells."""
    full = {"diff": draw(300, 280)}
    thin = {"lora_up.weight": draw(300, 4), "lora_down.weight": draw(4, 280), "alpha": torch.tensor(4.0)}
    pair = [(named(NAME, parts), Strengths()) for parts in (full, thin)]
    _, report = merge(pair, "sd15", MergeSettings())
    assert any("1 modules need more than rank 128" in note for note in report.notes)
    assert report.relative_error > 0.05
    _, wider = merge(pair, "sd15", MergeSettings(choice=RankChoice(rank=280)))
    assert not wider.notes
    assert wider.relative_error < 1e-6
    _, thin_only = merge([pair[1]], "sd15", MergeSettings(method="ties", density=1.0))
    assert not thin_only.notes, "99.9 % of the norm with fewer ranks"


def test_low_rank_is_concatenated_not_refactored():
    """One LoRA at 0.5 is half of it, two are their sum: no strength counted twice, no cross terms, no alpha kept."""
    first, second = low_rank(4, 1.0, seed=1), low_rank(3, 6.0, seed=5)
    half, report = merge([(named(NAME, first), Strengths(unet=0.5))], "sd15", EXACT)
    close(change(split_modules(half)[NAME]), 0.5 * change(first))
    both, report = merge([(named(NAME, first), Strengths()), (named(NAME, second), Strengths())], "sd15", EXACT)
    parts = split_modules(both)[NAME]
    close(change(parts), change(first) + change(second))
    assert parts["lora_down.weight"].shape[0] == 7 == float(parts["alpha"])
    power = parts["lora_down.weight"][0, 0] / first["lora_down.weight"][0, 0]
    assert torch.equal(parts["lora_down.weight"][:4], power * first["lora_down.weight"])
    assert math.frexp(float(power))[0] == 0.5, "a power of two, which leaves every digit"
    assert report.relative_error == 0


@pytest.mark.parametrize("strength", [1.0, -0.01])
def test_a_small_scale_survives_half_precision(strength: float):
    """Alpha 1 of rank 16 and an `up` of little training, as many LoRAs of kohya's defaults have it."""
    parts = {suffix: tensor.half() for suffix, tensor in low_rank(16, 1.0).items()}
    parts["lora_up.weight"] = (low_rank(16, 1.0)["lora_up.weight"] * 1e-3).half()
    merged, _ = merge([(named(NAME, parts), Strengths(unet=strength))], "sd15", MergeSettings(dtype=torch.float16))
    wanted = strength * change(parts)
    assert float((change(split_modules(merged)[NAME]) - wanted).norm() / wanted.norm()) < 1e-3


def test_more_rank_than_the_weight_has_is_cut_without_loss():
    loras = [(named(NAME, low_rank(8, seed=seed)), Strengths()) for seed in range(0, 8, 2)]
    merged, report = merge(loras, "sd15", EXACT)
    parts = split_modules(merged)[NAME]
    assert parts["lora_down.weight"].shape[0] == IN
    close(change(parts), sum(change(low_rank(8, seed=seed)) for seed in range(0, 8, 2)))


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_rank_gives_the_best_approximation(kernel: int):
    first, second = low_rank(4, kernel=kernel, seed=1), low_rank(5, kernel=kernel, seed=3)
    name = CONV if kernel == 3 else NAME
    settings = MergeSettings(dtype=torch.float64, choice=RankChoice(rank=3))
    merged, report = merge([(named(name, first), Strengths()), (named(name, second), Strengths())], "sd15", settings)
    wanted = (change(first) + change(second)).flatten(1)
    best = float(torch.linalg.svdvals(wanted)[3:].norm())
    parts = split_modules(merged)[name]
    assert parts["lora_down.weight"].shape == (3, IN, *((3, 3) if kernel == 3 else ()))
    assert float((change(parts).flatten(1) - wanted).norm()) == pytest.approx(best, rel=1e-9)
    assert report.layers[0].error == pytest.approx(best, rel=1e-9)


def test_parts_and_blocks_have_their_own_strength():
    deep = "lora_unet_up_blocks_3_attentions_2_proj_in"
    tensors = {**named(NAME, low_rank()), **named(TEXT, low_rank()), **named(deep, low_rank())}
    strengths = Strengths(unet=2.0, text_encoder=3.0, blocks="BASE:0.5,IN01:0.25,OUT11:0")
    merged, _ = merge([(tensors, strengths)], "sd15", EXACT)
    modules = split_modules(merged)
    close(change(modules[NAME]), 2.0 * 0.25 * change(low_rank()))
    close(change(modules[TEXT]), 3.0 * 0.5 * change(low_rank()))
    assert deep not in modules


@pytest.mark.parametrize(
    "blocks", ["BASE:-0.5, IN01:-0.25, OUT:-3", ",".join(["-0.5", "-0.25", *["1"] * 11, *["-3"] * 4])]
)
def test_blocks_turn_a_change_round(blocks: str):
    """By name or as LBW's 17 numbers: exact, and turned twice it is as before."""
    deep = "lora_unet_up_blocks_3_attentions_2_proj_in"
    tensors = {**named(NAME, low_rank()), **named(TEXT, low_rank()), **named(deep, low_rank())}
    merged, _ = merge([(tensors, Strengths(unet=-2.0, text_encoder=3.0, blocks=blocks))], "sd15", EXACT)
    modules = split_modules(merged)
    close(change(modules[NAME]), 0.5 * change(low_rank()), 1e-15)
    close(change(modules[TEXT]), -1.5 * change(low_rank()), 1e-15)
    close(change(modules[deep]), 6.0 * change(low_rank()), 1e-15)


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ({"blocks": "1,2,3"}, "got 3 values"),
        ({"blocks": "IN01:inf"}, "must hold numbers, got 'inf'"),
        ({"unet": float("nan")}, "strength of unet must be a number, got nan"),
    ],
)
def test_strengths_that_are_none_are_refused(strengths: dict, message: str):
    with pytest.raises(ValueError, match=message):
        Strengths(**strengths)


@pytest.mark.parametrize(
    ("name", "family", "block"),
    [
        ("lora_unet_down_blocks_0_attentions_1_proj_in", "sd15", "IN02"),
        ("lora_unet_down_blocks_1_downsamplers_0_conv", "sd15", "IN06"),
        ("lora_unet_mid_block_resnets_1_conv1", "sd15", "M00"),
        ("lora_unet_up_blocks_1_upsamplers_0_conv", "sd15", "OUT05"),
        ("lora_unet_input_blocks_8_1_proj_in", "sdxl", "IN08"),
        ("lora_unet_middle_block_2_in_layers_2", "sdxl", "M02"),
        ("lora_te2_text_model_encoder_layers_0_mlp_fc1", "sdxl", "BASE"),
        ("lora_unet_time_embedding_linear_1", "sd15", None),
    ],
)
def test_blocks_of_names(name: str, family: str, block: str | None):
    assert block_of_name(name, family) == block


def test_vectors_are_summed():
    norm = "lora_unet_down_blocks_0_resnets_0_norm1"
    one = {**named(NAME, of_algorithm("full", 1)), **named(norm, {"w_norm": draw(OUT), "b_norm": draw(OUT, seed=2)})}
    two = {**named(NAME, of_algorithm("full", 3)), **named(norm, {"w_norm": draw(OUT, seed=4)})}
    merged, _ = merge([(one, Strengths(unet=2.0)), (two, Strengths(unet=-1.0))], "sd15", EXACT)
    close(merged[f"{norm}.w_norm"], 2 * draw(OUT) - draw(OUT, seed=4), 1e-6)
    close(merged[f"{norm}.b_norm"], 2 * draw(OUT, seed=2), 1e-6)
    close(merged[f"{NAME}.diff_b"], 2 * one[f"{NAME}.diff_b"] - two[f"{NAME}.diff_b"], 1e-6)


def test_add_difference_is_first_plus_second_minus_third():
    three = [low_rank(seed=seed) for seed in (1, 3, 5)]
    settings = MergeSettings(method="add_difference", dtype=torch.float64)
    merged, _ = merge([(named(NAME, parts), Strengths()) for parts in three], "sd15", settings)
    close(change(split_modules(merged)[NAME]), change(three[0]) + change(three[1]) - change(three[2]))


def test_ties_keeps_what_agrees():
    """The worked case: trim to half, elect by sum, mean of those that agree."""
    changes = [torch.tensor([4.0, -3.0, 0.1, 0.2]), torch.tensor([2.0, 5.0, -0.3, 0.1])]
    assert torch.equal(ties(changes, 0.5), torch.tensor([3.0, 5.0, 0.0, 0.0]))


def test_ties_of_one_at_full_density_is_itself():
    parts = low_rank()
    settings = MergeSettings(method="ties", density=1.0, dtype=torch.float64, choice=RankChoice(rank=4))
    merged, report = merge([(named(NAME, parts), Strengths())], "sd15", settings)
    close(change(split_modules(merged)[NAME]), change(parts))


@pytest.mark.parametrize("num_loras", [1, 2, 3, 5])
@pytest.mark.parametrize("density", [0.01, 0.3, 0.5, 1.0])
def test_ties_is_the_paper_s_three_steps(num_loras: int, density: float):
    """Whole matrices in float64, each step as written, against the pieces in float32."""
    changes = [draw(300, 700, seed=seed) * (1 + seed) for seed in range(num_loras)]
    trimmed = []
    for one in changes:
        order = one.abs().flatten().argsort(descending=True)[: round(density * one.numel())]
        trimmed.append(torch.zeros(one.numel(), dtype=one.dtype).index_copy(0, order, one.flatten()[order]))
    stacked = torch.stack(trimmed)
    agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
    wanted = ((stacked * agree).sum(0) / agree.sum(0).clamp(min=1)).reshape(300, 700)
    torch.testing.assert_close(ties(changes, density), wanted, rtol=0, atol=1e-12)
    single = ties([one.float() for one in changes], density)
    # Rounding may turn an election that is nearly even, so a few elements differ.
    assert float((single.double() - wanted).norm() / wanted.norm()) < 1e-3


@pytest.mark.parametrize("method", ["ties", "dare"])
def test_rows_multiplied_out_are_those_of_the_full_changes(method: str):
    """More elements than a piece, low-rank and full changes together: the same as from matrices alone."""
    low = [Factors(draw(700, rank, seed=rank), draw(rank, 900, seed=rank + 1), (700, 900)) for rank in (4, 9)]
    full = [low[0].matrix(), low[1].matrix(), draw(700, 900)]

    def merged(changes: list) -> torch.Tensor:
        return ties(changes, 0.3) if method == "ties" else dare(changes, 0.3, seed=1, module="a")

    # Equal up to rounding, which decides nothing here: no two float64 magnitudes are so near to each other.
    close(merged([*low, full[2]]), merged(full), 1e-12)


def test_a_merge_of_low_rank_files_trims_what_they_change():
    """Whole files, strengths and scales included, against the worked steps on full matrices."""
    first, second = low_rank(4, 1.0, seed=1), low_rank(3, 6.0, seed=5)
    settings = MergeSettings(method="ties", density=0.4, dtype=torch.float64, choice=RankChoice(rank=20))
    pair = [(named(NAME, first), Strengths(unet=0.7)), (named(NAME, second), Strengths(unet=-1.3))]
    merged, report = merge(pair, "sd15", settings)
    close(change(split_modules(merged)[NAME]), ties([0.7 * change(first), -1.3 * change(second)], 0.4))
    assert report.relative_error < 1e-9


DENSITIES = list(itertools.product((torch.float32, torch.float64), (1e-9, 0.01, 0.2, 0.5, 0.999, 1.0)))
KINDS = ("normal", "tiny and huge", "few values", "zeros", "one")


@pytest.mark.parametrize(("kind", "how"), combined(KINDS, DENSITIES, step=5))
def test_the_limit_of_trimming_is_that_of_a_full_sort(kind: str, how: tuple[torch.dtype, float]):
    dtype, density = how
    normal = draw(433, 701).to(dtype)
    change = {
        "normal": normal,
        "tiny and huge": normal * 10 ** (60 * normal).clamp(-30, 30),
        "few values": normal.mul(4).round(),
        "zeros": normal * (normal > 0.3),
        "one": normal[:1, :1],
    }[kind].T
    wanted = change.abs().flatten().sort(descending=True).values[max(1, round(density * change.numel())) - 1]
    assert torch.equal(smallest_kept(change, density), wanted)


def test_dare_is_the_same_whatever_else_is_merged():
    other = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k"
    settings = MergeSettings(method="dare", seed=5, dtype=torch.float64, choice=RankChoice(rank=20))
    alone, _ = merge([(named(NAME, low_rank()), Strengths())], "sd15", settings)
    both, _ = merge([({**named(other, low_rank()), **named(NAME, low_rank())}, Strengths())], "sd15", settings)
    assert all(torch.equal(both[key], tensor) for key, tensor in alone.items())
    assert not torch.allclose(change(split_modules(both)[other]), change(split_modules(both)[NAME]))


@pytest.mark.parametrize("density", [1e-6, 0.1, 0.37, 0.9, 1.0])
def test_dare_s_draws_are_even_and_apart(density: float):
    """Share kept and mean over two million elements within five standard deviations; two LoRAs do not draw alike."""
    ones = torch.ones(1000, 2001, dtype=torch.float64)
    kept = dare([ones], density, seed=1, module="a") > 0
    chance = max(1, round(density * 65536)) / 65536
    deviation = (chance * (1 - chance) / ones.numel()) ** 0.5
    assert float(kept.double().mean()) == pytest.approx(chance, abs=5 * deviation)
    places = kept.flatten()[: 4 * 500_000].reshape(-1, 4).double().mean(0)
    assert (places - chance).abs().max() <= 5 * 2 * deviation, "each quarter of a drawn word"
    both = dare([0 * ones, ones], density, seed=1, module="a") > 0
    together = float((kept & both).double().mean())
    assert together == pytest.approx(chance**2, abs=5 * (chance**2 / ones.numel()) ** 0.5)


def test_dare_drops_the_share_and_keeps_the_mean():
    changes = [torch.ones(400, 500, dtype=torch.float64)]
    result = dare(changes, 0.25, seed=3, module="a")
    assert set(result.unique().tolist()) == {0.0, 4.0}
    assert float(result.mean()) == pytest.approx(1.0, abs=0.02)
    assert torch.equal(result, dare(changes, 0.25, seed=3, module="a"))
    assert not torch.equal(result, dare(changes, 0.25, seed=4, module="a"))


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    merge([(named(NAME, low_rank()), Strengths())], "sd15", MergeSettings(method="dare"))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if needs_weight(of_algorithm(name))])
def test_asks_for_the_base_model_where_needed(algorithm: str):
    with pytest.raises(ValueError, match=f"model: {NAME}.*connect the model"):
        merge([(named(NAME, of_algorithm(algorithm)), Strengths())], "sd15", EXACT)


@pytest.mark.parametrize(
    ("loras", "settings", "message"),
    [
        ([], {}, "loras: connect at least one"),
        ([1], {"method": "add_difference"}, "takes three.*got 1"),
        ([1], {"density": 0.0}, "density must be above 0"),
        ([1], {"method": "mean"}, "method must be one of.*got mean"),
    ],
)
def test_refuses_by_name(loras: list[int], settings: dict, message: str):
    with pytest.raises(ValueError, match=message):
        merge([(named(NAME, low_rank()), Strengths()) for _ in loras], "sd15", MergeSettings(**settings))


@pytest.mark.parametrize("method", ["sum", "ties", "dare"])
@pytest.mark.parametrize("other", ["wide", "tall", "full", "bias"])
def test_refuses_loras_of_different_models(method: str, other: str):
    full = of_algorithm("full")
    one, two = {
        "wide": (low_rank(), low_rank() | {"lora_down.weight": draw(4, IN + 1)}),
        "tall": (low_rank(), low_rank() | {"lora_up.weight": draw(OUT + 1, 4)}),
        "full": (low_rank(), {"diff": draw(OUT + 1, IN)}),
        "bias": (full, full | {"diff_b": draw(1)}),
    }[other]
    with pytest.raises(ValueError, match="not one model"):
        merge([(named(NAME, parts), Strengths()) for parts in (one, two)], "sd15", MergeSettings(method=method))


@pytest.mark.parametrize("settings", [EXACT, FULL_RANK, MergeSettings(method="ties", dtype=torch.float64)])
def test_flattened_convolutions_are_the_same_modules(settings: MergeSettings):
    """ComfyUI's own trainer writes a 1x1 convolution as a linear layer's factors."""
    name = "lora_unet_down_blocks_0_attentions_0_proj_in"
    flat, ones = low_rank(4), {suffix: tensor for suffix, tensor in low_rank(3, seed=4).items()}
    ones = {suffix: tensor if suffix == "alpha" else tensor[..., None, None] for suffix, tensor in ones.items()}
    for pair in ((flat, ones), (ones, flat)):
        merged, _ = merge([(named(name, parts), Strengths()) for parts in pair], "sd15", settings)
        got = change(split_modules(merged)[name])
        assert got.shape == (OUT, IN, 1, 1)
        if settings.method == "sum":
            close(got.flatten(1), change(flat) + change(ones).flatten(1))


def test_nothing_left_is_refused():
    with pytest.raises(ValueError, match="nothing is left"):
        merge([(named(NAME, low_rank()), Strengths(unet=0.0))], "sd15", EXACT)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"lora_up.weight": draw(OUT, 4)}, "lacks lora_down.weight"),
        ({"lora_down.weight": draw(4, IN)}, r"is of no known kind \(lora_down.weight\)"),
        ({"hada_w1_a": draw(OUT, 3), "hada_w2_a": draw(OUT, 3)}, "lacks hada_w1_b, hada_w2_b"),
        ({"lokr_w1": draw(4, 4), "lokr_w2_a": draw(6, 2)}, "lacks lokr_w2, the file"),
        (low_rank(4) | {"lora_up.weight": draw(OUT, 5)}, "rank 5 above and 4 below"),
    ],
)
def test_half_a_module_is_named(parts: dict, message: str):
    tensors = named(NAME, parts)
    uses = [
        lambda: merge([(tensors, Strengths())], "sd15", EXACT),
        lambda: resize(tensors, RankChoice(rank=2)),
        lambda: inspect_lora(tensors, "sd15", {}),
    ]
    # What is of no known kind is shown, but cannot be worked with.
    for use in uses[:2] if "kind" in message else uses:
        with pytest.raises(ValueError, match=f"lora: {NAME} .*{message}"):
            use()


def test_loras_of_different_families_are_refused():
    def of(width):
        key = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn2_to_k"
        return {f"{key}.lora_down.weight": torch.ones(2, width), f"{key}.lora_up.weight": torch.ones(640, 2)}

    with pytest.raises(ValueError, match="lora_1.*sd15.*lora_2.*sdxl"):
        merge([(of(768), Strengths()), (of(2048), Strengths())], "sd15", MergeSettings())

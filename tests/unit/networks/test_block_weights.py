"""Block weights in the forms of sd-scripts and LBW."""

from math import cos, pi, sin

import pytest
from pack.training.networks.block_weights import BlockWeights, block_names, block_of, curve


def test_curves_are_those_of_sd_scripts():
    ramp = [i / 11 for i in range(12)]
    assert curve("sine", 12) == pytest.approx([sin(pi / 2 * x) for x in ramp])
    assert curve("cosine", 12) == pytest.approx([cos(pi / 2 * x) for x in ramp])
    assert curve("linear", 12) == pytest.approx(ramp)
    assert curve("reverse_linear+.25", 12) == pytest.approx([1.25 - x for x in ramp])
    assert curve("zeros+0.5", 9) == [0.5] * 9


def test_down_mid_up_by_family():
    sd15 = BlockWeights(down="cosine", mid="0.5", up=",".join(["2"] * 12)).resolve("sd15")
    assert sd15.weight("IN00") == 1 and sd15.weight("IN11") == pytest.approx(0, abs=1e-12)
    assert sd15.weight("M00") == 0.5 and sd15.weight("OUT07") == 2
    sdxl = BlockWeights(mid="0.1,0.2,0.3").resolve("sdxl")
    assert [sdxl.weight(f"M0{i}") for i in range(3)] == [0.1, 0.2, 0.3]
    assert sdxl.weight("IN04") == 1 and sdxl.weight("BASE") == 1 and sdxl.weight(None) == 1
    with pytest.raises(ValueError, match="12.*sd15.*9"):
        BlockWeights(up=",".join(["2"] * 9)).resolve("sd15")


@pytest.mark.parametrize(("count", "family"), [(17, "sd15"), (26, "sd15"), (12, "sdxl"), (20, "sdxl")])
def test_lbw_numbers_hit_their_blocks_and_leave_out_the_rest(count, family):
    values = [1 + i / 100 for i in range(count)]
    resolved = BlockWeights(lbw=",".join(map(str, values))).resolve(family)
    weights = {block: resolved.weight(block) for block in block_names(family)}
    middles = [block for block in weights if block.startswith("M")]
    assert len({weights[block] for block in middles}) == 1
    assert sorted({weight for weight in weights.values() if weight}) == values
    if count == 17:
        assert weights["IN01"] == 1.01 and weights["IN08"] == 1.06 and weights["M00"] == 1.07
        assert weights["OUT03"] == 1.08 and weights["IN03"] == 0 and weights["OUT02"] == 0
    if count == 12:
        assert weights["IN04"] == 1.01 and weights["M01"] == 1.05 and weights["OUT05"] == 1.11 and weights["IN01"] == 0


def test_lbw_presets_and_names():
    middle = BlockWeights(lbw="midd").resolve("sd15")
    assert [middle.weight(block) for block in ("BASE", "IN04", "IN05", "M00", "OUT06", "OUT07")] == [1, 0, 1, 1, 1, 0]
    named = BlockWeights(lbw="IN:0.5, IN04:2\nOUT11:0").resolve("sd15")
    assert [named.weight(block) for block in ("IN03", "IN04", "OUT10", "OUT11")] == [0.5, 2, 1, 0]
    with pytest.raises(ValueError, match="preset.*NONE"):
        BlockWeights(lbw="MIDD").resolve("sdxl")


def test_threshold_and_ranks():
    low = BlockWeights(lbw="IN01:0.1, IN02:0.2", zero_threshold=0.1).resolve("sd15")
    assert (low.weight("IN01"), low.weight("IN02")) == (0, 0.2)
    sd15 = BlockWeights(ranks=",".join(map(str, range(25)))).resolve("sd15")
    assert [sd15.rank(block, False) for block in ("IN00", "M00", "OUT11", "BASE", None)] == [0, 12, 24, None, None]
    sdxl = BlockWeights(conv_ranks=",".join(map(str, range(23)))).resolve("sdxl")
    assert [sdxl.rank(block, True) for block in ("IN00", "M01", "OUT08")] == [1, 11, 21]
    assert sdxl.rank("IN00", False) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lbw": "1,2,3"}, "got 3 values"),
        ({"lbw": "IN77:1"}, "IN77"),
        ({"lbw": "IN01:much"}, "of IN01 must hold numbers, got 'much'"),
        ({"lbw": "IN01=0.5"}, "17 or 26 numbers for sd15, one of .*MIDD.*, or names like IN04:0.5, got 'IN01=0.5'"),
        ({"lbw": "FRONT"}, "17 or 26 numbers for sd15, one of .*MIDD.*, or names like IN04:0.5, got 'FRONT'"),
        ({"lbw": "IN01:-1"}, "IN01 must be 0 or more"),
        ({"lbw": "IN01:nan"}, "must hold numbers, got 'nan'"),
        ({"down": "tangent"}, "must hold numbers, got 'tangent'"),
        ({"ranks": "IN01:2.5"}, "whole number"),
        ({"ranks": "1,2"}, "ranks must be 25 numbers"),
    ],
)
def test_texts_that_no_family_can_read_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BlockWeights(**settings)


def test_blocks_of_module_paths():
    cases = {
        "input_blocks.4.1.proj_in": "IN04",
        "middle_block.1.proj_in": "M01",
        "output_blocks.11.0.in_layers.2": "OUT11",
        "time_embed.0": None,
        "out.2": None,
    }
    assert {path: block_of(path, "unet", "sdxl") for path in cases} == cases
    assert block_of("middle_block.1.proj_in", "unet", "sd15") == "M00"
    assert block_of("text_model.encoder.layers.0.mlp.fc1", "text_encoder", "sd15") == "BASE"

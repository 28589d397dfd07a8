"""Inspection: norms equal the full matrix's, trouble is named, other tools' metadata is read with suspicion."""

import dataclasses
import json
import math
import re

import pytest
import torch
from pack.tests.unit.tools.loras import ALGORITHMS, CONV, NAME, OUT, TEXT, draw, low_rank, named, of_algorithm
from pack.training.tools.chart import norm_chart
from pack.training.tools.deltas import delta_weight, needs_weight
from pack.training.tools.inspection import inspect_lora
from pack.training.tools.metadata_text import metadata_lines, tag_counts
from pack.training.tools.result_metadata import extracted_metadata, merged_metadata, resized_metadata


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_norms_are_those_of_the_full_change(algorithm: str):
    parts = of_algorithm(algorithm)
    info = inspect_lora(named(NAME, parts), "sd15", {})
    bare = {suffix: tensor for suffix, tensor in parts.items() if suffix != "dora_scale"}
    if needs_weight(bare):
        assert info.modules[0].norm is None
    else:
        assert info.modules[0].norm == pytest.approx(float(delta_weight(bare).norm()), rel=1e-6)
        assert info.block_norms == {"IN01": pytest.approx(info.modules[0].norm)}


def test_text_says_what_it_is():
    tensors = {
        **named(NAME, low_rank(4, 2.0)),
        **named(CONV, low_rank(8, 1.0, kernel=3)),
        **named(TEXT, of_algorithm("loha")),
    }
    text = inspect_lora(tensors, "sd15", {"workflow": "{}", "ss_sd_model_name": "base.safetensors"}).text()
    assert "algorithm: lora (2), loha (1)" in text
    assert "4 / 2 (1)" in text
    assert "8 / 1 (1)" in text
    assert "U-Net: 2 modules" in text
    assert "workflow inside: yes" in text
    assert "base model: base.safetensors" in text


def test_blocks_stand_in_the_order_of_the_unet():
    names = ("lora_unet_up_blocks_3_attentions_0_proj_in", "lora_unet_mid_block_attentions_0_proj_in", NAME, TEXT)
    info = inspect_lora({key: t for name in names for key, t in named(name, low_rank()).items()}, "sd15", {})
    assert list(info.block_norms) == ["BASE", "IN01", "M00", "OUT09"]


def trouble(changed: dict[str, torch.Tensor]) -> str:
    healthy = {f"lora_unet_mid_block_attentions_0_x{n}": low_rank(seed=n) for n in range(5)} | {TEXT: low_rank()}
    tensors = {
        key: t
        for name, parts in (healthy | {NAME: low_rank() | changed}).items()
        for key, t in named(name, parts).items()
    }
    return " ".join(inspect_lora(tensors, "sd15", {}).warnings)


def test_a_healthy_lora_has_no_warning():
    assert trouble({}) == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lora_up.weight": torch.full((OUT, 4), math.nan)}, "NaN or infinity in 1 module, first"),
        ({"lora_up.weight": torch.zeros(OUT, 4)}, "no change by 1 module of 7"),
        ({"lora_up.weight": draw(OUT, 4) * 1000}, "more than 30 times the usual change in 1 module, first"),
        ({"alpha": torch.tensor(16.0)}, r"alpha is above the rank in 1 module \(16 / 4\)"),
    ],
)
def test_trouble_is_named(changed: dict[str, torch.Tensor], message: str):
    assert re.search(message, trouble(changed))


def test_an_untouched_text_encoder_is_named():
    assert "the text encoder is untouched" in inspect_lora(named(NAME, low_rank()), "sd15", {}).warnings


def test_tags_are_counted_over_folders():
    frequency = json.dumps({"a": {"cat": 3, " red ": 1}, "b": {"cat": 2, "bad": "x"}})
    assert tag_counts({"ss_tag_frequency": frequency}) == {"cat": 5, "red": 1}
    assert "tags: cat (5), red (1)" in metadata_lines({"ss_tag_frequency": frequency})


@pytest.mark.parametrize("text", ["not json", "[1]", '{"a": 3}', '{"a": {"b": null}}', "null"])
def test_broken_metadata_of_others_is_no_error(text: str):
    assert not tag_counts({"ss_tag_frequency": text})
    metadata_lines({"ss_dataset_dirs": text, "ss_tag_frequency": text})


def test_a_lora_without_blocks_has_a_chart():
    assert norm_chart("a", inspect_lora(named(NAME, of_algorithm("oft")), "sd15", {})).height > 300


def test_broken_blocks_are_named():
    bad = low_rank() | {"lora_up.weight": torch.full((OUT, 4), math.nan)}
    info = inspect_lora({**named(NAME, bad), **named(CONV, low_rank()), **named(TEXT, low_rank())}, "sd15", {})
    assert info.broken_blocks == ("IN01",)


def test_eight_bit_floats_are_looked_at():
    parts = {suffix: tensor.to(torch.float8_e4m3fn) for suffix, tensor in low_rank().items()}
    assert inspect_lora(named(NAME, parts), "sd15", {}).modules[0].is_finite


def test_what_is_merged_says_nothing_of_the_networks_before():
    metadata = {"ss_network_args": '{"algo": "loha"}', "ss_network_module": "lycoris.kohya", "ss_seed": "1"}
    merged = merged_metadata([("a", metadata), ("b", metadata)], named(NAME, low_rank(4, 4.0)), "sd15", "sum")
    assert merged["ss_network_module"] == "networks.lora"
    assert "ss_network_args" not in merged
    assert merged["ss_seed"] == "1"
    assert merged["modelspec.merged_from"] == "a, b"


def test_what_merged_loras_agree_on_is_kept():
    """v-prediction above all: a LoRA that says epsilon is not one for the model it was made for."""
    said = {
        "modelspec.prediction_type": "v",
        "ss_zero_terminal_snr": "True",
        "modelspec.resolution": "768x768",
        "ss_base_model_version": "sd_v1_v",
    }
    one, two = said | {"modelspec.title": "a", "modelspec.merged_from": "x, y"}, said | {"modelspec.title": "b"}
    merged = merged_metadata([("a", one), ("b", two)], named(NAME, low_rank(4, 4.0)), "sd15", "sum")
    assert said.items() <= merged.items()
    assert merged["modelspec.title"] == "a + b"
    assert merged["modelspec.merged_from"] == "a (x, y), b"
    assert merged["ss_training_comment"] == "sum"


def test_a_merged_lora_names_the_trigger_words_of_all():
    sources = [("a", "mira"), ("b", "noa, mira"), ("c", "")]
    said = [(name, {"modelspec.trigger_phrase": words} if words else {}) for name, words in sources]
    merged = merged_metadata(said, named(NAME, low_rank(4, 4.0)), "sd15", "sum")
    assert merged["modelspec.trigger_phrase"] == "mira, noa"
    assert "modelspec.trigger_phrase" not in merged_metadata(said[2:], named(NAME, low_rank(4, 4.0)), "sd15", "sum")


def test_what_no_source_says_of_the_model_is_left_open():
    """Two that disagree, or say nothing: the result claims neither noise nor v, nor a schedule."""
    tensors = named(NAME, low_rank(4, 4.0))
    one = {"modelspec.prediction_type": "v", "ss_zero_terminal_snr": "True"}
    two = {"modelspec.prediction_type": "epsilon", "ss_zero_terminal_snr": "False"}
    for made in (
        merged_metadata([("a", one), ("b", two)], tensors, "sd15", "sum"),
        merged_metadata([("a", {}), ("b", one)], tensors, "sd15", "sum"),
        resized_metadata({}, tensors, "sd15", "x"),
        extracted_metadata(tensors, "sdxl", "a", "b"),
    ):
        assert not {"modelspec.prediction_type", "ss_zero_terminal_snr"} & set(made)
    assert one.items() <= resized_metadata(one, tensors, "sd15", "x").items()
    known = extracted_metadata(tensors, "sdxl", "a", "b", "v_prediction")
    assert known["modelspec.prediction_type"] == "v"


def test_magnitudes_that_stay_are_said():
    tensors = {**named(NAME, low_rank(4, 4.0)), f"{NAME}.dora_scale": draw(1, 20)}
    assert json.loads(resized_metadata({}, tensors, "sd15", "x")["ss_network_args"])["dora_wd"] == "True"


def test_an_alpha_that_is_none_keeps_json_readable():
    info = inspect_lora(named(NAME, low_rank() | {"alpha": torch.tensor(math.nan)}), "sd15", {})
    assert info.modules[0].alpha is None
    json.dumps(dataclasses.asdict(info), allow_nan=False)

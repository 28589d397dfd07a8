"""Sizes against the layers of the full models."""

import pytest
from pack.training.networks.settings import NetworkSettings
from pack.training.recipes.estimate import Estimate, duration, file_size_mb, memory_gib, num_parameters


@pytest.mark.parametrize(
    ("family", "parts", "mb_per_rank"),
    [
        ("sd15", ("unet", "text_encoder"), 1.18),
        ("sdxl", ("unet",), 5.32),
        ("sdxl", ("unet", "text_encoder", "text_encoder_2"), 7.13),
    ],
)
def test_file_size_as_measured_on_kohyas_files(family, parts, mb_per_rank):
    network = NetworkSettings(rank=32, parts=parts)
    assert file_size_mb(network, family) == pytest.approx(32 * mb_per_rank, rel=0.005)


def test_text_encoder_parameters_counted_by_hand():
    """CLIP-L: 12 layers of four 768 x 768 projections and two between 768 and 3072; one rank is in + out."""
    by_hand = 12 * (4 * (768 + 768) + 2 * (768 + 3072))
    assert num_parameters(NetworkSettings(rank=1, parts=("text_encoder",)), "sd15") == by_hand


def test_convolutions_have_a_rank_of_their_own():
    linear = num_parameters(NetworkSettings(rank=16), "sd15")
    locon = num_parameters(NetworkSettings(algorithm="locon", rank=16, conv_rank=4), "sd15")
    assert locon - linear == 4 * 626_880
    loha = num_parameters(NetworkSettings(algorithm="loha", rank=16, conv_rank=4), "sd15")
    assert loha == 2 * locon


def test_size_that_no_rank_decides_is_not_guessed():
    assert file_size_mb(NetworkSettings(algorithm="lokr"), "sd15") is None


def test_memory_orders():
    def need(rank=8, optimizer="AdamW", family="sdxl", batch_size=1, is_checkpointing=True):
        return memory_gib(NetworkSettings(rank=rank), optimizer, family, batch_size, is_checkpointing)

    assert need(rank=128) > need()
    assert need(optimizer="Prodigy") > need() > need(optimizer="Adafactor")
    assert need(batch_size=2) > need()
    assert need(is_checkpointing=False) > 2 * need()
    assert need(family="sd15") < need()


def test_time_is_told_where_it_was_measured_and_asked_for_where_not():
    known = {"steps": 1000, "samples": 2000, "file_mb": 10.0, "memory_gib": 5.0}
    assert "about 25 min on this machine (1.5 s a step" in Estimate(**known, seconds_per_step=1.5).text()
    assert "connect model and clip" in Estimate(**known).text()


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.4, "4 s"), (89, "89 s"), (95, "2 min"), (5399, "90 min"), (9000, "2.5 h")]
)
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text

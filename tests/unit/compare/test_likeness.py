"""The likeness of a picture to itself is 1; color and shape each count; small changes change it little."""

import pytest
import torch
from pack.training.compare.likeness import describe, likeness
from pack.workbench.pocket.characters import CHARACTERS
from pack.workbench.pocket.likeness import separations


def picture(color, top=20, size=96):
    """A rectangle of a color on gray."""
    pixels = torch.full((size, size, 3), 0.7)
    pixels[top : top + 40, 30:60] = torch.tensor(color)
    return pixels


RED, BLUE = (0.9, 0.1, 0.1), (0.1, 0.1, 0.9)


def score(one, other):
    return likeness(describe(one), describe(other)[None])


def test_description_has_unit_length_and_equals_itself():
    for pixels in (picture(RED), torch.rand(50, 70, 3), torch.zeros(40, 40, 3)):
        assert score(pixels, pixels) == pytest.approx(describe(pixels).square().sum().item(), abs=1e-6)
    assert describe(picture(RED)).norm().item() == pytest.approx(1.0, abs=1e-6)


def test_size_does_not_matter_much():
    assert (
        score(picture(RED, size=128)[:, :], picture(RED, size=128).repeat_interleave(2, 0).repeat_interleave(2, 1))
        > 0.99
    )


def test_color_and_shape_each_count():
    same, recolored, moved = picture(RED), picture(BLUE), picture(RED, top=50)
    assert score(same, recolored) < 0.97
    assert score(same, moved) < 0.97
    assert score(same, picture(BLUE, top=50)) < min(score(same, recolored), score(same, moved))


def test_a_little_noise_changes_little():
    noisy = (picture(RED) + 0.02 * torch.randn(96, 96, 3)).clamp(0, 1)
    assert score(picture(RED), noisy) > 0.9


def test_mean_over_references():
    references = torch.stack([describe(picture(RED)), describe(picture(BLUE))])
    one = describe(picture(RED))
    assert likeness(one, references) == pytest.approx(float((references[0] @ one + references[1] @ one) / 2), abs=1e-6)


@pytest.mark.parametrize("name", CHARACTERS)
def test_a_drawn_character_is_told_from_all_others_whatever_the_background(name):
    """Calibrated on the pocket world; `pack.workbench.pocket.likeness` prints the figures."""
    for others, found in separations(CHARACTERS[name]).items():
        assert found.share > 0.99, others
        assert found.same.mean() > found.others.mean() + 2 * found.others.std(), others

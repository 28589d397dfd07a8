"""The strength at which a LoRA is most similar to its references tells what to change; one strength tells nothing."""

import pytest
from pack.training.compare.layout import NO_LORA, Cell
from pack.training.compare.store import Comparison
from pack.training.compare.strength_advice import strength_advice


def advice(likeness, strengths, text_strengths=(None,)):
    """Likeness by pair of strengths; a second LoRA and a second prompt, less alike everywhere, must not matter."""
    scores = {}
    for (unet, text), value in likeness.items():
        place = strengths.index(unet), text_strengths.index(text)
        scores[Cell(1, 0, *place)], scores[Cell(1, 1, *place)] = value + 0.1, value - 0.1
        scores[Cell(0, 0, *place)] = 0.9 - value
    return strength_advice(scores, 1, strengths, text_strengths)


def alone(**likeness):
    return {(float(name.strip("s").replace("_", ".")), None): value for name, value in likeness.items()}


@pytest.mark.parametrize(
    ("likeness", "wanted"),
    [
        (alone(s0_5=0.4, s1=0.7, s1_5=0.6), "right at strength 1, as it should be"),
        (alone(s0_5=0.4, s1=0.7, s1_5=0.715), "right at strength 1, as it should be"),
        (alone(s0_5=0.8, s1=0.7, s1_5=0.6), "strength 0.5, not at 1: it learned too much; take an earlier step, or "),
        (alone(s0_5=0.4, s1=0.6, s1_5=0.7), "strength 1.5, not at 1: it learned too little; train on, or with 1.5 "),
    ],
)
def test_a_lora_should_be_right_at_strength_1(likeness, wanted):
    assert wanted in advice(likeness, (0.5, 1.0, 1.5))


@pytest.mark.parametrize(
    ("best", "wanted"),
    [
        ((0.5, 1.0), "U-Net 0.5, text encoder 1, not at 1: train with half the U-Net's rate"),
        ((1.0, 2.0), "U-Net 1, text encoder 2, not at 1: train with twice the text encoder's rate"),
        ((0.5, 2.0), "half the U-Net's rate and twice the text encoder's rate"),
        ((0.5, 0.5), "it learned too much"),
        ((1.0, 0.0), "train with the text encoder's rate 0"),
        ((1.0, 1.0), "right at strength 1"),
    ],
)
def test_the_grid_of_both_strengths_tells_which_rate_to_change(best, wanted):
    unets, texts = (0.5, 1.0), (0.0, 0.5, 1.0, 2.0)
    likeness = {(unet, text): 0.5 for unet in unets for text in texts}
    found = advice({**likeness, best: 0.8}, unets, texts)
    assert wanted in found
    assert ("twice" in found) == ("twice" in wanted) and ("half" in found) == ("half" in wanted)


def test_nothing_is_said_of_one_strength_and_1_is_asked_for_where_it_lacks():
    assert advice({(1.0, None): 0.7}, (1.0,)) == ""
    assert "add 1 to see" in advice({(0.6, None): 0.7, (0.8, None): 0.6}, (0.6, 0.8))


def test_the_report_says_it_of_each_lora_but_not_of_the_base_model():
    cells = tuple(Cell(lora, 0, strength, 0) for lora in range(2) for strength in range(2))
    drawn = Comparison(
        loras=(NO_LORA, "step 20"), steps=(None, 20), prompts=("fox",), strengths=(0.5, 1.0), text_strengths=(None,),
        run=None, cells=cells, scores=(0.9, 0.1, 0.8, 0.3), plain_scores=(),
    )  # fmt: skip
    report = drawn.report(1, "most like the references")
    assert "step 20: most like the references at strength 0.5, not at 1: it learned too much" in report
    assert f"{NO_LORA}: most like" not in report and f"{NO_LORA}: right" not in report

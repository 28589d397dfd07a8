"""A model that answers with the noise predicts noise; one that answers with a picture predicts v."""

import pytest
import torch
from pack.tests.support.toy_model import ToyBase
from pack.training.watch.prediction_check import likeness_to_noise, prediction_warning


class Answering(ToyBase):
    """A model that knows its picture and answers exactly as its kind does."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def denoise(self, noisy_BCHW, timestep_B, texts, sizes):
        picture = torch.linspace(-1, 1, noisy_BCHW.shape[-1]).expand_as(noisy_BCHW)
        alpha = float(self.alphas_cumprod[int(timestep_B[0])]) ** 0.5
        sigma = (1 - alpha**2) ** 0.5
        noise = noisy_BCHW / sigma
        return noise if self.kind == "epsilon" else alpha * noise - sigma * picture


def likeness(kind: str) -> float:
    base = Answering(kind)
    return likeness_to_noise(base, base.encode_text(["a"])[0])


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_model_that_is_what_its_file_says_is_not_warned_of(kind):
    assert prediction_warning(kind, likeness(kind)) == ""


@pytest.mark.parametrize(
    ("loaded_as", "kind", "mended_by"),
    [("epsilon", "v_prediction", "v_prediction, zsnr on"), ("v_prediction", "epsilon", "(eps)")],
)
def test_a_contradiction_names_what_mends_it(loaded_as, kind, mended_by):
    warning = prediction_warning(loaded_as, likeness(kind))
    assert f"loaded as {loaded_as}" in warning and "ModelSamplingDiscrete" in warning and mended_by in warning


def test_the_trial_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    likeness("epsilon")
    assert torch.equal(torch.get_rng_state(), before)

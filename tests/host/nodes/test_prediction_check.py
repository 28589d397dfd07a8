"""The small model, which predicts noise, is distinguished from itself loaded as v-prediction."""

import pytest
import torch
from pack.tests.host.nodes.test_bridge import base_model
from pack.training.watch.prediction_check import LIKE_NOISE, likeness_to_noise, prediction_warning

pytestmark = pytest.mark.comfy


def test_a_trained_model_answers_with_the_noise(comfy, pocket_checkpoint):
    loaded = comfy.load_checkpoint(pocket_checkpoint)
    mend = comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete()
    with torch.inference_mode():
        wrong = mend.patch(loaded.model, "v_prediction", True)[0]
    for model, is_wrong in ((loaded.model, False), (wrong, True)):
        base = base_model((model, loaded.clip, loaded.vae))
        (text,) = base.encode_text(["creature, red skin"])
        with base.training(False):
            likeness = likeness_to_noise(base, text)
        assert likeness > 0.9 > LIKE_NOISE
        assert bool(prediction_warning(base.prediction_type, likeness)) is is_wrong

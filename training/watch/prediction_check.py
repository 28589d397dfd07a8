"""Checks that a model predicts what its file says. A merge without the keys loads as epsilon and trains nonsense.

At the last timestep the input is almost pure noise. A model that predicts noise answers with that noise; one that
predicts v = alpha * noise - sigma * picture, where alpha is nearly 0, answers with a picture.
"""

import torch
from torch import Tensor

from ..base_model import BaseModel, ImageSize, PredictionType, TextConditioning
from ..rng import generator

SIDE = 16
"""Latent rows and columns of the test input; the result does not depend on the size."""
LATENT_SCALE = 8
LIKE_NOISE = 0.5
"""Correlation above which an answer is the noise. The small test model, which predicts noise, has more than 0.9."""


@torch.no_grad()
def likeness_to_noise(base: BaseModel, text: TextConditioning) -> float:
    """Correlation, -1..1, of the model's answer at the last timestep with its input noise."""
    noise_1CHW = torch.randn(1, 4, SIDE, SIDE, generator=generator(0, "prediction check"))
    last = len(base.alphas_cumprod) - 1
    noisy_1CHW = noise_1CHW * float(1 - base.alphas_cumprod[last]) ** 0.5
    side = SIDE * LATENT_SCALE
    size = ImageSize(original_hw=(side, side), crop_top_left=(0, 0), target_hw=(side, side))
    return correlation(base.denoise(noisy_1CHW, torch.tensor([last]), [text], [size]).cpu(), noise_1CHW)


def correlation(first: Tensor, second: Tensor) -> float:
    """Correlation over all elements of two tensors; 0 if one is constant."""
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]).double())[0, 1].nan_to_num())


def prediction_warning(prediction: PredictionType, likeness: float) -> str:
    """A warning with the remedy if the answer contradicts the file; empty otherwise."""
    answers: PredictionType = "epsilon" if likeness > LIKE_NOISE else "v_prediction"
    if prediction in (answers, "flow"):  # rectified flow's velocity contains both
        return ""
    setting = "v_prediction, zsnr on" if answers == "v_prediction" else "eps"
    return (
        f"model is loaded as {prediction} but does not answer like one (likeness to noise {likeness:.2f}): it looks "
        f"like {answers}. If step 0 is noise, gray or burnt, stop and put ModelSamplingDiscrete ({setting}) between "
        "checkpoint and Train LoRA"
    )

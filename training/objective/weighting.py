"""Loss weights as functions of the signal-to-noise ratio, one per sample.

A weight w for noise prediction becomes w·snr/(snr+1) for v-prediction, so that both weight the clean image equally:
the two losses differ by (snr+1)/snr. All are finite at snr 0.

Sources: min-SNR https://arxiv.org/abs/2303.09556; soft min-SNR https://arxiv.org/abs/2401.11605 section 3.3; debiased
https://arxiv.org/abs/2310.08442; P2 https://arxiv.org/abs/2204.00227.

Shapes: B batch, in and out.
"""

from torch import Tensor

from ..base_model import PredictionType

_LARGEST_SNR = 1000.0
_SMALLEST_SNR = 1e-4
"""Below any SNR of SD1.5 and SDXL (0.0047); limits weights that grow without bound toward pure noise."""


def min_snr_weight(snr_B: Tensor, gamma: float, prediction_type: PredictionType) -> Tensor:
    """Limit the influence of low-noise timesteps: min(snr, gamma)/snr, for v-prediction min(snr, gamma)/(snr+1)."""
    if prediction_type == "v_prediction":
        return snr_B.clamp(max=gamma) / (snr_B + 1.0)
    return gamma / snr_B.clamp(min=gamma)


def soft_min_snr_weight(snr_B: Tensor, gamma: float, prediction_type: PredictionType) -> Tensor:
    """Smooth min-SNR: gamma/(snr+gamma), times snr/(snr+1) for v-prediction."""
    return _for_prediction(gamma / (snr_B + gamma), snr_B, prediction_type)


def p2_weight(snr_B: Tensor, gamma: float, prediction_type: PredictionType) -> Tensor:
    """Favor noise levels where content forms: 1/(1+snr)^gamma, times snr/(snr+1) for v-prediction."""
    return _for_prediction((1.0 + snr_B) ** -gamma, snr_B, prediction_type)


def debiased_weight(snr_B: Tensor, prediction_type: PredictionType) -> Tensor:
    """1/√min(snr, 1000); for v-prediction 1/(snr+1), as in other trainers."""
    if prediction_type == "v_prediction":
        return 1.0 / (snr_B + 1.0)
    return snr_B.clamp(min=_SMALLEST_SNR, max=_LARGEST_SNR).rsqrt()


def noise_like_weight(snr_B: Tensor) -> Tensor:
    """Weight a velocity loss like a noise loss: snr/(snr+1)."""
    return snr_B / (snr_B + 1.0)


def velocity_like_weight(snr_B: Tensor) -> Tensor:
    """Weight a noise loss like a velocity loss: (snr+1)/snr."""
    return 1.0 + 1.0 / snr_B.clamp(min=_SMALLEST_SNR)


def _for_prediction(weight_B: Tensor, snr_B: Tensor, prediction_type: PredictionType) -> Tensor:
    return weight_B * noise_like_weight(snr_B) if prediction_type == "v_prediction" else weight_B

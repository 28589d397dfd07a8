"""The noise level of each sample.

Sources: logit-normal https://arxiv.org/abs/2403.03206 section 3.1; low-discrepancy draws https://arxiv.org/abs/2107.00630
appendix I.1 (there stratified within a batch; here a Kronecker sequence, which also covers the levels over steps and
does not depend on the batch size).

Shapes: B batch.
"""

import math

import torch
from torch import Tensor

from ..rng import generator
from .draws import Draws
from .settings import ObjectiveSettings

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_SILVER = math.sqrt(2.0) - 1.0


def draw_timesteps(settings: ObjectiveSettings, draws: Draws, num_samples: int, num_timesteps: int) -> Tensor:
    """Timesteps (B,), int64, within the settings' range, or the draws' fixed timestep.

    Raises:
        ValueError: The range exceeds the model's schedule.
    """
    if settings.max_timestep > num_timesteps:
        raise ValueError(f"max_timestep must be at most {num_timesteps} for this model, got {settings.max_timestep}")
    if draws.timestep is not None:
        return torch.full((num_samples,), draws.timestep, dtype=torch.int64)
    positions_B = _POSITIONS[settings.timestep_distribution](settings, draws, num_samples)
    first, end = settings.min_timestep, settings.max_timestep
    timesteps_B = first + (positions_B * (end - first)).floor().to(torch.int64)
    return timesteps_B.clamp(max=end - 1)


def _uniform(settings: ObjectiveSettings, draws: Draws, num_samples: int) -> Tensor:
    generators = draws.generators("timestep", num_samples)
    return torch.stack([torch.rand((), generator=g, dtype=torch.float64) for g in generators])


def _logit_normal(settings: ObjectiveSettings, draws: Draws, num_samples: int) -> Tensor:
    """Most draws lie near sigmoid(mean); a larger std spreads them."""
    generators = draws.generators("timestep", num_samples)
    normal_B = torch.stack([torch.randn((), generator=g, dtype=torch.float64) for g in generators])
    return torch.sigmoid(settings.logit_mean + settings.logit_std * normal_B)


def _low_discrepancy(settings: ObjectiveSettings, draws: Draws, num_samples: int) -> Tensor:
    """Uniform in the long run and evenly spread at any time: golden-ratio steps, samples of a step far apart."""
    start = torch.rand((), generator=generator(draws.seed, "timestep start"), dtype=torch.float64).item()
    shift = start + draws.step * _GOLDEN + draws.micro_step * _SILVER
    samples = range(draws.sample_offset, draws.sample_offset + num_samples)
    return torch.tensor([(shift + _radical_inverse(sample)) % 1.0 for sample in samples], dtype=torch.float64)


def _radical_inverse(index: int) -> float:
    """Van der Corput sequence in base 2: 0, 1/2, 1/4, 3/4, 1/8, ..."""
    value, weight = 0.0, 0.5
    while index:
        value += weight * (index & 1)
        index, weight = index >> 1, weight / 2.0
    return value


_POSITIONS = {"uniform": _uniform, "logit_normal": _logit_normal, "low_discrepancy": _low_discrepancy}

"""The noise schedule against diffusers and its own identities."""

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from pack.tests.unit.objective.toy import BETAS, SD_ALPHAS_CUMPROD
from pack.training.objective.schedule import add_noise, snr, velocity, zero_terminal_snr

TIMESTEPS = torch.tensor([0, 1, 250, 500, 998, 999])


def sample(seed):
    return torch.randn(6, 4, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_noise_and_velocity_equal_diffusers():
    reference = DDPMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    latents, noise, alphas = sample(0), sample(1), SD_ALPHAS_CUMPROD[TIMESTEPS]
    reference.alphas_cumprod = SD_ALPHAS_CUMPROD
    torch.testing.assert_close(add_noise(latents, noise, alphas), reference.add_noise(latents, noise, TIMESTEPS))
    torch.testing.assert_close(velocity(latents, noise, alphas), reference.get_velocity(latents, noise, TIMESTEPS))


def test_velocity_and_noised_latents_give_both_parts_back():
    latents, noise, alphas = sample(0), sample(1), SD_ALPHAS_CUMPROD[TIMESTEPS]
    noisy, target = add_noise(latents, noise, alphas), velocity(latents, noise, alphas)
    signal, rest = alphas.sqrt()[:, None, None, None], (1 - alphas).sqrt()[:, None, None, None]
    torch.testing.assert_close(signal * noisy - rest * target, latents)
    torch.testing.assert_close(rest * noisy + signal * target, noise)


def test_known_signal_to_noise_ratios():
    ratios = snr(SD_ALPHAS_CUMPROD)
    assert ratios[-1].item() == pytest.approx(0.0047, abs=5e-5)
    assert (ratios[:-1] > ratios[1:]).all()
    assert [int((ratios > gamma).sum()) for gamma in (1, 5, 20)] == [354, 147, 50]


def test_zero_terminal_snr_equals_diffusers():
    rescaled = zero_terminal_snr(SD_ALPHAS_CUMPROD)
    reference = (1 - rescale_zero_terminal_snr(BETAS)).cumprod(0)
    torch.testing.assert_close(rescaled, reference, rtol=0, atol=1e-12)


def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_start():
    rescaled = zero_terminal_snr(SD_ALPHAS_CUMPROD)
    assert rescaled[-1] == 0
    assert rescaled[0].item() == pytest.approx(SD_ALPHAS_CUMPROD[0].item())
    assert snr(rescaled)[-1] == 0
    torch.testing.assert_close(zero_terminal_snr(rescaled), rescaled)

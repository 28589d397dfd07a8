"""The noise schedule: signal-to-noise ratio, noised latents, velocity, zero terminal SNR.

`alphas_cumprod` is the share of signal power per timestep, the table of the loaded model.
Sources: velocity https://arxiv.org/abs/2202.00512; zero terminal SNR https://arxiv.org/abs/2305.08891;
rectified flow https://arxiv.org/abs/2209.03003.

Shapes: T timesteps, B batch, C latent channels, H W latent rows and columns.
"""

from torch import Tensor

NO_SIGNAL = 1e-6
"""The last of a model's alphas is below this at zero terminal SNR: the host leaves 5e-8."""


def snr(alphas_cumprod_T: Tensor) -> Tensor:
    """Signal power over noise power per timestep, (T,); 0 at a zero terminal SNR."""
    return alphas_cumprod_T / (1.0 - alphas_cumprod_T)


def add_noise(latents_BCHW: Tensor, noise_BCHW: Tensor, alphas_cumprod_B: Tensor) -> Tensor:
    """Latents at each sample's noise level: √ᾱ·latents + √(1-ᾱ)·noise."""
    alphas_B111 = alphas_cumprod_B[:, None, None, None]
    return alphas_B111.sqrt() * latents_BCHW + (1.0 - alphas_B111).sqrt() * noise_BCHW


def add_flow_noise(latents_BCHW: Tensor, noise_BCHW: Tensor, alphas_cumprod_B: Tensor) -> Tensor:
    """Latents of rectified flow at the noise level with the same SNR: (1-σ)·latents + σ·noise.

    Pass ᾱ in float64 if possible: σ is near 0 where ᾱ is near 1.
    """
    signal_B, noise_share_B = alphas_cumprod_B.sqrt(), (1.0 - alphas_cumprod_B).sqrt()
    sigma_B111 = (noise_share_B / (signal_B + noise_share_B)).to(latents_BCHW)[:, None, None, None]
    return (1.0 - sigma_B111) * latents_BCHW + sigma_B111 * noise_BCHW


def flow_shares(sigmas_T: Tensor) -> Tensor:
    """ᾱ with the signal-to-noise ratio that rectified flow has at σ, (T,), σ from 0 to 1."""
    return (1.0 - sigmas_T) ** 2 / ((1.0 - sigmas_T) ** 2 + sigmas_T**2)


def velocity(latents_BCHW: Tensor, noise_BCHW: Tensor, alphas_cumprod_B: Tensor) -> Tensor:
    """Target of v-prediction: √ᾱ·noise - √(1-ᾱ)·latents."""
    alphas_B111 = alphas_cumprod_B[:, None, None, None]
    return alphas_B111.sqrt() * noise_BCHW - (1.0 - alphas_B111).sqrt() * latents_BCHW


def zero_terminal_snr(alphas_cumprod_T: Tensor) -> Tensor:
    """Shift and stretch the schedule so that the last timestep is pure noise and the first is unchanged.

    Works on √ᾱ, (T,) in and out. Compute the SNR of such a model from the result.
    """
    roots_T = alphas_cumprod_T.sqrt()
    first, last = roots_T[0], roots_T[-1]
    return ((roots_T - last) * (first / (first - last))) ** 2

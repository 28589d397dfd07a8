"""The noise schedule: signal-to-noise ratio, noised latents, velocity, zero terminal SNR.

`alphas_cumprod` is the share of signal power per timestep, the table of the loaded model.
Sources: velocity https://arxiv.org/abs/2202.00512; zero terminal SNR https://arxiv.org/abs/2305.08891.

Shapes: T timesteps, B batch, C latent channels, H W latent rows and columns.
"""

from torch import Tensor


def snr(alphas_cumprod_T: Tensor) -> Tensor:
    """Signal power over noise power per timestep, (T,); 0 at a zero terminal SNR."""
    return alphas_cumprod_T / (1.0 - alphas_cumprod_T)


def add_noise(latents_BCHW: Tensor, noise_BCHW: Tensor, alphas_cumprod_B: Tensor) -> Tensor:
    """Latents at the noise level of each sample: √ᾱ·latents + √(1-ᾱ)·noise."""
    alphas_B111 = alphas_cumprod_B[:, None, None, None]
    return alphas_B111.sqrt() * latents_BCHW + (1.0 - alphas_B111).sqrt() * noise_BCHW


def velocity(latents_BCHW: Tensor, noise_BCHW: Tensor, alphas_cumprod_B: Tensor) -> Tensor:
    """Target of v-prediction: √ᾱ·noise - √(1-ᾱ)·latents."""
    alphas_B111 = alphas_cumprod_B[:, None, None, None]
    return alphas_B111.sqrt() * noise_BCHW - (1.0 - alphas_B111).sqrt() * latents_BCHW


def zero_terminal_snr(alphas_cumprod_T: Tensor) -> Tensor:
    """The schedule shifted and stretched so that the last timestep is pure noise and the first is unchanged.

    Works on √ᾱ, (T,) in and out. Take the SNR of such a model from the result.
    """
    roots_T = alphas_cumprod_T.sqrt()
    first, last = roots_T[0], roots_T[-1]
    return ((roots_T - last) * (first / (first - last))) ** 2

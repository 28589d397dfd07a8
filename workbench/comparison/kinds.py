"""The pocket model, which predicts noise, made to predict velocity or the flow of a straight path instead.

Its answer is converted exactly, so that it knows what it knew; what trains and samples it sees a model of that kind.

Shapes: B batch, C latent channels, H W latent rows and columns.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ...tests.support.inprocess import HostModules, LoadedModels
from ...tests.support.paths import POCKET_CHECKPOINT

POCKET_OF_KIND = "PocketOfKind"
KINDS = ("v_prediction", "flow")
FLOW_TIMES = 1000.0
"""The host's time of a flow model at full noise."""
Denoiser = Callable[..., Tensor]


def add_node(host: HostModules) -> None:
    """Let graphs load the pocket model of a kind."""

    class PocketOfKind:
        RETURN_TYPES = ("MODEL", "CLIP", "VAE")
        FUNCTION = "load"
        CATEGORY = "workbench"

        @classmethod
        def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the host's name
            return {"required": {"kind": (list(KINDS),)}}

        def load(self, kind: str) -> LoadedModels:
            return pocket_of_kind(host, kind)

    host.module("nodes").NODE_CLASS_MAPPINGS[POCKET_OF_KIND] = PocketOfKind


def pocket_of_kind(host: HostModules, kind: str) -> LoadedModels:
    """A pocket model of its own; an empty kind gives it as it is."""
    loaded = host.load_checkpoint(POCKET_CHECKPOINT)
    if not kind:
        return loaded
    nodes, torch = host.module("comfy_extras.nodes_model_advanced"), host.module("torch")
    sampling, unet = loaded.model.model.model_sampling, loaded.model.model.diffusion_model
    with torch.inference_mode():
        if kind == "flow":
            model = nodes.ModelSamplingSD3().patch(loaded.model, 1.0)[0]
        else:
            model = nodes.ModelSamplingDiscrete().patch(loaded.model, kind, False)[0]
    convert = as_flow if kind == "flow" else as_velocity
    unet.forward = convert(unet.forward, sampling)
    return loaded._replace(model=model)


def as_velocity(denoise: Denoiser, sampling: Any) -> Denoiser:
    """Velocity a ε - s x₀ of a denoiser that predicts ε, where x = a x₀ + s ε and a² + s² = 1."""
    sigmas_T = sampling.sigmas

    def velocity(x_BCHW: Tensor, timesteps: Tensor, *rest: Any, **more: Any) -> Tensor:
        sigma_B111 = sigmas_T[timesteps.long().cpu()][:, None, None, None].to(x_BCHW)
        noise_BCHW = denoise(x_BCHW, timesteps, *rest, **more)
        return noise_BCHW * (1 + sigma_B111**2).sqrt() - x_BCHW * sigma_B111

    return velocity


def as_flow(denoise: Denoiser, sampling: Any) -> Denoiser:
    """Flow ε - x₀ of a denoiser that predicts ε, where x = (1 - s) x₀ + s ε; above its highest noise, as at it."""
    highest = float(sampling.sigma_max)

    def flow(x_BCHW: Tensor, timesteps: Tensor, *rest: Any, **more: Any) -> Tensor:
        share_B = (timesteps / FLOW_TIMES).clamp(1e-4, highest / (1 + highest))
        times_B = sampling.timestep(share_B / (1 - share_B)).to(timesteps)
        share_B111 = share_B[:, None, None, None].to(x_BCHW)
        length_B111 = ((1 - share_B111) ** 2 + share_B111**2).sqrt()
        noise_BCHW = denoise(x_BCHW / length_B111, times_B, *rest, **more)
        return (noise_BCHW - x_BCHW) / (1 - share_B111)

    return flow

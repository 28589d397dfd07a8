"""Cost of a preview relative to the host's own sampling: `start.py previews LAYOUT WEIGHTS` prints JSON.

Both draw a picture of the same size with the same sampler; the preview runs during training, with the network attached.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from ...training.networks.network import Network
from ...training.watch.previews import PreviewSettings
from ..layouts import host_model, map_weights
from .contest import Case
from .pack_trainer import base_model

PROMPT, NEGATIVE = "a", ""
ROUNDS = 3


class _NoVae:
    """Decoding is the host's in both cases and is left out."""

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """The latents, channels last."""
        return samples.movedim(1, -1)[..., :3]


def main(arguments: list[str]) -> None:
    """Time both in turn."""
    case = Case(layout_name=arguments[0], latent=32 if arguments[0] == "sd15" else 16)
    model = host_model(case.layout, map_weights(case.layout, Path(arguments[1])))
    base = base_model(case, model)
    network = Network.create(base.parts(), base.family, case.network(), seed=0)
    side = 8 * case.latent
    settings = PreviewSettings(
        prompts=(PROMPT,), negative=NEGATIVE, width=side, height=side, steps=2, cfg=7.0, sampler="euler"
    )
    contexts = {text: [[context, {}]] for text, context in zip((PROMPT, NEGATIVE), case.contexts(), strict=True)}

    with base.training(is_text_trained=False):
        times: dict[str, list[float]] = {"host": [], "preview": []}
        preview = _preview(model, contexts)
        for _ in range(ROUNDS + 1):
            times["host"].append(_seconds(lambda: _host_sampling(model, contexts, settings)))
            network.attach()
            times["preview"].append(_seconds(lambda: preview(PROMPT, settings)))
            network.detach()
    print(json.dumps({name: median(values[1:]) for name, values in times.items()}))


def _preview(model: Any, contexts: dict[str, Any]) -> Any:
    from ...nodes.comfy_bridge.previews import HostSampler

    sampler = HostSampler(model, None, _NoVae(), is_text_trained=False)
    sampler._known.update(contexts)
    return sampler


def _host_sampling(model: Any, contexts: dict[str, Any], settings: PreviewSettings) -> Any:
    import comfy.sample

    with torch.inference_mode():
        latent = torch.zeros(1, 4, settings.height // 8, settings.width // 8)
        return comfy.sample.sample(
            model, comfy.sample.prepare_noise(latent, settings.seed), settings.steps, settings.cfg, settings.sampler,
            settings.scheduler, contexts[PROMPT], contexts[NEGATIVE], latent, disable_pbar=True, seed=settings.seed,
        )  # fmt: skip


def _seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started

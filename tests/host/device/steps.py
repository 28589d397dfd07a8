"""A few training steps on a loaded model, without graph, dataset or run folder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from pack.training.base_model import ImageSize, PartName, TextConditioning
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from torch import Tensor

SIZE = ImageSize((70, 80), (3, 5), (64, 64))
CAPTIONS = ("a red cat", "a blue dog")


@dataclass(frozen=True)
class Trained:
    """What some steps left."""

    losses: list[float]
    gradients: dict[str, Tensor]
    """Of the last step, on the CPU, without the loss scale."""


def base_model(loaded: Any, **settings: Any) -> Any:
    """The pack's view of a loaded model."""
    from pack.nodes.comfy_bridge.model.base_model import ComfyBaseModel

    return ComfyBaseModel(*loaded, **settings)


def train_steps(
    base: Any,
    settings: NetworkSettings,
    steps: int = 1,
    each: Callable[[int], None] = lambda step: None,
) -> Trained:
    """AdamW at the small rate of 1e-4; `each` is called before every step."""
    parts: tuple[PartName, ...] = settings.parts
    is_text_trained = parts != ("unet",)
    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, settings, 0, base.frozen_tensor).to_parts(base.device_of)
        parameters = dict(network.named_parameters())
        with torch.no_grad():
            frozen = [_plain(text) for text in base.encode_text(CAPTIONS)]
        latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
        optimizer = torch.optim.AdamW(parameters.values(), lr=1e-4)
        losses: list[float] = []
        gradients: dict[str, Tensor] = {}
        with base.training(is_text_trained):
            network.attach()
            network.train(True)
            try:
                for step in range(steps):
                    each(step)
                    network.begin(0, step, 0)
                    texts = base.encode_text(CAPTIONS) if is_text_trained else frozen
                    loss = base.denoise(latents, torch.tensor([300, 500]), texts, [SIZE, SIZE]).square().mean()
                    (loss * base.loss_scale).backward()
                    gradients = {
                        n: p.grad.float().cpu() / base.loss_scale for n, p in parameters.items() if p.grad is not None
                    }
                    optimizer.step()
                    optimizer.zero_grad()
                    losses.append(float(loss.detach()))
            finally:
                network.detach()
    return Trained(losses, gradients)


def _plain(text: TextConditioning) -> TextConditioning:
    pooled = None if text.pooled_D is None else text.pooled_D.clone()
    return TextConditioning(text.context_LD.clone(), pooled)

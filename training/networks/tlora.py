"""LoRA that learns with fewer ranks the more noise there is, so that one picture's background is not learned by heart.

T-LoRA, Soboleva et al. 2025, https://arxiv.org/abs/2507.05964: at timestep t of T the first r(t) ranks act,
r(t) = least + floor((1 - t / T) (rank - least)). Composition is decided at much noise, detail at little: so what a
single picture shows of place and pose has little room. The paper masks ranks when pictures are drawn too; a file is a
plain LoRA, which every program reads and applies whole at every noise level, and so do the previews here.
"""

import torch
from torch import Tensor

from .adapter import Adapter, Forward
from .algorithm import Algorithm, Start
from .lora import FORM, OPTIONS, LoraAdapter, check_linear

LEAST_SHARE = 0.5
"""Part of the ranks that act at pure noise; the paper's."""


class TloraAdapter(LoraAdapter):
    """LoRA with a rank that follows the timestep; same tensors and same file as LoRA."""

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """All ranks when evaluated; when trained, of each sample those that its noise level leaves."""
        noise_B = self.draws.noise_B if self.training else None
        if self.is_dropped or noise_B is None or len(noise_B) != x.shape[0]:
            return super().forward(x, base)
        hidden = self.drop(self.operation(x, self.lora_down.to(x.dtype)))
        shape = [1] * hidden.dim()
        shape[0], shape[self.layer.channel_dim] = len(noise_B), self.rank
        mask = acting_ranks(noise_B, self.rank).to(hidden).view(shape)
        return self.add_up(base(x), hidden * mask, self.lora_up.to(x.dtype))

    @classmethod
    def from_lora(cls, lora: LoraAdapter) -> "TloraAdapter":
        """Train a LoRA's ranks so."""
        return cls(lora.layer, lora.lora_down.detach(), lora.lora_up.detach(), lora.alpha)


def acting_ranks(noise_B: Tensor, rank: int) -> Tensor:
    """1 for each rank that acts at a share of noise 0..1, else 0, (B, rank)."""
    least = max(1, round(LEAST_SHARE * rank))
    count_B = least + ((1.0 - noise_B.double()) * (rank - least)).floor()
    return (torch.arange(rank, device=noise_B.device) < count_B[:, None]).float()


def _create(start: Start) -> TloraAdapter:
    return TloraAdapter.from_lora(LoraAdapter.create(start.layer, start.rank, start.alpha, start.generator))


def _adopt(adapter: Adapter, path: str, settings: object) -> Adapter:
    return TloraAdapter.from_lora(adapter) if type(adapter) is LoraAdapter else adapter


ALGORITHMS = (
    Algorithm(
        name="tlora",
        form=FORM,
        create=_create,
        adopt=_adopt,
        options=OPTIONS - {"weight_decompose"},
        check=check_linear,
        is_ranked=True,
        adapts_kernels=False,
        pairs=1,
        lycoris="tlora",
    ),
)

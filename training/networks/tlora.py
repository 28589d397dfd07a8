"""LoRA that uses fewer ranks at higher noise, so that it does not memorize the background of a single picture.

T-LoRA, Soboleva et al. 2025, https://arxiv.org/abs/2507.05964: at timestep t of T the first r(t) ranks are used, r(t) =
least + floor((1 - t / T) (rank - least)). High noise decides composition, low noise detail, so a single picture's place
and pose get little capacity. The paper masks ranks in sampling too; here a file is a plain LoRA, which every program
applies in full at every noise level, and previews do the same.
"""

import torch
from torch import Tensor

from .adapter import Adapter, Forward
from .algorithm import Algorithm, Start
from .lora import FORM, OPTIONS, LoraAdapter, check_linear

LEAST_SHARE = 0.5
"""Share of the ranks used at pure noise, as in the paper."""


class TloraAdapter(LoraAdapter):
    """LoRA with a rank that follows the timestep; same tensors and same file as LoRA."""

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """All ranks in evaluation; in training, for each sample the ranks that its noise level allows."""
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
        """Train a LoRA's ranks this way."""
        return cls(lora.layer, lora.lora_down.detach(), lora.lora_up.detach(), lora.alpha)


def acting_ranks(noise_B: Tensor, rank: int) -> Tensor:
    """Mask (B, rank): 1 for ranks used at this noise level, else 0. `noise_B` is 0..1."""
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

"""LoRA whose ranks are ordered, so that it can be cut to any smaller rank after training.

DyLoRA, Valipour et al. 2022, https://arxiv.org/abs/2210.07558. Each step draws one block of ranks and trains it on top
of the frozen blocks before it. The paper scales the cut network by alpha / (cut rank), which trains every block for
another scale than the one it is used with in the whole network; here the scale is alpha / rank throughout. So the whole
file is exactly the sum that was trained, and cutting it to k ranks (alpha becomes alpha * k / rank) is exactly what the
draw of block k trained.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .adapter import Adapter, Forward, alpha_tensor
from .algorithm import SIZES, Algorithm, Start
from .layer import Layer
from .lora import FORM, LoraAdapter

if TYPE_CHECKING:
    from .settings import NetworkSettings


class DyloraAdapter(LoraAdapter):
    """LoRA trained block by block; same tensors and same file as LoRA."""

    draw = "dylora_block"

    def __init__(self, layer: Layer, down: Tensor, up: Tensor, alpha: float) -> None:
        super().__init__(layer, down, up, alpha)
        self.block_size = 1
        self.block = 0
        """Block that the current training pass draws."""

    @classmethod
    def from_lora(cls, lora: LoraAdapter, block_size: int) -> "DyloraAdapter":
        """Train a LoRA's ranks block by block; `block_size` divides them."""
        adapter = cls(lora.layer, lora.lora_down.detach(), lora.lora_up.detach(), lora.alpha)
        adapter.block_size = block_size
        return adapter

    def begin_pass(self, number: float) -> None:
        """Choose the block of the coming pass from a number in 0..1."""
        self.block = min(int(number * (self.rank // self.block_size)), self.rank // self.block_size - 1)

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """All ranks in evaluation. In training, ranks up to the drawn block, with gradients for that block only."""
        if not self.training or self.is_dropped:
            return super().forward(x, base)
        start, end = self.block * self.block_size, (self.block + 1) * self.block_size
        down = torch.cat([self.lora_down[:start].detach(), self.lora_down[start:end]]).to(x.dtype)
        up = torch.cat([self.lora_up[:, :start].detach(), self.lora_up[:, start:end]], dim=1).to(x.dtype)
        return self.add_up(base(x), self.drop(self.operation(x, down)), up)

    def file_tensors_at(self, rank: int) -> dict[str, Tensor]:
        """The file cut to a smaller rank, a multiple of the block size."""
        return {
            "lora_down.weight": self.lora_down.detach()[:rank],
            "lora_up.weight": self.lora_up.detach()[:, :rank],
            "alpha": alpha_tensor(self.alpha * rank / self.rank),
        }


def _create(start: Start) -> DyloraAdapter:
    """Initialize as LoRA. A layer that fits less than one block (one of latents) trains as a single block."""
    size = min(start.settings.block_size, start.rank)
    if start.rank % size:
        raise ValueError(f"rank of {start.path} must be a multiple of block_size {size}, got {start.rank}")
    return DyloraAdapter.from_lora(LoraAdapter.create(start.layer, start.rank, start.alpha, start.generator), size)


def _adopt(adapter: Adapter, path: str, settings: "NetworkSettings") -> Adapter:
    if type(adapter) is LoraAdapter and adapter.rank % settings.block_size == 0:
        return DyloraAdapter.from_lora(adapter, settings.block_size)
    return adapter


def _check(settings: "NetworkSettings") -> None:
    for name in ("rank", "conv_rank"):
        value = getattr(settings, name)
        if value is not None and value % settings.block_size:
            raise ValueError(f"{name} must be a multiple of block_size {settings.block_size}, got {value}")


ALGORITHMS = (
    Algorithm(
        name="dylora",
        form=FORM,
        create=_create,
        options=frozenset({"dropout"}),
        sizes=SIZES | {"block_size"},
        check=_check,
        adopt=_adopt,
        is_ranked=True,
        pairs=1,
        lycoris="dylora",
    ),
)

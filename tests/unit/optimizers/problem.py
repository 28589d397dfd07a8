"""A small regression to train optimizers on: a low-rank network finds a low-rank change, as a LoRA does."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

WIDTH, RANK = 64, 4


@dataclass(frozen=True)
class Group:
    """Parameters that share a rate."""

    parameters: list[tuple[str, nn.Parameter]]
    part: str = "unet"
    block_weight: float = 1.0
    is_up: bool = False
    scale: float = 1.0


@dataclass(frozen=True)
class Regression:
    """Down and up matrices that shall become the wanted change."""

    down: nn.Parameter
    up: nn.Parameter
    change: Tensor

    def loss(self, step: int) -> Tensor:
        """Mean squared error on inputs that depend on the step alone; about 1 at the start."""
        inputs = torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(step))
        return ((inputs @ (self.change - self.up @ self.down).T) ** 2).mean()

    def groups(self) -> list[Group]:
        return [Group([("down", self.down)]), Group([("up", self.up)], is_up=True)]

    def copy(self) -> "Regression":
        return Regression(*(nn.Parameter(p.detach().clone()) for p in (self.down, self.up)), self.change)

    def step(self, optimizer: torch.optim.Optimizer, step: int) -> float:
        optimizer.zero_grad()
        loss = self.loss(step)
        loss.backward()
        optimizer.step()
        return loss.item()


def regression() -> Regression:
    """Always the same problem; the network starts without a change."""
    generator = torch.Generator().manual_seed(0)
    change = torch.randn(WIDTH, RANK, generator=generator) @ torch.randn(RANK, WIDTH, generator=generator)
    down = torch.randn(2 * RANK, WIDTH, generator=generator) / WIDTH**0.5
    return Regression(nn.Parameter(down), nn.Parameter(torch.zeros(WIDTH, 2 * RANK)), change / (WIDTH * RANK) ** 0.5)

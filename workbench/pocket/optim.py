"""Muon for matrices and convolutions, AdamW for the rest.

Muon: momentum whose matrix is replaced by the nearest orthogonal one, Jordan et al. 2024,
https://kellerjordan.github.io/posts/muon. On the pocket model it needs fewer steps than AdamW alone.
Its state is a plain dict of tensors, so it can be kept in a safetensors file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrix: Tensor, iterations: int = 5) -> Tensor:
    """The matrix (rows, columns) with its singular values brought near 1, by Newton-Schulz in bfloat16."""
    a, b, c = NEWTON_SCHULZ
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    is_tall = x.shape[0] > x.shape[1]
    x = x.T if is_tall else x
    for _ in range(iterations):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.T if is_tall else x).to(matrix.dtype)


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerConfig:
    """Learning rates and momenta of both halves."""

    muon_lr: float = 0.01
    """Step of the matrices: the root mean square change is about lr / sqrt(columns)."""
    adamw_lr: float = 1e-3
    """Step of norms, biases and thin layers."""
    momentum: float = 0.95
    betas: tuple[float, float] = (0.9, 0.98)
    weight_decay: float = 0.0
    """Of the matrices, times their learning rate."""
    min_side: int = 64
    """Layers with fewer rows or input channels are left to AdamW."""


class MuonAdamW:
    """One optimizer over named parameters."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]], config: OptimizerConfig) -> None:
        self.config = config
        named = dict(named)
        side = config.min_side
        self.matrices = {k: p for k, p in named.items() if p.ndim >= 2 and min(p.shape[:2]) >= side}
        self.others = {k: p for k, p in named.items() if k not in self.matrices}
        self.momenta = {k: torch.zeros_like(p) for k, p in self.matrices.items()}
        self.adamw = torch.optim.AdamW(
            list(self.others.values()), lr=config.adamw_lr, betas=config.betas, weight_decay=0.0, fused=True
        )

    @torch.no_grad()
    def step(self, lr_factor: float) -> None:
        """Applies the gradients with both learning rates multiplied by `lr_factor`, then forgets them."""
        for group in self.adamw.param_groups:
            group["lr"] = self.config.adamw_lr * lr_factor
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        for name, parameter in self.matrices.items():
            if parameter.grad is not None:
                self._step_matrix(parameter, self.momenta[name], self.config.muon_lr * lr_factor)
                parameter.grad = None

    def _step_matrix(self, parameter: nn.Parameter, momentum: Tensor, lr: float) -> None:
        momentum.mul_(self.config.momentum).add_(parameter.grad)
        nesterov = parameter.grad.add(momentum, alpha=self.config.momentum).flatten(1)
        rows, columns = nesterov.shape
        direction = orthogonalize(nesterov) * max(1.0, rows / columns) ** 0.5
        parameter.mul_(1 - lr * self.config.weight_decay)
        parameter.add_(direction.view(parameter.shape), alpha=-lr)

    def state_dict(self) -> dict[str, Tensor]:
        """Everything needed to go on, as flat tensors."""
        state = {f"muon.{name}": momentum for name, momentum in self.momenta.items()}
        for name, parameter in self.others.items():
            for key, value in self.adamw.state[parameter].items():
                state[f"adamw.{name}.{key}"] = value
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state_dict`; names that are not there start at zero."""
        for name, momentum in self.momenta.items():
            if f"muon.{name}" in state:
                momentum.copy_(state[f"muon.{name}"])
        for name, parameter in self.others.items():
            prefix = f"adamw.{name}."
            kept = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            if kept:
                self.adamw.state[parameter] = {key: _laid_out_as(parameter, value) for key, value in kept.items()}


def _laid_out_as(parameter: Tensor, value: Tensor) -> Tensor:
    """A copy in the parameter's memory layout: the fused step goes through both by address, not by index."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value.clone()


def trapezoid(step: int, num_steps: int, warmup_steps: int, decay_share: float) -> float:
    """Learning-rate factor: linear warmup, flat, then linear to zero over the last `decay_share`."""
    warmup = min(1.0, (step + 1) / max(1, warmup_steps))
    decay = min(1.0, max(0.0, (num_steps - step) / max(1.0, decay_share * num_steps)))
    return warmup * decay

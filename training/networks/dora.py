"""Weight-decomposed adaptation (DoRA): the magnitude of the weight's columns is trained beside its direction.

Liu et al. 2024, https://arxiv.org/abs/2402.09353: W' = m (W + delta) / |W + delta|. The norm is taken per input
channel, over everything else: that is the axis which ComfyUI, Forge and A1111 read right. It needs the base weight.

Around a plain LoRA, delta = s B A, nothing of the weight's size is built: with c = m / |W + delta|, per input channel,
W' x = W (c x) + s B (A (c x)), and |W + delta|^2 = |W|^2 + 2 s <B^T W, A> + s^2 <B^T B A, A>. Around other algorithms
W' - W is built, in float32, and applied beside the frozen layer.

Shapes: O out, I in, R rank, F = I times kernel; m is (1, I[, 1, 1]).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .adapter import Adapter, Forward, frobenius
from .draws import Draws
from .form import Tensors
from .layer import Layer
from .lora import LoraAdapter
from .rebuild import RebuiltAdapter

BISECTIONS = 20
EPSILON = torch.finfo(torch.float32).eps
SMALLEST_NORM = 1e-15
"""Negligible beside EPSILON, yet large enough that the change of an all-zero column does not overflow."""
SMALLEST_SHARE = 1e-12
"""Lower limit of a squared norm's share, so that the root's gradient stays finite where a column vanishes."""


class DoraAdapter(RebuiltAdapter):
    """`dora_scale`, the magnitude, around an adapter that gives the direction."""

    def __init__(self, layer: Layer, inner: Adapter, dora_scale: Tensor | None) -> None:
        super().__init__(layer)
        self.inner = inner
        self.up_names = frozenset(f"inner.{name}" for name in inner.up_names)
        if dora_scale is None:
            dora_scale = column_norm(layer.weight(torch.device("cpu")), dim=1)
        self.dora_scale = nn.Parameter(dora_scale)
        self.norm_dim = norm_dim(dora_scale)
        self._base_norm: Tensor | None = None

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors, inner: Adapter) -> "DoraAdapter":
        """Read `dora_scale`, on either axis: (1, I, ...) or, as LyCORIS writes it by default, (O, 1, ...)."""
        scale = tensors["dora_scale"]
        dims = len(layer.weight_shape)
        return cls(layer, inner, scale.reshape(*scale.shape[:2], *[1] * (dims - 2)).clone())

    def bind(self, draws: Draws, index: int, dropout: float, rank_dropout: float) -> None:
        """Bind the inner adapter too, which makes the masks."""
        super().bind(draws, index, dropout, rank_dropout)
        self.inner.bind(draws, index, dropout, rank_dropout)

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Frozen output plus the change; computed from the factors where they are a plain LoRA's."""
        if self.is_dropped or type(self.inner) is not LoraAdapter or self.norm_dim != 1:
            return super().forward(x, base)
        inner = self.inner
        down_RF, up_OR = inner.drop_rows(inner.lora_down.flatten(1)), inner.lora_up.flatten(1)
        factor = self.dora_scale / self._changed_norm(up_OR, down_RF * inner.scale)
        down = down_RF.view(inner.lora_down.shape) * (factor * self.strength)
        hidden = inner.operation(x, down.to(x.dtype))
        change_I = (factor.squeeze(0) if self.layer.is_conv else factor.view(-1)) - 1
        # Multiplied in float32: in bfloat16 the factor itself would have steps of 0.4 %.
        output = base((x * (1 + change_I * self.strength)).to(x.dtype))
        return inner.add_up(output, hidden, inner.lora_up.to(x.dtype))

    def _changed_norm(self, up_OR: Tensor, down_RF: Tensor) -> Tensor:
        """`column_norm` of W + up @ down, in the shape of `dora_scale`; the frozen weight's own while up is zero."""
        if self._base_norm is None or self._base_norm.device != up_OR.device:
            norm = _plain_norm(self.layer.weight(up_OR.device), dim=1).clamp_min(SMALLEST_NORM)
            with torch.inference_mode(False):  # autograd cannot use tensors that a preview makes in inference mode
                self._base_norm = norm.clone()
        products_RF = 2 * FrozenProduct.apply(up_OR, self.layer) + (up_OR.mT @ up_OR) @ down_RF
        added_F = (down_RF * products_RF).sum(0)
        added_I = added_F.view(self.layer.in_size, -1).sum(1)
        share = added_I.view(self.dora_scale.shape) / self._base_norm.square()
        return self._base_norm * (1 + share).clamp_min(SMALLEST_SHARE).sqrt() + EPSILON

    def delta_weight(self) -> Tensor:
        """W' - W."""
        return self._delta(self.inner.delta_weight())

    def drawn_delta(self) -> Tensor:
        """W' - W with the inner adapter's rank dropout."""
        return self._delta(self.inner.drawn_delta())

    def _delta(self, inner_delta: Tensor) -> Tensor:
        return change(self.layer.weight(inner_delta.device), inner_delta, self.dora_scale)

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Find the share of the change that has the wanted norm; the norm is not linear in it."""
        wanted = ratio * float(self.delta_norm())
        base_scale = column_norm(self.layer.weight(self.dora_scale.device), self.norm_dim)
        factors, scale = [factor.clone() for factor in self.inner.factors()], self.dora_scale.clone()
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            self._move(factors, base_scale, scale, middle)
            low, high = (middle, high) if float(self.delta_norm()) < wanted else (low, middle)
        self._move(factors, base_scale, scale, low)

    def _move(self, factors: list[Tensor], base_scale: Tensor, scale: Tensor, share: float) -> None:
        """Set the parameters to a share of the change: 0 is the base weight, 1 the given values."""
        for factor, start in zip(self.inner.factors(), factors, strict=True):
            factor.copy_(start * share ** (1 / len(factors)))
        self.dora_scale.copy_(torch.lerp(base_scale, scale, share))

    def file_tensors(self) -> dict[str, Tensor]:
        """The inner adapter's and `dora_scale`."""
        return {**self.inner.file_tensors(), "dora_scale": self.dora_scale.detach()}


class FrozenProduct(torch.autograd.Function):
    """up^T W, (R, F). The backward pass reads the weight again; autograd would keep the host's cast copy."""

    @staticmethod
    def forward(ctx: Any, up_OR: Tensor, layer: Layer) -> Tensor:
        """Multiply."""
        ctx.layer = layer
        return up_OR.mT @ layer.weight(up_OR.device).to(up_OR.dtype).flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RF: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradient of up."""
        return ctx.layer.weight(grad_RF.device).to(grad_RF.dtype).flatten(1) @ grad_RF.mT, None


def change(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """The formula: W' - W, where W' is W + delta with each row or column scaled to its magnitude.

    `magnitude` is (1, I, ...) for columns or (O, 1, ...) for rows. It divides by the norm of W + delta; for rows,
    ComfyUI's loader divides by the norm of W instead.
    """
    changed = weight + delta
    norm = column_norm(changed, norm_dim(magnitude))
    return changed * (magnitude.reshape(norm.shape) / norm) - weight


def norm_dim(magnitude: Tensor) -> int:
    """Dimension of the weight that a magnitude runs along: 1 = input channels, 0 = output channels."""
    return 1 if magnitude.shape[0] == 1 else 0


def column_norm(weight: Tensor, dim: int) -> Tensor:
    """Norm of each input channel (dim 1) or output channel (dim 0), kept broadcastable; never zero."""
    return _plain_norm(weight, dim) + EPSILON


def _plain_norm(weight: Tensor, dim: int) -> Tensor:
    return frobenius(weight, [d for d in range(weight.dim()) if d != dim])

"""Low-rank Kronecker product, delta = s (w1 kron w2), with w1 or w2 optionally low-rank themselves.

LyCORIS, https://arxiv.org/abs/2309.14859. The product is never built: (w1 kron w2) x reshapes x to (M, N), applies w2
along N and w1 along M. With both factors whole, rank and alpha have no meaning and s is 1.

Shapes: O = L * K out, I = M * N in; w1 (L, M), w2 (K, N[, kernel]).
"""

from dataclasses import dataclass
from math import prod

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .adapter import Adapter, Forward, alpha_tensor, frobenius, gram_norm, kaiming
from .algorithm import SIZES, Algorithm, Start
from .form import SCALED, Form, Tensors, alpha_of
from .layer import Layer
from .split import split
from .tucker import pair

RANK_OPTIONS = frozenset({"rank_dropout"})
SCALE_OPTIONS = frozenset({"alpha", "conv_alpha", "rank_stabilized"})
NAMES = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")


def product(w1_LM: Tensor, w2_KF: Tensor, scale: float) -> Tensor:
    """The formula, (O, F times M)."""
    return torch.kron(w1_LM * scale, w2_KF)


def read(tensors: Tensors) -> dict[str, Tensor]:
    """The factors by name, with a Tucker core folded into `lokr_w2_b`, which may have kernel dimensions."""
    factors = {name: tensors[name] for name in NAMES if name in tensors}
    if "lokr_w2" not in factors:
        factors["lokr_w2_a"], factors["lokr_w2_b"] = pair(tensors, "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    if "scalar" in tensors and not rank_of(factors):
        factors["lokr_w1"] = factors["lokr_w1"] * tensors["scalar"]
    return factors


def without_core(tensors: Tensors) -> dict[str, Tensor]:
    """The same change without a Tucker core, whose product ComfyUI's loader cannot form; it only logs that."""
    if "lokr_t2" not in tensors:
        return dict(tensors)
    factors = read(tensors)
    folded = {"lokr_w2_a": factors["lokr_w2_a"], "lokr_w2_b": factors["lokr_w2_b"].flatten(1)}
    return {name: tensor for name, tensor in tensors.items() if name != "lokr_t2"} | folded


def rank_of(factors: Tensors) -> int:
    """Rank of the low-rank factor, of the second if both are; 0 if both are full matrices."""
    return next((factors[name].shape[0] for name in ("lokr_w2_b", "lokr_w1_b") if name in factors), 0)


def delta(tensors: Tensors, weight: Tensor | None = None) -> Tensor:
    """The change of the weight."""
    factors = read(tensors)
    w1 = factors["lokr_w1"] if "lokr_w1" in factors else factors["lokr_w1_a"] @ factors["lokr_w1_b"]
    if "lokr_w2" in factors:
        w2, kernel = factors["lokr_w2"].flatten(1), factors["lokr_w2"].shape[2:]
    else:
        w2, kernel = factors["lokr_w2_a"] @ factors["lokr_w2_b"].flatten(1), factors["lokr_w2_b"].shape[2:]
    change = product(w1, w2, _scale(tensors, factors))
    return change.reshape(change.shape[0], -1, *kernel)


def factors(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """The Kronecker product of two products is the product of two Kronecker products."""
    found = read(tensors)
    up_1, down_1 = _thin(found["lokr_w1"]) if "lokr_w1" in found else (found["lokr_w1_a"], found["lokr_w1_b"])
    if "lokr_w2" in found:
        (up_2, down_2), kernel = _thin(found["lokr_w2"].flatten(1)), found["lokr_w2"].shape[2:]
    else:
        up_2, down_2 = found["lokr_w2_a"], found["lokr_w2_b"].flatten(1)
        kernel = found["lokr_w2_b"].shape[2:]
    down = torch.kron(down_1, down_2)
    return torch.kron(up_1, up_2) * _scale(tensors, found), down.reshape(down.shape[0], -1, *kernel)


def _scale(tensors: Tensors, factors: Tensors) -> float:
    """Alpha / rank; 1 with two full factors, which have no rank."""
    rank = rank_of(factors)
    return alpha_of(tensors, rank) / rank if rank else 1.0


def _thin(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """A full matrix as a product with the identity on its shorter side."""
    identity = torch.eye(min(matrix.shape), dtype=matrix.dtype, device=matrix.device)
    return (matrix, identity) if matrix.shape[0] >= matrix.shape[1] else (identity, matrix)


@dataclass(frozen=True, slots=True)
class LokrShape:
    """How the weight is split."""

    factor: int
    """See `split`."""
    full_matrix: bool
    """Keep the second factor whole."""
    decompose_both: bool
    """Make the first factor low-rank too where that is smaller."""


class LokrAdapter(Adapter):
    """LoKr on one layer: `lokr_w1` or `lokr_w1_a @ lokr_w1_b`, `lokr_w2` or `lokr_w2_a @ lokr_w2_b`."""

    lokr_w1: nn.Parameter | None
    lokr_w1_a: nn.Parameter | None
    lokr_w1_b: nn.Parameter | None
    lokr_w2: nn.Parameter | None
    lokr_w2_a: nn.Parameter | None
    lokr_w2_b: nn.Parameter | None

    def __init__(self, layer: Layer, factors: dict[str, Tensor], alpha: float) -> None:
        super().__init__(layer)
        for name in NAMES:
            self.register_parameter(name, nn.Parameter(factors[name]) if name in factors else None)
        self.alpha = alpha
        self.rank = rank_of(factors)
        if "lokr_w2" in factors:
            self.unread = RANK_OPTIONS if self.rank else RANK_OPTIONS | SCALE_OPTIONS
        self.unit_scale = alpha / self.rank if self.rank else 1.0
        self.scale = self.unit_scale
        self.operation = layer.operation()

    @classmethod
    def create(
        cls, layer: Layer, rank: int, alpha: float, generator: torch.Generator, shape: LokrShape
    ) -> "LokrAdapter":
        """Initialize as LyCORIS: w1 random, w2 zero. A factor that the rank would not shrink is a full matrix."""
        (rows_1, rows_2) = split(layer.out_size, shape.factor)
        (columns_1, columns_2) = split(layer.in_size, shape.factor)
        kernel = layer.weight_shape[2:]
        factors: dict[str, Tensor] = {}
        if shape.decompose_both and rank < max(rows_1, columns_1) / 2:
            factors["lokr_w1_a"] = kaiming((rows_1, rank), generator)
            factors["lokr_w1_b"] = kaiming((rank, columns_1), generator)
        else:
            factors["lokr_w1"] = kaiming((rows_1, columns_1), generator)
        if shape.full_matrix or rank >= max(rows_2, columns_2) / 2:
            factors["lokr_w2"] = torch.zeros(rows_2, columns_2, *kernel)
        else:
            factors["lokr_w2_a"] = kaiming((rows_2, rank), generator)
            factors["lokr_w2_b"] = torch.zeros(rank, columns_2 * prod(kernel))
        return cls(layer, factors, alpha)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "LokrAdapter":
        """Take the file's factors, with a Tucker core folded into `lokr_w2_b`."""
        factors = {name: factor.contiguous() for name, factor in read(tensors).items()}
        if "lokr_w2_b" in factors:
            factors["lokr_w2_b"] = factors["lokr_w2_b"].flatten(1)
        elif layer.is_conv:
            whole = factors["lokr_w2"]
            factors["lokr_w2"] = whole.reshape(whole.shape[0], -1, *layer.weight_shape[2:])
        return cls(layer, factors, alpha_of(tensors, rank_of(factors) or 1))

    def set_strength(self, strength: float) -> None:
        """Multiply the strength into the scale."""
        super().set_strength(strength)
        self.scale = strength * self.unit_scale

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Frozen output plus both factors applied in turn, in the input's dtype."""
        if self.is_dropped:
            return base(x)
        change = self._spatial(x) if self.layer.is_conv else self._linear(x)
        return base(x).add_(change, alpha=self.scale)

    def _linear(self, x: Tensor) -> Tensor:
        w1 = self.w1().to(x.dtype)
        hidden = self._second(rearrange(x, "... (m n) -> ... m n", m=w1.shape[1]))
        return rearrange(F.linear(hidden.mT, w1), "... k l -> ... (l k)")

    def _spatial(self, x: Tensor) -> Tensor:
        w1 = self.w1().to(x.dtype)
        groups = w1.shape[1]
        hidden = self._second(x.reshape(x.shape[0] * groups, -1, *x.shape[2:]))
        mixed = w1 @ hidden.view(x.shape[0], groups, prod(hidden.shape[1:]))
        return mixed.view(x.shape[0], w1.shape[0] * hidden.shape[1], *hidden.shape[2:])

    def _second(self, x: Tensor) -> Tensor:
        """Apply w2 along N; x is (..., N), or (B, N, H, W) for convolutions."""
        if self.lokr_w2 is not None:
            return self.operation(x, self.lokr_w2.to(x.dtype))
        up, down = (factor.to(x.dtype) for factor in self._low_rank())
        kernel = self.layer.weight_shape[2:]
        hidden = self.operation(x, down.view(self.rank, -1, *kernel))
        if self.training and self.rank_dropout:
            shape = [self.rank, *[1] * len(kernel)]
            hidden = hidden * self.draws.keep_mask("rank_dropout", self.index, shape, self.rank_dropout, hidden)
        return F.conv2d(hidden, up[..., None, None]) if kernel else F.linear(hidden, up)

    def _low_rank(self) -> tuple[nn.Parameter, nn.Parameter]:
        """`lokr_w2_a`, `lokr_w2_b`."""
        assert self.lokr_w2_a is not None and self.lokr_w2_b is not None
        return self.lokr_w2_a, self.lokr_w2_b

    def w1(self) -> Tensor:
        """First factor, (L, M)."""
        if self.lokr_w1 is not None:
            return self.lokr_w1
        assert self.lokr_w1_a is not None and self.lokr_w1_b is not None
        return self.lokr_w1_a @ self.lokr_w1_b

    def delta_weight(self) -> Tensor:
        """The scaled Kronecker product."""
        return self._delta(self.lokr_w2_b)

    def drawn_delta(self) -> Tensor:
        """The delta weight with rank dropout of a low-rank second factor."""
        return self._delta(self.lokr_w2_b if self.lokr_w2_b is None else self.drop_rows(self.lokr_w2_b))

    def _delta(self, w2_b: Tensor | None) -> Tensor:
        if self.lokr_w2 is not None:
            w2 = self.lokr_w2.flatten(1)
        else:
            assert w2_b is not None
            w2 = self._low_rank()[0] @ w2_b
        return product(self.w1(), w2, self.unit_scale).view(self.layer.weight_shape)

    def delta_norm(self) -> Tensor:
        """The norm of a Kronecker product is the product of the norms."""
        second = gram_norm(*self._low_rank()) if self.lokr_w2 is None else frobenius(self.lokr_w2)
        return frobenius(self.w1()) * second * abs(self.unit_scale)

    def file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS's form."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()} | {
            "alpha": alpha_tensor(self.alpha)
        }


def _create(start: Start) -> LokrAdapter:
    settings = start.settings
    shape = LokrShape(settings.factor, settings.full_matrix, settings.decompose_both)
    return LokrAdapter.create(start.layer, start.rank, start.alpha, start.generator, shape)


FORM = Form(
    name="lokr",
    signs=("lokr_w1", "lokr_w1_a"),
    tensors=(*NAMES, "lokr_t2", *SCALED),
    needed=(
        ("lokr_w1", "lokr_w1_a"),
        ("lokr_w1", "lokr_w1_b"),
        ("lokr_w2", "lokr_w2_a"),
        ("lokr_w2", "lokr_w2_b"),
    ),
    delta=delta,
    factors=factors,
    rank=rank_of,
    idle=lambda tensors: frozenset() if rank_of(tensors) else frozenset({"alpha"}),
    read=LokrAdapter.from_tensors,
    loaders="read",
)
ALGORITHMS = (
    Algorithm(
        name="lokr",
        form=FORM,
        create=_create,
        options=frozenset({"rank_dropout", "rank_stabilized", "weight_decompose", "full_matrix", "decompose_both"}),
        sizes=SIZES | {"factor"},
        lycoris="lokr",
    ),
)

"""Low-rank adaptation of linear layers and convolutions, y = W x + s B(A x) with s = alpha / rank.

Hu et al. 2021, https://arxiv.org/abs/2106.09685. On k x k convolutions A is a k x k convolution into R channels and B
a 1 x 1 convolution (LoCon, C3Lier). Rank-stabilized scaling (s = alpha / sqrt(rank), https://arxiv.org/abs/2312.03732)
is stored as alpha * sqrt(rank), so that every reader arrives at the same s.

Shapes: R rank, O out, I in, N rows of the flattened input.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .adapter import Adapter, Forward, alpha_tensor, gram_norm, kaiming
from .algorithm import Algorithm, Start
from .form import SCALED, Form, Tensors, alpha_of, each
from .layer import Layer
from .low_rank import AddLowRank, LowRankLayer, lender
from .products import as_rows
from .tucker import fold

if TYPE_CHECKING:
    from .settings import NetworkSettings


def product(up_OR: Tensor, down_RF: Tensor, scale: float) -> Tensor:
    """The formula: s B A, (O, F)."""
    return up_OR @ (down_RF * scale)


def read(tensors: Tensors) -> tuple[Tensor, Tensor, float]:
    """Up (O, R), down (R, I[, K, K]) with a Tucker core folded in, and alpha."""
    up, down = tensors["lora_up.weight"].flatten(1), tensors["lora_down.weight"]
    if "lora_mid.weight" in tensors:
        down = fold(tensors["lora_mid.weight"], down)
    return up, down, alpha_of(tensors, down.shape[0])


def delta(tensors: Tensors, weight: Tensor | None = None) -> Tensor:
    """The change of the weight."""
    up, down, alpha = read(tensors)
    return product(up, down.flatten(1), alpha / down.shape[0]).reshape(up.shape[0], *down.shape[1:])


def factors(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """Both matrices, with the scale multiplied into up."""
    up, down, alpha = read(tensors)
    return up * (alpha / down.shape[0]), down


def fault(tensors: Tensors) -> str:
    """Up and down with different ranks."""
    above, below = tensors["lora_up.weight"].shape[1], tensors["lora_down.weight"].shape[0]
    is_wrong = above != below and "lora_mid.weight" not in tensors
    return f"has rank {above} above and {below} below" if is_wrong else ""


class LoraAdapter(Adapter):
    """LoRA on one layer: `lora_down` (R, I[, K, K]), `lora_up` (O, R[, 1, 1])."""

    up_names = frozenset({"lora_up"})

    def __init__(self, layer: Layer, down: Tensor, up: Tensor, alpha: float) -> None:
        super().__init__(layer)
        self.lora_down = nn.Parameter(down)
        self.lora_up = nn.Parameter(up)
        self.alpha = alpha
        self.rank = down.shape[0]
        self.scale = self.base_scale = alpha / self.rank
        self.operation = layer.operation()

    @classmethod
    def create(cls, layer: Layer, rank: int, alpha: float, generator: torch.Generator) -> "LoraAdapter":
        """Initialize down as torch does linear layers, up with zero."""
        down = kaiming((rank, *layer.weight_shape[1:]), generator)
        return cls(layer, down, torch.zeros(layer.out_size, rank, *[1] * (down.dim() - 2)), alpha)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "LoraAdapter":
        """Read every form of file: 2-D or 4-D matrices, `lora_mid` (folded into down), no alpha (= rank)."""
        up, down, alpha = read(tensors)
        rank = down.shape[0]
        down = down.reshape(rank, *layer.weight_shape[1:]).contiguous()
        return cls(layer, down, up.reshape(layer.out_size, rank, *[1] * (down.dim() - 2)).contiguous(), alpha)

    def set_strength(self, strength: float) -> None:
        """Multiply the strength into the scale, at no cost per pass."""
        super().set_strength(strength)
        self.scale = strength * self.alpha / self.rank

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Frozen output plus the low-rank path in the input's dtype; the frozen weight is not changed."""
        if self.is_dropped:
            return base(x)
        down, up = self.lora_down.to(x.dtype), self.lora_up.to(x.dtype)
        has_dropout = self.training and (self.dropout or self.rank_dropout)
        lend = None if has_dropout else lender(base, x)
        if lend is not None:
            geometry = self.layer.geometry()
            x_rows = x if geometry else as_rows(x)
            output = LowRankLayer.apply(x_rows, lend, down, up, self.scale, geometry)
            return output if geometry else output.view(*x.shape[:-1], self.layer.out_size)
        hidden = self.operation(x, down)
        if self.training:
            hidden = self.drop(hidden)
        return self.add_up(base(x), hidden, up)

    def add_up(self, output: Tensor, hidden: Tensor, up: Tensor) -> Tensor:
        """Add scale * up(hidden) to the frozen output in place, which saves one tensor of its size per layer."""
        return AddLowRank.apply(output, hidden, up, self.scale)

    def drop(self, hidden: Tensor) -> Tensor:
        """Dropout of activations between down and up, and of whole ranks per sample; DyLoRA passes only some ranks."""
        if self.dropout:
            hidden = hidden * self.draws.keep_mask_of_samples("dropout", self.index, hidden.shape, self.dropout, hidden)
        if self.rank_dropout:
            shape = [1] * hidden.dim()
            shape[0], shape[self.layer.channel_dim] = hidden.shape[0], hidden.shape[self.layer.channel_dim]
            hidden = hidden * self.draws.keep_mask_of_samples(
                "rank_dropout", self.index, shape, self.rank_dropout, hidden
            )
        return hidden

    def delta_weight(self) -> Tensor:
        """(alpha / rank) up @ down."""
        return self._delta(self.lora_down.flatten(1))

    def drawn_delta(self) -> Tensor:
        """The same with rank dropout."""
        return self._delta(self.drop_rows(self.lora_down.flatten(1)))

    def _delta(self, down_RF: Tensor) -> Tensor:
        return product(self.lora_up.flatten(1), down_RF, self.alpha / self.rank).view(self.layer.weight_shape)

    def delta_norm(self) -> Tensor:
        """Norm from the Gram matrices of the factors."""
        return gram_norm(self.lora_up.flatten(1), self.lora_down.flatten(1)) * abs(self.alpha / self.rank)

    def file_tensors(self) -> dict[str, Tensor]:
        """The form of kohya's files."""
        return {
            "lora_down.weight": self.lora_down.detach(),
            "lora_up.weight": self.lora_up.detach(),
            "alpha": alpha_tensor(self.alpha),
        }


def _create(start: Start) -> LoraAdapter:
    return LoraAdapter.create(start.layer, start.rank, start.alpha, start.generator)


def check_linear(settings: "NetworkSettings") -> None:
    """Refuse a rank or alpha for k x k convolutions, for algorithms that do not adapt them.

    Raises:
        ValueError: Naming the setting.
    """
    given = settings.of_convolutions()
    if given:
        raise ValueError(
            f"{given[0]} must be unset for algorithm {settings.algorithm}, which adapts no k x k convolution; "
            "choose locon"
        )


FORM = Form(
    name="lora",
    signs=("lora_up.weight",),
    tensors=("lora_up.weight", "lora_down.weight", "lora_mid.weight", *SCALED),
    needed=each("lora_up.weight", "lora_down.weight"),
    delta=delta,
    factors=factors,
    rank=lambda tensors: tensors["lora_down.weight"].shape[0],
    fault=fault,
    read=LoraAdapter.from_tensors,
    loaders="read",
)
OPTIONS = frozenset({"dropout", "rank_dropout", "rank_stabilized", "weight_decompose"})
"""Options of the settings that LoRA uses."""
ALGORITHMS = (
    Algorithm(
        name="lora",
        form=FORM,
        create=_create,
        options=OPTIONS,
        sizes=frozenset({"rank", "alpha"}),
        check=check_linear,
        is_ranked=True,
        adapts_kernels=False,
        pairs=1,
        sd_scripts="networks.lora",
    ),
    Algorithm(
        name="locon",
        form=FORM,
        create=_create,
        options=OPTIONS,
        is_ranked=True,
        is_wide=True,
        pairs=1,
        lycoris="locon",
        sd_scripts="networks.lora",
    ),
)

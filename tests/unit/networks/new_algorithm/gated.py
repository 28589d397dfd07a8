"""An algorithm as a contributor would add it: delta = s U diag(g) V, whose ranks have a trained gate each.

The test copies this file to `training/networks/gated.py`. Shapes: R rank, O out, I in, K kernel, F = I times kernel.
"""

import torch
from torch import Tensor, nn

from .adapter import alpha_tensor, kaiming
from .algorithm import Algorithm, Start
from .form import SCALED, Form, Tensors, alpha_of, each
from .layer import Layer
from .rebuild import RebuiltAdapter

NAMES = ("gated_u", "gated_g", "gated_v")


def product(u_OR: Tensor, g_R: Tensor, v_RF: Tensor, scale: float) -> Tensor:
    """The formula, (O, F)."""
    return (u_OR * (g_R * scale)) @ v_RF


def delta(tensors: Tensors, weight: Tensor | None = None) -> Tensor:
    """The change of the weight."""
    u, g, v = (tensors[name] for name in NAMES)
    return product(u, g, v.flatten(1), alpha_of(tensors, len(g)) / len(g)).reshape(len(u), *v.shape[1:])


def factors(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """Gates and scale in the first matrix."""
    u, g, v = (tensors[name] for name in NAMES)
    return u * (g * (alpha_of(tensors, len(g)) / len(g))), v


class GatedAdapter(RebuiltAdapter):
    """`gated_u` (O, R), `gated_g` (R,), `gated_v` (R, I[, K, K])."""

    def __init__(self, layer: Layer, tensors: Tensors) -> None:
        super().__init__(layer)
        self.gated_u, self.gated_g, self.gated_v = (nn.Parameter(tensors[name].clone()) for name in NAMES)
        self.rank = len(self.gated_g)
        self.alpha = alpha_of(tensors, self.rank)

    def delta_weight(self) -> Tensor:
        """By the formula."""
        v_RF = self.gated_v.flatten(1)
        return product(self.gated_u, self.gated_g, v_RF, self.alpha / self.rank).view(self.layer.weight_shape)

    def file_tensors(self) -> dict[str, Tensor]:
        """Parameters and alpha."""
        own = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return own | {"alpha": alpha_tensor(self.alpha)}


def create(start: Start) -> GatedAdapter:
    """Matrices random, gates zero: no change."""
    layer, rank = start.layer, start.rank
    u, v = kaiming((layer.out_size, rank), start.generator), kaiming((rank, *layer.weight_shape[1:]), start.generator)
    tensors = {"gated_u": u, "gated_g": torch.zeros(rank), "gated_v": v, "alpha": torch.tensor(start.alpha)}
    return GatedAdapter(layer, tensors)


FORM = Form(
    name="gated",
    signs=("gated_g",),
    tensors=(*NAMES, *SCALED),
    needed=each(*NAMES),
    delta=delta,
    factors=factors,
    rank=lambda tensors: len(tensors["gated_g"]),
    read=GatedAdapter,
)
ALGORITHMS = (
    Algorithm(name="gated", form=FORM, create=create, options=frozenset({"rank_stabilized"}), is_ranked=True),
)

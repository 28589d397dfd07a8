"""Changes of a LoRA that the host reads not at all, or otherwise than they were trained, by this pack's formulas."""

from collections.abc import Callable
from typing import Any

import torch
from comfy.weight_adapter.base import WeightAdapterBase
from torch import Tensor

from ....training.networks import boft
from ....training.networks.algorithms import form_of
from ....training.tools.deltas import Parts, delta_weight

_MATRICES = {"hada_w1_a", "lokr_w2_b"}
"""Factors that the host multiplies as they are; some tools give them the kernel's dimensions."""
_NEVER_DECOMPOSED = ("full", "oft", "boft")
"""Forms whose magnitudes the host leaves out without a word."""


def is_ours(parts: Parts, as_trained: bool) -> bool:
    """Whether a module of a LoRA is computed here, since the host cannot read it or reads it otherwise than trained."""
    form = form_of(parts)
    if form is None:
        return False  # the host logs what it cannot read
    if form.loaders == "none" or parts.keys() & {"bm.weight", "scalar", "lokr_t2"}:
        return True
    if (form is boft.FORM and "alpha" not in parts) or any(parts[name].ndim > 2 for name in _MATRICES & parts.keys()):
        return True
    if "dora_scale" in parts and form.name in _NEVER_DECOMPOSED:
        return True
    by_rows = "dora_scale" in parts and parts["dora_scale"].shape[0] > 1
    return as_trained and (by_rows or form.loaders == "differ")


class ChangeByFormula(WeightAdapterBase):
    """A change of one weight by the formulas of `training.tools.deltas`, scaled linearly by a strength.

    `weights` is (suffixes, tensors): the host moves the tensors of such tuples between devices.
    """

    name = "bakery"

    def __init__(self, loaded_keys: set[str], weights: tuple[tuple[str, ...], tuple[Tensor, ...]]) -> None:
        self.loaded_keys = loaded_keys
        self.weights: Any = weights

    def calculate_weight(  # noqa: PLR0913 - the host's signature
        self,
        weight: Tensor,
        key: str,
        strength: float,
        strength_model: float,
        offset: Any,
        function: Callable[[Tensor], Tensor],
        intermediate_dtype: torch.dtype = torch.float32,
        original_weight: Any = None,
    ) -> Tensor:
        """The changed weight, in place if the dtype allows, as the host's adapters do."""
        suffixes, tensors = self.weights
        # In float32 whatever the host asks for: half precision has no solver and loses a norm by rows.
        precise = weight.to(torch.float32)
        moved = (tensor.to(weight.device) for tensor in tensors)
        change = delta_weight(dict(zip(suffixes, moved, strict=True)), precise)
        weight += function((strength * change).to(weight.dtype))
        return weight

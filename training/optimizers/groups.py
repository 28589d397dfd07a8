"""What an optimizer needs to know about a group of parameters."""

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ..base_model import PartName


class TrainableGroup(Protocol):
    """Parameters with the same learning rate; `networks.ParameterGroup` implements it."""

    @property
    def part(self) -> PartName:
        """Part of the base model."""
        ...

    @property
    def block_weight(self) -> float:
        """Learning weight of their block; 1 = the part's learning rate."""
        ...

    @property
    def is_up(self) -> bool:
        """True for up matrices, which LoRA+ trains faster."""
        ...

    @property
    def scale(self) -> float:
        """Alpha / rank."""
        ...

    @property
    def parameters(self) -> Sequence[tuple[str, nn.Parameter]]:
        """The trained parameters by name."""
        ...

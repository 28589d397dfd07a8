"""What an optimizer asks of a group of parameters."""

from collections.abc import Sequence
from typing import Protocol

from torch import nn

from ..base_model import PartName


class TrainableGroup(Protocol):
    """Parameters that share a rate; `networks.ParameterGroup` is one."""

    @property
    def part(self) -> PartName:
        """Part of the base model they change."""
        ...

    @property
    def block_weight(self) -> float:
        """Learning weight of their block; 1 = the part's rate."""
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
        """What is trained, with names."""
        ...

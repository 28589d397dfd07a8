"""What a tool did to a LoRA: rank and error by module, size, seconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

_WORST_SHOWN = 5
_MIB = 1 << 20
_ROUNDING = {torch.float16: ("fp16", "0.03"), torch.bfloat16: ("bf16", "0.25")}
"""Percent of a change that is lost when both factors are rounded to a dtype."""


@dataclass(frozen=True, slots=True)
class LayerReport:
    """One module."""

    name: str
    rank_before: int
    """Rank of the input (the largest of several); 0 for a full matrix."""
    rank_after: int
    """Rank written; 0 for a full matrix."""
    norm: float
    """Frobenius norm of the wanted change."""
    error: float
    """Frobenius norm of what the result lacks."""

    @property
    def relative_error(self) -> float:
        """Error as a share of the norm, 0 if there was no change."""
        return self.error / self.norm if self.norm else 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """All modules of a result."""

    layers: tuple[LayerReport, ...]
    bytes_before: int
    """Bytes of all input tensors."""
    bytes_after: int
    """Bytes of all tensors of the result."""
    notes: tuple[str, ...] = field(default=())
    """Notes for the user: modules left out, kept in full, ..."""

    @property
    def relative_error(self) -> float:
        """Frobenius norm of everything missing as a share of everything wanted."""
        norm = sum(layer.norm**2 for layer in self.layers)
        return (sum(layer.error**2 for layer in self.layers) / norm) ** 0.5 if norm else 0.0

    def text(self) -> str:
        """A few lines for the user: ranks, size, total error, the worst modules, notes."""
        ranks = [layer.rank_after for layer in self.layers if layer.rank_after]
        lines = [
            f"modules: {len(self.layers)}, rank {_span(ranks)}",
            f"size: {self.bytes_before / _MIB:.1f} MiB -> {self.bytes_after / _MIB:.1f} MiB",
            f"error: {self.relative_error:.3%} of the change (Frobenius norm)",
        ]
        worst = sorted(self.layers, key=lambda layer: -layer.relative_error)[:_WORST_SHOWN]
        lines += [
            f"  {layer.relative_error:.3%}  rank {layer.rank_after}  {layer.name}" for layer in worst if layer.error > 0
        ]
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def unsaved_notes(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Note that a result is float32 until it is saved, so that its size is not that of most files."""
    is_full = {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    return ("the size is that of float32; saved as fp16, the usual, it is half",) if is_full else ()


def rounding_notes(tensors: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Note that the layers' errors exclude the rounding of the result to its dtype."""
    types = {tensor.dtype for tensor in tensors.values()}
    return tuple(
        f"the error is that before rounding to {name}, which adds about {percent}%"
        for dtype, (name, percent) in _ROUNDING.items()
        if dtype in types
    )


def size_of(tensors: Mapping[str, Tensor]) -> int:
    """Bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


def _span(ranks: list[int]) -> str:
    if not ranks:
        return "-"
    return str(min(ranks)) if min(ranks) == max(ranks) else f"{min(ranks)} to {max(ranks)}"

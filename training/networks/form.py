"""How a file stores the change of one module: tensor names, formula, factors.

Every algorithm's file declares a `Form`. `algorithms.py` lists them; readers and tools of LoRA files look them up
there. Tensors are named by suffix, which is what follows `<key>.` in the file.

Shapes: O out, I in, R rank, K kernel rows and columns (absent for linear layers).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from .adapter import Adapter
from .layer import Layer

Tensors = Mapping[str, Tensor]
"""Tensors of one module by suffix: `lora_up.weight`, `alpha`, ..."""
SCALED = ("alpha", "scalar")
"""Suffixes of forms that are scaled by alpha / rank, and by LyCORIS's `scalar` if a file has one."""
Loaders = Literal["read", "differ", "none"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Form:
    """One way to store a change. Its functions are pure and get float32 or float64 tensors."""

    name: str
    """The name that tools show."""
    signs: tuple[str, ...]
    """A module that has one of these tensors is of this form."""
    sign_dims: int | None = None
    """Dimensions of that tensor, if only they tell two forms apart."""
    tensors: tuple[str, ...]
    """Every tensor that the change depends on."""
    untrained: tuple[str, ...] = ()
    """Tensors that `read` does not support: such a file can be applied and merged, but not trained further."""
    needed: tuple[tuple[str, ...], ...] = ()
    """Required tensors; an entry with several names requires one of them."""
    idle: Callable[[Tensors], frozenset[str]] = lambda tensors: frozenset()
    """Tensors that are present but change nothing, whatever they hold: alpha where there is no rank."""
    needs_weight: bool = False
    """Whether the change depends on the base weight, so that the file alone does not determine it."""
    is_vector: bool = False
    """Whether only vectors change: biases, scales of normalizations."""
    delta: Callable[[Tensors, Tensor | None], Tensor] | None
    """The change of the weight at strength 1, (O, I, K, K) or a shape with as many elements.

    Takes the module's tensors and, if `needs_weight`, the base weight. None if only the bias changes.
    """
    factors: Callable[[Tensors], tuple[Tensor, Tensor]] | None = None
    """The change as a product: up (O, R) and down (R, I[, K, K]). Merging and resizing then need no full matrix."""
    rank: Callable[[Tensors], int] = lambda tensors: 0
    """Width of the factors; 0 without factors."""
    fault: Callable[[Tensors], str] = lambda tensors: ""
    """What is wrong with a module that has all required tensors, such as shapes that do not match; else empty."""
    read: Callable[[Layer, Tensors], Adapter] | None = None
    """Creates the adapter that trains a file's tensors (float32) further. None if the form cannot be trained."""
    loaders: Loaders = "none"
    """How common loaders (ComfyUI's, the web UIs') apply it: as trained, differently, or not at all."""

    def matches(self, tensors: Tensors) -> bool:
        """Whether a module's tensors are of this form."""
        found = next((tensors[name] for name in self.signs if name in tensors), None)
        return found is not None and self.sign_dims in (None, found.ndim)

    def lacking(self, tensors: Tensors) -> list[str]:
        """Required tensors that are missing."""
        return [names[0] for names in self.needed if not set(names) & tensors.keys()]


def each(*names: str) -> tuple[tuple[str, ...], ...]:
    """An entry of `Form.needed` for each of these tensors."""
    return tuple((name,) for name in names)


def alpha_of(tensors: Tensors, rank: int) -> float:
    """Alpha of a module times LyCORIS's `scalar`; without alpha, alpha / rank is 1."""
    alpha = float(tensors["alpha"]) if "alpha" in tensors else float(rank)
    return alpha * float(tensors["scalar"]) if "scalar" in tensors else alpha

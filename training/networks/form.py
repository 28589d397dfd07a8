"""What a change of one module looks like in a file: names of its tensors, formula, factors.

Every algorithm's file declares a `Form`; `algorithms.py` lists them, and the readers and tools of LoRA files ask there.
Tensors go by suffix: what follows `<key>.` in the file.

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
"""Suffixes of forms whose change is multiplied by alpha / rank, and by LyCORIS's `scalar` where a file has one."""
Loaders = Literal["read", "differ", "none"]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Form:
    """One way in which files hold a change. Its functions are pure; the tensors they get are float32 or float64."""

    name: str
    """What the tools call it."""
    signs: tuple[str, ...]
    """A module that has one of these tensors is of this form."""
    sign_dims: int | None = None
    """Dimensions of that tensor, where only they tell two forms apart."""
    tensors: tuple[str, ...]
    """Every tensor that the change depends on."""
    untrained: tuple[str, ...] = ()
    """Those of them that `read` leaves out: a file with one can be applied and merged, but not trained on."""
    needed: tuple[tuple[str, ...], ...] = ()
    """Tensors that must be there; of several in one entry, one."""
    idle: Callable[[Tensors], frozenset[str]] = lambda tensors: frozenset()
    """Those that are there and change nothing, whatever they hold: alpha where no rank is."""
    needs_weight: bool = False
    """Whether the change depends on the base weight, so that the file alone does not tell it."""
    is_vector: bool = False
    """Whether only vectors change: biases, scales of normalizations."""
    delta: Callable[[Tensors, Tensor | None], Tensor] | None
    """The change of the weight at strength 1, (O, I, K, K) or a shape of as many elements, from the module's tensors
    and the base weight, which is given where `needs_weight`. None where only the bias changes."""
    factors: Callable[[Tensors], tuple[Tensor, Tensor]] | None = None
    """The same as a product: up (O, R) and down (R, I[, K, K]). With it, merging and resizing need no full matrix."""
    rank: Callable[[Tensors], int] = lambda tensors: 0
    """Width of the factors; 0 where there are none."""
    fault: Callable[[Tensors], str] = lambda tensors: ""
    """What is wrong with a module that has every needed tensor, such as shapes that do not fit; empty for nothing."""
    read: Callable[[Layer, Tensors], Adapter] | None = None
    """The adapter that goes on training a file's tensors (float32). None where the form cannot be trained."""
    loaders: Loaders = "none"
    """How common loaders (ComfyUI's, the web UIs') take it: as it was trained, differently, or not at all."""

    def matches(self, tensors: Tensors) -> bool:
        """Whether a module's tensors are of this form."""
        found = next((tensors[name] for name in self.signs if name in tensors), None)
        return found is not None and self.sign_dims in (None, found.ndim)

    def lacking(self, tensors: Tensors) -> list[str]:
        """Needed tensors that are not there."""
        return [names[0] for names in self.needed if not set(names) & tensors.keys()]


def each(*names: str) -> tuple[tuple[str, ...], ...]:
    """`Form.needed` for tensors that must all be there."""
    return tuple((name,) for name in names)


def alpha_of(tensors: Tensors, rank: int) -> float:
    """Alpha of a module, times LyCORIS's `scalar`; without alpha the scale alpha / rank is 1."""
    alpha = float(tensors["alpha"]) if "alpha" in tensors else float(rank)
    return alpha * float(tensors["scalar"]) if "scalar" in tensors else alpha

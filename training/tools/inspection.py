"""What a LoRA contains: algorithm, ranks, where and how much it changes the model, metadata, signs of trouble."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from ..base_model import ModelFamily
from ..files.formats import Tensors, split_modules
from ..files.names import UNET_PREFIX
from ..files.types import is_finite
from ..networks.algorithms import form_of
from ..networks.block_weights import block_names
from .deltas import Parts, algorithm_of, check_complete, delta_weight, is_sound, unread
from .factors import Factors, factors_of
from .linear_algebra import frobenius
from .metadata_text import metadata_lines
from .report import size_of
from .strengths import block_of_name

_EXPLODED = 30.0
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class ModuleInfo:
    """One module of a LoRA."""

    name: str
    algorithm: str
    rank: int
    """Width of the factors; 0 without factors."""
    alpha: float | None
    norm: float | None
    """Frobenius norm of the change; None if it depends on the base model."""
    num_changed: int
    """Number of the weight's elements; 0 if the norm is unknown."""
    is_finite: bool
    """Whether its tensors are free of NaN and infinity."""
    unread: tuple[str, ...] = ()
    """Its tensors that no formula here uses."""

    @property
    def rms(self) -> float | None:
        """Root mean square of an element's change."""
        return None if self.norm is None or not self.num_changed else self.norm / self.num_changed**0.5


@dataclass(frozen=True, slots=True)
class LoraInfo:
    """Everything that can be told about a LoRA without its base model."""

    family: ModelFamily
    modules: tuple[ModuleInfo, ...]
    block_norms: Mapping[str, float]
    """Frobenius norm of all changes in a block, by block name in the order of the U-Net."""
    broken_blocks: tuple[str, ...]
    """Blocks with modules that contain NaN or infinity, which their norm excludes."""
    num_bytes: int
    dtypes: tuple[str, ...]
    metadata: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def has_workflow(self) -> bool:
        """Whether dropping the file on the canvas opens a graph."""
        return "workflow" in self.metadata

    def text(self) -> str:
        """Several lines for the user."""
        algorithms = Counter(module.algorithm for module in self.modules)
        sizes = Counter((module.rank, module.alpha) for module in self.modules if module.rank)
        lines = [
            f"family: {self.family}",
            f"algorithm: {', '.join(f'{name} ({count})' for name, count in algorithms.most_common())}",
            f"rank / alpha: {', '.join(_size_text(size, count) for size, count in sizes.most_common(4)) or '-'}",
            *(_part_text(name, self.modules) for name in _parts(self.modules)),
            f"size: {self.num_bytes / (1 << 20):.1f} MiB, {', '.join(self.dtypes)}",
            f"workflow inside: {'yes' if self.has_workflow else 'no'}",
        ]
        return "\n".join([*lines, *metadata_lines(self.metadata), *(f"warning: {text}" for text in self.warnings)])


def inspect_lora(tensors: Tensors, family: ModelFamily, metadata: Mapping[str, str]) -> LoraInfo:
    """Inspect every module; changes nothing. Takes kohya names (`to_kohya`).

    Raises:
        ValueError: A module lacks a tensor, or its factors do not match.
    """
    modules = tuple(_module_info(name, parts) for name, parts in split_modules(tensors).items())
    squares: dict[str, float] = dict.fromkeys((*block_names(family), _OTHER), 0.0)
    blocks = {module.name: block_of_name(module.name, family) or _OTHER for module in modules}
    for module in modules:
        block = blocks[module.name]
        squares[block] = squares.get(block, 0.0) + (module.norm or 0.0) ** 2
    present = set(blocks.values())
    return LoraInfo(
        family=family,
        modules=modules,
        block_norms={block: total**0.5 for block, total in squares.items() if block in present},
        broken_blocks=tuple(dict.fromkeys(blocks[module.name] for module in modules if not module.is_finite)),
        num_bytes=size_of(tensors),
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in tensors.values()})),
        metadata=metadata,
        warnings=tuple(_warnings(modules)),
    )


def _module_info(name: str, parts: Parts) -> ModuleInfo:
    check_complete(name, parts)
    is_whole = is_sound(parts)
    algorithm = algorithm_of(parts)
    form = form_of(parts)
    rank = 0 if form is None else form.rank(parts)
    alpha = float(parts["alpha"]) if "alpha" in parts and is_finite(parts["alpha"]) else None
    norm, num_changed = _norm(name, parts) if is_whole else (None, 0)
    label = f"dora on {algorithm}" if "dora_scale" in parts else algorithm
    return ModuleInfo(name, label, rank, alpha, norm, num_changed, is_whole, tuple(unread(parts)))


def _norm(name: str, parts: Parts) -> tuple[float | None, int]:
    bare = {suffix: tensor for suffix, tensor in parts.items() if suffix != "dora_scale"}
    form = form_of(bare)
    if form is None or form.delta is None or form.needs_weight:
        return None, 0
    factors = factors_of(name, bare)
    if factors is not None:
        return _norm_of_product(factors), factors.up_OR.shape[0] * factors.down_RI.shape[1]
    delta = delta_weight(bare)
    return frobenius(delta), delta.numel()


def _norm_of_product(factors: Factors) -> float:
    """Frobenius norm of up @ down from the factors' own products, trace((U'U)(DD'))."""
    up, down = factors.up_OR.double(), factors.down_RI.double()
    return max(float(((up.T @ up) * (down @ down.T)).sum()), 0.0) ** 0.5


def _warnings(modules: tuple[ModuleInfo, ...]) -> list[str]:
    found: list[str] = []
    broken = [module.name for module in modules if not module.is_finite]
    if broken:
        found.append(f"NaN or infinity in {_count(broken)}, first {broken[0]}: the file is broken")
    unread = [module for module in modules if module.unread]
    if unread:
        words = ", ".join(sorted({suffix for module in unread for suffix in module.unread}))
        found.append(f"{words} of {_count(unread)} is not read here, first {unread[0].name}; tools refuse the file")
    rms = {module.name: module.rms for module in modules if module.rms is not None}
    dead = [name for name, value in rms.items() if value == 0]
    if dead:
        found.append(f"no change by {_count(dead)} of {len(modules)}, first {dead[0]}")
    alive = [value for value in rms.values() if value]
    exploded = [name for name, value in rms.items() if value and value > _EXPLODED * median(alive)]
    if exploded:
        found.append(f"more than {_EXPLODED:g} times the usual change in {_count(exploded)}, first {exploded[0]}")
    high = [module for module in modules if module.rank and module.alpha and module.alpha > module.rank]
    if high:
        found.append(f"alpha is above the rank in {_count(high)} ({high[0].alpha:g} / {high[0].rank})")
    text = [module for module in modules if not module.name.startswith(UNET_PREFIX)]
    if not any(module.norm for module in text):
        found.append("the text encoder is untouched" if not text else "the text encoder's modules change nothing")
    return found


def _count(modules: Sequence[object]) -> str:
    return f"{len(modules)} module{'' if len(modules) == 1 else 's'}"


def _parts(modules: tuple[ModuleInfo, ...]) -> list[str]:
    return sorted({_part(module.name) for module in modules}, reverse=True)


def _part(name: str) -> str:
    if name.startswith(UNET_PREFIX):
        return "U-Net"
    return "text encoder 2" if name.startswith("lora_te2_") else "text encoder"


def _part_text(part: str, modules: tuple[ModuleInfo, ...]) -> str:
    own = [module for module in modules if _part(module.name) == part]
    norm = sum((module.norm or 0.0) ** 2 for module in own) ** 0.5
    return f"{part}: {len(own)} modules, norm {norm:.3g}"


def _size_text(size: tuple[int, float | None], count: int) -> str:
    rank, alpha = size
    return f"{rank} / {'none' if alpha is None else f'{alpha:g}'} ({count})"

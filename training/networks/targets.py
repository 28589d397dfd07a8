"""Which modules of a base model receive an adapter."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from re import compile as regex
from typing import cast

from torch import nn

from ..base_model import ModelFamily, PartName
from .algorithms import find_algorithm
from .block_weights import block_of
from .layer import Layer, is_linear
from .names import file_keys
from .settings import NetworkSettings, TargetPreset

UNET_PATTERNS: Mapping[TargetPreset, re.Pattern[str]] = {
    "attention": regex(r".*\.attn\d\.to_(q|k|v|out\.0)"),
    "attention_feed_forward": regex(r".*\.(proj_in|proj_out|transformer_blocks\..*)"),
    "blocks": regex(r"(input_blocks\.(?!0\.)|middle_block\.|output_blocks\.).*"),
    "all_linear": regex(r".*"),
    "all": regex(r".*"),
}
TEXT_ATTENTION = regex(r".*\.self_attn\.(q_proj|k_proj|v_proj|out_proj)")
TEXT_ANY = regex(r".*\.(self_attn\.(q_proj|k_proj|v_proj|out_proj)|mlp\.fc[12])")
NORM_TYPES = (nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True, slots=True)
class Target:
    """A module that receives an adapter."""

    part: PartName
    path: str
    """Path inside the part."""
    key: str
    """Key in the file, without suffix."""
    block: str | None
    """Block for block weights; None outside the blocks."""
    module: nn.Module


def find_modules(parts: Mapping[PartName, nn.Module], family: ModelFamily) -> list[Target]:
    """Every module of the parts that could be adapted: Linear, ungrouped Conv2d, and normalization with weights.

    A layer within another one, as other packs wrap it, is part of that.
    """
    found: list[Target] = []
    for part, root in parts.items():
        modules = module_paths(root)
        keys = file_keys(modules, part, family)
        found += [
            Target(part, path, keys[path], block_of(path, part, family), module)
            for path, module in modules.items()
            if is_adaptable(module) and not any(is_adaptable(modules[above]) for above in _above(path))
        ]
    return found


def _above(path: str) -> Iterator[str]:
    """Paths of the modules that hold the one at `path`."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


def select_targets(parts: Mapping[PartName, nn.Module], family: ModelFamily, settings: NetworkSettings) -> list[Target]:
    """The modules that the settings ask for, in the order of the model; normalization layers if `train_norms`.

    Raises:
        ValueError: a part is missing, a pattern matches nothing, or nothing is left.
    """
    wanted: list[PartName] = [part for part in settings.parts if not (part == "text_encoder_2" and family == "sd15")]
    missing = [part for part in wanted if part not in parts]
    if missing:
        have = ", ".join(parts) or "none"
        raise ValueError(f"parts must be parts of the base model ({have}), got {', '.join(missing)}; connect its CLIP")
    candidates = [
        target for target in find_modules({part: parts[part] for part in wanted}, family) if is_wanted(target, settings)
    ]
    for name, patterns in (("include", settings.include), ("exclude", settings.exclude)):
        for pattern in patterns:
            if not any(_matches(target, pattern) for target in candidates):
                example = candidates[0].path if candidates else "nothing"
                raise ValueError(
                    f"{name} pattern {pattern!r} must match a targeted module (such as {example}), got none"
                )
    chosen = [
        target
        for target in candidates
        if (not settings.include or any(_matches(target, pattern) for pattern in settings.include))
        and not any(_matches(target, pattern) for pattern in settings.exclude)
    ]
    if not chosen:
        raise ValueError(
            f"the network must adapt at least one module, got none: targets {settings.targets}, "
            f"include {settings.include}, exclude {settings.exclude} of parts {', '.join(wanted)}"
        )
    return chosen


def is_wanted(target: Target, settings: NetworkSettings) -> bool:
    """Whether the preset covers a module, before patterns."""
    if isinstance(target.module, NORM_TYPES):
        return settings.train_norms and target.part == "unet"
    algorithm = find_algorithm(settings.algorithm)
    is_narrow = settings.preset in ("attention", "attention_feed_forward")
    if algorithm.own_targets and is_narrow and not algorithm.own_targets.fullmatch(target.path):
        return False
    if target.part != "unet":
        return bool((TEXT_ATTENTION if settings.preset == "attention" else TEXT_ANY).fullmatch(target.path))
    if not UNET_PATTERNS[settings.preset].fullmatch(target.path):
        return False
    linear_only = not algorithm.adapts_kernels or settings.preset == "all_linear"
    return not (linear_only and Layer.of(target.module).is_spatial)


def module_paths(root: nn.Module) -> dict[str, nn.Module]:
    """Every module of a part by path, in the order of the model."""
    return dict(cast("Iterator[tuple[str, nn.Module]]", root.named_modules()))


def is_adaptable(module: nn.Module) -> bool:
    """Whether a module is of a kind that an adapter can change."""
    if isinstance(module, nn.Conv2d):
        return module.groups == 1
    return is_linear(module) or (isinstance(module, NORM_TYPES) and "weight" in dict(module.named_parameters()))


def _matches(target: Target, pattern: str) -> bool:
    return fnmatchcase(target.path, pattern) or fnmatchcase(target.key, pattern)

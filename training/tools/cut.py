"""Cuts a LoRA to its first ranks; meant for DyLoRA, whose ranks are ordered by training."""

import torch
from torch import Tensor

from ..files.formats import Tensors, join_modules, split_modules
from ..networks import lora
from ..networks.algorithms import form_of
from .deltas import Parts, delta_weight
from .linear_algebra import frobenius
from .ranks import RankChoice
from .report import LayerReport, Report, size_of
from .resize import is_resizable

_RANKED = ("lora_down.weight", "lora_up.weight", "alpha")


def cut(tensors: Tensors, choice: RankChoice) -> tuple[Tensors, Report]:
    """The first `choice.rank` ranks of every module, with unchanged scale (alpha becomes alpha x new / old rank).

    Modules of a smaller rank, norms and biases stay as they are. Takes kohya names (`to_kohya`).

    Raises:
        ValueError: The rank method is not fixed, or a module has no ordered ranks.
    """
    if choice.method != "fixed":
        raise ValueError(f"rank_method must be fixed where the first ranks are kept, got {choice.method}")
    modules: dict[str, dict[str, Tensor]] = {}
    layers: list[LayerReport] = []
    for name, parts in split_modules(tensors).items():
        modules[name] = dict(parts)
        if not is_resizable(parts):
            continue
        if form_of(parts) is not lora.FORM or "lora_mid.weight" in parts:
            raise ValueError(f"only ranks of LoRA and DyLoRA can be cut, got {name}; switch keep_first off")
        modules[name], layer = _cut_module(name, parts, choice)
        layers.append(layer)
    result = join_modules(modules)
    return result, Report(tuple(layers), size_of(tensors), size_of(result))


def _cut_module(name: str, parts: Parts, choice: RankChoice) -> tuple[dict[str, Tensor], LayerReport]:
    down, up = parts["lora_down.weight"], parts["lora_up.weight"]
    before = down.shape[0]
    rank = min(before, choice.limit(is_conv=down.ndim == 4 and down.shape[-1] > 1))
    alpha = parts["alpha"] if "alpha" in parts else torch.tensor(float(before))
    kept = {
        "lora_down.weight": down[:rank].contiguous(),
        "lora_up.weight": up[:, :rank].contiguous(),
        "alpha": alpha * rank / before,
    }
    bare = {suffix: parts[suffix] for suffix in _RANKED if suffix in parts}
    wanted = delta_weight(bare)
    error = frobenius(wanted - delta_weight(kept))
    return {**parts, **kept}, LayerReport(name, before, rank, frobenius(wanted), error)

"""Facts about a network for the header of a file, read from its tensors."""

from collections import Counter
from collections.abc import Iterable
from typing import TypeVar

from torch import Tensor

from ..files.facts import LYCORIS_MODULE, NetworkFacts, Value
from ..files.formats import Tensors, split_modules
from .algorithm import Algorithm
from .algorithms import ALGORITHMS, form_of

_Number = TypeVar("_Number", int, float)


def network_facts(tensors: Tensors) -> NetworkFacts:
    """Algorithm, rank and alpha as the file's modules have them; "Dynamic" if they differ; the most frequent form."""
    sizes: dict[bool, set[tuple[int, float]]] = {False: set(), True: set()}
    forms: Counter[str] = Counter()
    for parts in split_modules(tensors).values():
        form = form_of(parts)
        if form is None or form.is_vector:
            continue
        forms[form.name] += 1
        if rank := form.rank(parts):
            alpha = float(parts["alpha"]) if "alpha" in parts else float(rank)
            sizes[_is_kernel(parts.values())].add((rank, alpha))
    linear, conv = sizes[False], sizes[True]
    arguments: dict[str, Value] = {}
    if conv:
        arguments = {"conv_dim": _one(rank for rank, _ in conv), "conv_alpha": _one(alpha for _, alpha in conv)}
    if any(key.endswith(".dora_scale") for key in tensors):
        arguments["dora_wd"] = True
    algorithm, module = named(_algorithm(forms, has_kernels=bool(conv)), has_dora="dora_wd" in arguments)
    return NetworkFacts(
        algorithm=algorithm,
        module=module,
        rank=_one(rank for rank, _ in linear or conv),
        alpha=_one(alpha for _, alpha in linear or conv),
        arguments=arguments,
    )


def named(algorithm: Algorithm, *, has_dora: bool) -> tuple[str, str]:
    """`algorithm` and `module` of `NetworkFacts`. With DoRA the module is LyCORIS's."""
    if algorithm.sd_scripts and not has_dora:
        return algorithm.name, algorithm.sd_scripts
    return algorithm.lycoris or algorithm.name, LYCORIS_MODULE


def _algorithm(forms: Counter[str], *, has_kernels: bool) -> Algorithm:
    """The first algorithm of the table that writes the most frequent form; for LoRA, convolutions decide which."""
    usual = forms.most_common(1)
    made = [one for one in ALGORITHMS if usual and one.form.name == usual[0][0]] or list(ALGORITHMS)
    return next((one for one in made if one.adapts_kernels or not has_kernels), made[0])


def _is_kernel(tensors: Iterable[Tensor]) -> bool:
    return any(tensor.ndim == 4 and tensor.shape[-1] > 1 for tensor in tensors)


def _one(values: Iterable[_Number]) -> _Number | str:
    """The only value, or "Dynamic"."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else "Dynamic"

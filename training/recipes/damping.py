"""How alpha / rank reduces a learning rate, and what would make up for it.

The change of a weight is multiplied by alpha / rank, so initially a network learns like one with alpha = rank would at
alpha / rank of the learning rate (measured with Adam: a ratio of 64 for alpha / rank 1/64).
"""

import math

from ..base_model import PartName
from ..files.formats import Tensors
from ..networks.algorithms import find_algorithm
from ..networks.facts import network_facts
from ..networks.settings import WITH_KERNELS, NetworkSettings
from ..optimizers.catalog import find_optimizer
from ..optimizers.rates import part_rate, rate_source
from ..optimizers.settings import OptimizerSettings

WEAK_SHARE = 0.05
"""Share of an optimizer's usual learning rate below which it trains almost nothing."""
MUCH = 1e-9
"""Difference of a scale from 1 that is only rounding."""


def network_scale(network: NetworkSettings) -> float | None:
    """Alpha / rank (by the root of the rank if rank-stabilized); None if the algorithm has no scale."""
    algorithm = find_algorithm(network.algorithm)
    is_scaled = algorithm.is_ranked or "rank_stabilized" in algorithm.options
    if not is_scaled or network.full_matrix:
        return None
    return (network.alpha or network.rank) / (math.sqrt(network.rank) if network.rank_stabilized else network.rank)


def effective_rate(network: NetworkSettings, optimizer: OptimizerSettings) -> float | None:
    """The U-Net's learning rate (else the text encoders') times alpha / rank, which is its initial effect.

    None without a scale, or if the optimizer finds its learning rate.
    """
    scale = network_scale(network)
    if scale is None or rate_source(optimizer) != "given":
        return None
    compensated = {"none": scale, "sqrt": math.sqrt(scale), "full": 1.0}[optimizer.alpha_compensation]
    return compensated * _rate_of(network, optimizer)


def is_weak(network: NetworkSettings, optimizer: OptimizerSettings) -> bool:
    """Whether alpha / rank leaves almost nothing of the learning rate."""
    rate, scale = effective_rate(network, optimizer), network_scale(network)
    return rate is not None and scale is not None and _is_weak(rate, scale, optimizer)


def convolution_scale(network: NetworkSettings) -> float | None:
    """The same of k x k convolutions where a rank or alpha of their own makes it another; else None."""
    scale = network_scale(network)
    if scale is None or not network.of_convolutions() or network.preset not in WITH_KERNELS:
        return None
    rank, alpha = network.conv_size
    own = alpha / (math.sqrt(rank) if network.rank_stabilized else rank)
    return None if abs(own - scale) < MUCH else own


def network_of_file(tensors: Tensors, parts: tuple[PartName, ...]) -> NetworkSettings | None:
    """A network with the rank and alpha of a LoRA that is trained further; None if its modules differ in them."""
    facts = network_facts(tensors)
    if not isinstance(facts.rank, int) or not isinstance(facts.alpha, float) or not 0 < facts.alpha < math.inf:
        return None
    return NetworkSettings(rank=facts.rank, alpha=facts.alpha, parts=parts)


def describe_network_scale(network: NetworkSettings) -> str:
    """How alpha scales any learning rate, in one line; empty if it does not."""
    own = convolution_scale(network)
    convolutions = "" if own is None else f"effective scale of k x k convolutions {own:.3g} (conv_alpha / conv_rank)"
    scale = network_scale(network)
    if scale is None or abs(scale - 1.0) < MUCH:
        return convolutions
    return "; ".join(filter(None, [_described(network, scale), convolutions]))


def _described(network: NetworkSettings, scale: float) -> str:
    line = f"effective scale {scale:.3g} (alpha {network.alpha or network.rank:g}, rank {network.rank})"
    if scale > 1:
        return f"{line}: learns {scale:.3g} times as fast as alpha = rank, and overfits; alpha is at most the rank"
    return (
        f"{line}: learns as alpha = rank does at {scale:.3g} of the learning rate. What makes up for it: a rate "
        f"{1 / scale:.3g} times as high, or alpha_compensation full of Optimizer"
    )


def describe_damping(network: NetworkSettings, optimizer: OptimizerSettings) -> str:
    """The effective learning rate and what would make up for the scale, in one line; empty if alpha has no effect."""
    scale = network_scale(network)
    own = convolution_scale(network)
    lines = [] if scale is None or abs(scale - 1.0) < MUCH else [_damped(network, optimizer, scale)]
    if own is not None and rate_source(optimizer) == "given" and optimizer.alpha_compensation == "none":
        rate = own * _rate_of(network, optimizer)
        weak = "they will learn next to nothing; " if _is_weak(rate, own, optimizer) else ""
        remedy = f"conv_alpha {network.conv_size[0]} or alpha_compensation full would make up for it" if own < 1 else ""
        lines.append(f"k x k convolutions: effective rate {rate:.3g}; {weak}{remedy}".rstrip("; "))
    return "; ".join(lines)


def _damped(network: NetworkSettings, optimizer: OptimizerSettings, scale: float) -> str:
    rate = effective_rate(network, optimizer)
    if rate is None:
        return f"effective scale {scale:.3g} (alpha / rank): {optimizer.optimizer} finds a rate that makes up for it"
    given = _rate_of(network, optimizer)
    line = f"effective rate {rate:.3g} at the start: rate {given:.3g}, effective scale {scale:.3g} (alpha / rank)"
    if optimizer.alpha_compensation != "none":
        return f"{line}, alpha_compensation {optimizer.alpha_compensation}"
    if scale > 1:
        return f"{line}; alpha above the rank overfits"
    remedy = f"learning rate {given / scale:.3g} or alpha_compensation full of Optimizer would make up for it"
    weak = "it will learn next to nothing; " if is_weak(network, optimizer) else ""
    return f"{line}; {weak}{remedy}"


def _rate_of(network: NetworkSettings, optimizer: OptimizerSettings) -> float:
    return part_rate(optimizer, "unet" if "unet" in network.parts else "text_encoder")


def _is_weak(rate: float, scale: float, optimizer: OptimizerSettings) -> bool:
    return scale < 1.0 and 0 < rate < WEAK_SHARE * find_optimizer(optimizer.optimizer).usual_rate

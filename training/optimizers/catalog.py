"""The optimizers by name: package, usual learning rates, and other trainers' names for their arguments.

Names that are not listed here are looked up in the pytorch-optimizer library.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module

import torch

OptimizerClass = type[torch.optim.Optimizer]

_KOHYA_NAMES = {"decouple": "weight_decouple", "use_bias_correction": "bias_correction"}
"""Argument names of the original Prodigy and D-Adaptation, used in shared settings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSpec:
    """One optimizer a user can name."""

    name: str
    """What users call it; also the name of the class."""
    module: str = "pytorch_optimizer"
    """Python module that holds the class; imported when the optimizer is built."""
    package: str = "pytorch-optimizer"
    """Package to install with pip; named in the message if it is missing."""
    is_adaptive: bool = False
    """Finds its own step size d. The learning rate multiplies d and must be the same for all parameters."""
    usual_rate: float = 1e-4
    """Learning rate suggested when another one is refused."""
    lowest_rate: float = 1e-8
    """Learning rates below this train nothing."""
    highest_rate: float = 0.1
    """Learning rates from here up destroy the network."""
    defaults: Mapping[str, object] = field(default_factory=dict[str, object])
    """Arguments that differ from the library's own defaults."""
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other trainers' argument names -> this library's."""

    def load(self) -> OptimizerClass:
        """Import the class.

        Raises:
            ValueError: The package is missing; the message says how to install it.
        """
        try:
            return getattr(import_module(self.module), self.name)
        except ImportError as error:
            raise ValueError(
                f"optimizer {self.name} needs the Python package {self.package}, which is not usable here ({error}); "
                f"install it into ComfyUI's Python (pip install {self.package}) or choose AdamW"
            ) from None


_ADAPTIVE = OptimizerSpec(name="", is_adaptive=True, usual_rate=1.0, lowest_rate=0.05, highest_rate=10.0)

OPTIMIZERS: tuple[OptimizerSpec, ...] = (
    OptimizerSpec(name="AdamW", module="torch.optim", package="torch", usual_rate=2e-4),
    OptimizerSpec(name="AdamW8bit", module="bitsandbytes.optim", package="bitsandbytes"),
    OptimizerSpec(
        name="Adafactor",
        module="transformers.optimization",
        package="transformers",
        defaults={"relative_step": False, "scale_parameter": False},
    ),
    OptimizerSpec(name="Lion", usual_rate=3e-5, highest_rate=0.01),
    OptimizerSpec(name="CAME"),
    replace(_ADAPTIVE, name="Prodigy", aliases=_KOHYA_NAMES, defaults={"bias_correction": True}),
    replace(_ADAPTIVE, name="DAdaptAdam", aliases=_KOHYA_NAMES, defaults={"weight_decouple": True}),
    OptimizerSpec(name="ScheduleFreeAdamW", usual_rate=1e-3, highest_rate=1.0),
    replace(
        _ADAPTIVE,
        name="ProdigyPlusScheduleFree",
        module="prodigyplus",
        package="prodigy-plus-schedule-free",
        defaults={"split_groups": False},
    ),
)
"""Optimizers in the node's list, most used first."""

_SYNONYMS = {
    "adamwschedulefree": "schedulefreeadamw",
    "radamschedulefree": "schedulefreeradam",
    "sgdschedulefree": "schedulefreesgd",
    "dadaptation": "dadaptadam",
    "dadaptadampreprint": "dadaptadam",
}
"""Names of sd-scripts."""

_NEEDS_MORE = "needs more of a train loop than gradients (a closure, second derivatives or roles of layers)"
_NOT_EXACT = "keeps state that cannot be saved exactly, so an interrupted run would not continue as it was"
_MATRICES_ONLY = "trains matrices alone, and a network has kernels of convolutions too"
_OWN_SCALE = "brings the weights of each neuron to a norm of its own, so a network cannot grow from no change"
_REFUSED = {
    "spectralsphere": _MATRICES_ONLY,
    "nero": _OWN_SCALE,
    **dict.fromkeys(
        ("adago", "adahessian", "adalomo", "adammini", "adamuon", "alig", "bsam", "demo", "distributedmuon", "lbfgs",
         "lomo", "muon", "muonclip", "normuon", "sophiah"),
        _NEEDS_MORE,
    ),
    **dict.fromkeys(
        ("adashift", "aggmo", "alice", "asgd", "conda", "gravity", "kron", "lorarite", "madgrad", "magma", "ranger21",
         "scalableshampoo", "splus", "stablespam"),
        _NOT_EXACT,
    ),
}  # fmt: skip
"""Optimizers of the library that cannot be used here, and why."""


def find_optimizer(name: str) -> OptimizerSpec:
    """Find an optimizer by name; case, `-`, `_` and spaces do not matter.

    Raises:
        ValueError: The name is unknown, or the optimizer cannot be used here; the message says which.
    """
    key = _key(name)
    key = _SYNONYMS.get(key, key)
    for spec in OPTIMIZERS:
        if _key(spec.name) == key:
            return spec
    return _library_optimizer(name, key)


def _library_optimizer(name: str, key: str) -> OptimizerSpec:
    library = import_module("pytorch_optimizer")
    names: list[str] = library.get_supported_optimizers()
    if key not in names:
        listed = ", ".join(spec.name for spec in OPTIMIZERS)
        raise ValueError(
            f"optimizer must be one of {listed}, or one of the pytorch-optimizer library ({', '.join(names)}), "
            f"got {name!r}"
        )
    if key in _REFUSED:
        raise ValueError(f"optimizer {name} {_REFUSED[key]}; choose another, such as AdamW")
    found: OptimizerClass = library.load_optimizer(key)
    kind = _ADAPTIVE if key.startswith("dadapt") else OptimizerSpec(name="", highest_rate=1.0)
    return replace(kind, name=found.__name__, module=found.__module__, package=found.__module__.partition(".")[0])


def _key(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")

"""The table of algorithms. To add one, add a file beside these and a line here; see CONTRIBUTING.md."""

from importlib import import_module

from . import bias, full, norm
from .algorithm import Algorithm
from .form import Form, Tensors

_FILES = (
    "lora",
    "loha",
    "lokr",
    "dylora",
    "tlora",
    "ia3",
    "glora",
    "full",
    "oft",
    "boft",
    "lycoris",
)
"""Files of this folder whose `ALGORITHMS` can be trained, in the order of the node's list."""
ALGORITHMS: tuple[Algorithm, ...] = tuple(
    algorithm for file in _FILES for algorithm in import_module(f".{file}", __package__).ALGORITHMS
)
OTHER_FORMS: tuple[Form, ...] = (norm.FORM, full.REPLACED, bias.FORM)
"""Other forms found in files; last the one that may stand beside another form."""
FORMS: tuple[Form, ...] = (*dict.fromkeys(algorithm.form for algorithm in ALGORITHMS), *OTHER_FORMS)
"""Every form. The first one that matches a module's tensors is its form."""
NAMES: tuple[str, ...] = tuple(algorithm.name for algorithm in ALGORITHMS)
OWN_NAMES: tuple[str, ...] = tuple(name for name in NAMES if name != "lycoris")
"""Those of this pack's own code; the library's needs arguments."""
TENSOR_NAMES: tuple[str, ...] = tuple(dict.fromkeys(["dora_scale", *(name for form in FORMS for name in form.tensors)]))
"""Every tensor suffix that files may use."""
OPTIONS: frozenset[str] = frozenset[str]().union(*(algorithm.options for algorithm in ALGORITHMS))
"""Options that not every algorithm has."""

_BY_NAME = {algorithm.name: algorithm for algorithm in ALGORITHMS}


def find_algorithm(name: str) -> Algorithm:
    """The algorithm of that name, which settings have checked."""
    return _BY_NAME[name]


def with_option(option: str) -> list[str]:
    """Names of the algorithms that have an option."""
    return [algorithm.name for algorithm in ALGORITHMS if option in algorithm.options]


def form_of(tensors: Tensors) -> Form | None:
    """The form of a module's tensors; None if unknown."""
    return next((form for form in FORMS if form.matches(tensors)), None)

"""ComfyUI's interface for nodes (V3), the same for every version: what an older version lacks is left out.

Before 0.10, `advanced` inputs and `search_aliases` are missing; before 0.15, `ControlAfterGenerate`. Nodes look a
little plainer there and work the same.
"""

import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from comfy_api.latest import io as _host

try:
    from comfyui_version import __version__ as _version
except ImportError:
    _version = "of unknown version"

PROBED = {"advanced": "Input", "search_aliases": "Schema"}


def left_out(host: Any) -> list[str]:
    """The features of the pack that this ComfyUI's interface lacks."""
    missing = [word for word, owner in PROBED.items() if word not in inspect.signature(getattr(host, owner)).parameters]
    return missing + ["ControlAfterGenerate"] * (not hasattr(host, "ControlAfterGenerate"))


def host_version() -> str:
    """ComfyUI's version, such as 0.30.0."""
    return _version


class OlderInterface:
    """The interface over an older one: its classes accept every keyword and drop those that are unknown."""

    ControlAfterGenerate = SimpleNamespace(fixed=True)
    """A plain yes in older versions; the widget then starts with the page's setting."""

    def __init__(self, host: Any) -> None:
        self._host = host

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._host, name)
        if name == "Schema":
            return _lenient(found)
        if name == "Custom":
            return lambda io_type: _Kind(found(io_type))
        return _Kind(found) if isinstance(getattr(found, "Input", None), type) else found


class _Kind:
    """A type of input and output."""

    def __init__(self, host: Any) -> None:
        self._host = host
        self.Input = _lenient(host.Input)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)


def _lenient(make: Callable[..., Any]) -> Callable[..., Any]:
    known = inspect.signature(make).parameters

    def made(*given: Any, **named: Any) -> Any:
        return make(*given, **{name: value for name, value in named.items() if name in known})

    return made


if TYPE_CHECKING:
    from comfy_api.latest import io
else:
    io = OlderInterface(_host) if left_out(_host) else _host

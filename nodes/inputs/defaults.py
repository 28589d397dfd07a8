"""An input that has a default may be left out of a prompt; all others are checked before a node runs.

So prompts written by hand or by other programs stay short, and prompts saved before a node gained an input still run.
"""

import inspect
from collections.abc import Callable
from typing import Any

from ..comfy_bridge.host.node_api import io
from .checked import check_inputs

EARLIER = "earlier_default"
"""Entry in an input's description: its value in prompts and saved workflows without it, if new nodes have another."""


def _has_default(wanted: io.Input) -> bool:
    return getattr(wanted, "default", None) is not None


def _value_if_left_out(wanted: io.Input) -> Any:
    return (wanted.extra_dict or {}).get(EARLIER, getattr(wanted, "default", None))


def _optional(wanted: io.Input) -> io.Input:
    wanted.optional = wanted.optional or _has_default(wanted)
    return wanted


def _named(method: Callable[..., Any], given: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The values with those given by place put in by name."""
    return {**values, **dict(zip(inspect.signature(method).parameters, given, strict=False))}


def with_optional_defaults(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, whose inputs with a default are optional from now on."""
    define, execute, fingerprint = node.define_schema, node.execute, node.fingerprint_inputs
    schema = define()
    defaults = {wanted.id: _value_if_left_out(wanted) for wanted in schema.inputs if _has_default(wanted)}
    if schema.is_input_list:
        defaults = {name: [value] for name, value in defaults.items()}

    def define_schema(cls: type[io.ComfyNode]) -> io.Schema:
        described = define.__func__(cls)
        described.inputs = [_optional(wanted) for wanted in described.inputs]
        return described

    def execute_with_defaults(cls: type[io.ComfyNode], *given: Any, **values: Any) -> io.NodeOutput:
        named, described = _named(execute, given, {**defaults, **values}), define_schema(cls)
        return execute.__func__(cls, **check_inputs(described.inputs, named, described.is_input_list))

    def fingerprint_with_defaults(cls: type[io.ComfyNode], *given: Any, **values: Any) -> Any:
        try:
            return fingerprint.__func__(cls, **_named(fingerprint, given, {**defaults, **values}))
        except (ValueError, TypeError, AttributeError, OSError):  # `execute` says what is wrong
            return float("nan")

    changed = {"define_schema": classmethod(define_schema), "execute": classmethod(execute_with_defaults)}
    if "fingerprint_inputs" in node.__dict__:
        changed["fingerprint_inputs"] = classmethod(fingerprint_with_defaults)
    for name, method in changed.items():
        setattr(node, name, method)
    return node

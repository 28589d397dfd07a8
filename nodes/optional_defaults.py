"""An input that has a default may be left out of a prompt.

So prompts written by hand or by other programs stay short, and prompts saved before a node gained an input still run.
"""

import inspect
from collections.abc import Callable
from typing import Any

from comfy_api.latest import io


def _has_default(wanted: io.Input) -> bool:
    return getattr(wanted, "default", None) is not None


def _named(method: Callable[..., Any], given: tuple[Any, ...], values: dict[str, Any]) -> dict[str, Any]:
    """The values with those given by place put in by name."""
    return {**values, **dict(zip(inspect.signature(method).parameters, given, strict=False))}


def with_optional_defaults(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, whose inputs with a default are optional from now on."""
    define, execute, fingerprint = node.define_schema, node.execute, node.fingerprint_inputs
    schema = define()
    defaults = {wanted.id: getattr(wanted, "default", None) for wanted in schema.inputs if _has_default(wanted)}
    if schema.is_input_list:
        defaults = {name: [value] for name, value in defaults.items()}

    def define_schema(cls: type[io.ComfyNode]) -> io.Schema:
        described = define.__func__(cls)
        for wanted in described.inputs:
            wanted.optional = wanted.optional or _has_default(wanted)
        return described

    def execute_with_defaults(cls: type[io.ComfyNode], *given: Any, **values: Any) -> io.NodeOutput:
        return execute.__func__(cls, **_named(execute, given, {**defaults, **values}))

    def fingerprint_with_defaults(cls: type[io.ComfyNode], *given: Any, **values: Any) -> Any:
        return fingerprint.__func__(cls, **_named(fingerprint, given, {**defaults, **values}))

    changed = {"define_schema": classmethod(define_schema), "execute": classmethod(execute_with_defaults)}
    if "fingerprint_inputs" in node.__dict__:
        changed["fingerprint_inputs"] = classmethod(fingerprint_with_defaults)
    for name, method in changed.items():
        setattr(node, name, method)
    return node

"""A placeholder for an output that could not be made: only nodes connected to it fail, with the reason."""

from typing import Any

from comfy_execution.graph_utils import ExecutionBlocker


def missing_output(message: str) -> Any:
    """The placeholder; a node connected to it fails with the message, others run."""
    return ExecutionBlocker(message)

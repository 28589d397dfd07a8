"""An output that could not be made: the graph runs, and what is connected to it says why it does not."""

from typing import Any

from comfy_execution.graph_utils import ExecutionBlocker


def missing_output(message: str) -> Any:
    """Stands in an output's place; a node that is connected to it fails with the message, others run."""
    return ExecutionBlocker(message)

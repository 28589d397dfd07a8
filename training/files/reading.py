"""Reading safetensors files tensor by tensor."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, cast

from safetensors import safe_open
from torch import Tensor


class TensorReader(Protocol):
    """An open safetensors file. Tensors are read when asked for and may share the file's memory map."""

    def keys(self) -> list[str]:
        """Names of all tensors."""
        ...

    def get_tensor(self, name: str) -> Tensor:
        """One tensor, on the CPU, in the file's type."""
        ...

    def metadata(self) -> dict[str, str] | None:
        """The file's metadata, None where it has none."""
        ...


def open_tensors(path: Path) -> AbstractContextManager[TensorReader]:
    """Open a file for reading by name; a context manager that closes it.

    Raises:
        safetensors.SafetensorError: The file is not a safetensors file or is cut off.
    """
    opened: Any = safe_open(path, framework="pt")
    return cast(AbstractContextManager[TensorReader], opened)

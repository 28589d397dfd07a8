"""Makes ComfyUI's own LoRA loaders notice that a file has changed.

The host runs a node again only if an input changes, and its loaders cache the file by name, so a LoRA that was trained
again under its name would be used in its old state. Two things are added to the loaders' classes, and nothing is
replaced: `IS_CHANGED`, by which a node tells the host what its result depends on, and a `loaded_lora` that is empty
once the file has changed.
"""

from importlib import import_module
from typing import Any

from ....training.files.file_state import file_state
from .lora_folders import lora_state

LOADERS = ("LoraLoader", "LoraLoaderBypass", "CreateHookLora")
"""The host's nodes that load a LoRA by name; their model-only variants are subclasses."""


_host: Any = import_module("nodes")  # by name: for a type checker, this is the pack's own package


class FreshLora:
    """A loader's `loaded_lora`, `(path, tensors, ...)` or None; becomes None when the file changes.

    Other values, which subclasses in other packs store there (several LoRAs by name), are left alone.
    """

    SLOT = "_fresh_lora"

    def __get__(self, loader: object | None, owner: type | None = None) -> Any:
        if loader is None:
            return self
        value, state = loader.__dict__.get(self.SLOT, (None, ""))
        return value if _state_of(value) == state else None

    def __set__(self, loader: object, value: Any) -> None:
        loader.__dict__[self.SLOT] = (value, _state_of(value))


def _state_of(value: Any) -> str:
    is_file = isinstance(value, tuple) and bool(value) and isinstance(value[0], str)
    return file_state(value[0]) if is_file else ""


def file_of_loader(lora_name: object = None, **_: object) -> str:
    """Changes with the file that a loader names, for the host's `IS_CHANGED`; names from a link are unknown."""
    return lora_state(lora_name) if isinstance(lora_name, str) else ""


def keep_loaders_fresh() -> None:
    """Add both to the host's loaders, once.

    Loaders that the host's version lacks, or that check their file themselves, are left alone.
    """
    for name in LOADERS:
        loader = _host.NODE_CLASS_MAPPINGS.get(name)
        if loader is None or hasattr(loader, "IS_CHANGED") or hasattr(loader, "fingerprint_inputs"):
            continue
        loader.IS_CHANGED = staticmethod(file_of_loader)
        loader.loaded_lora = FreshLora()


def notices_changes(class_type: object) -> bool:
    """Whether nodes of a type check their file at each queue."""
    loader = _host.NODE_CLASS_MAPPINGS.get(str(class_type))
    return getattr(loader, "IS_CHANGED", None) is file_of_loader

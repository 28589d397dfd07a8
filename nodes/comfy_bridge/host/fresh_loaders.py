"""Makes ComfyUI's own LoRA loaders notice that a file has changed.

The host runs a node again only if one of its inputs changes, and its loaders keep what they read for as long as the
name is the same: a LoRA trained again under its name would be drawn as it was before. Two things are added to their
classes, nothing in them is replaced: `IS_CHANGED`, by which a node tells the host what its result depends on, and
`loaded_lora`, which is empty once the file is not the one that was read.
"""

from importlib import import_module
from typing import Any

from .lora_folders import file_state, lora_state

LOADERS = ("LoraLoader", "LoraLoaderBypass", "CreateHookLora")
"""The host's nodes that read a LoRA by name; their variants for the model alone are subclasses of them."""


_host: Any = import_module("nodes")  # by name: to a type checker it is this pack's own package


class FreshLora:
    """A loader's `loaded_lora`, `(path, tensors, ...)` or None: None again once the file has changed.

    What else a subclass of another pack keeps there, such as several LoRAs by name, stays as it is.
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
    """Changes with the file a loader names, for the host's `IS_CHANGED`; a name that comes from a link is not known."""
    return lora_state(lora_name) if isinstance(lora_name, str) else ""


def keep_loaders_fresh() -> None:
    """Adds both to the host's loaders, once.

    One that a version lacks, or that looks at its file itself, is left alone.
    """
    for name in LOADERS:
        loader = _host.NODE_CLASS_MAPPINGS.get(name)
        if loader is None or hasattr(loader, "IS_CHANGED") or hasattr(loader, "fingerprint_inputs"):
            continue
        loader.IS_CHANGED = staticmethod(file_of_loader)
        loader.loaded_lora = FreshLora()


def notices_changes(class_type: object) -> bool:
    """Whether nodes of a type are loaders that look at their file again at each queue."""
    loader = _host.NODE_CLASS_MAPPINGS.get(str(class_type))
    return getattr(loader, "IS_CHANGED", None) is file_of_loader

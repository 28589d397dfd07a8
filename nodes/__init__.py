"""All nodes of the pack, in menu order."""

import logging
from functools import cache
from importlib import import_module

from comfy_api.latest import ComfyExtension

from .comfy_bridge.host.node_api import host_version, io
from .inputs.defaults import with_optional_defaults
from .menu import LEAD

MODULES = (
    "dataset.datasets",
    "dataset.options",
    "dataset.inspect_dataset",
    "training.network",
    "training.optimizer",
    "training.objective",
    "training.stage",
    "training.recipe",
    "training.round",
    "dataset.kohya_import",
    "training.kohya",
    "training.preview",
    "training.train",
    "lora.files",
    "lora.tools",
    "lora.share",
    "tools.pick_step",
    "tools.plot_plan",
    "tools.plot_run",
    "tools.compare",
)


HOST_MODULES = ("comfy", "comfy_api", "comfy_execution", "execution", "folder_paths", "nodes", "server")
TESTED = "0.3.76"
"""The oldest version that was seen to train."""


@cache
def load_nodes() -> list[type[io.ComfyNode]]:
    """Nodes of every module; one that lacks something is left out, and the log says what to do."""
    nodes: list[type[io.ComfyNode]] = []
    for name in MODULES:
        try:
            nodes += import_module(f".{name}", __name__).NODES
        except (ImportError, AttributeError) as error:
            logging.error("LoRA Bakery: the nodes of %s are missing: %s", name, why_missing(error))
    leading_first = sorted(nodes, key=lambda node: node.GET_SCHEMA().category != LEAD)
    return [with_optional_defaults(node) for node in leading_first]


def why_missing(error: ImportError | AttributeError) -> str:
    """What a module lacks, and what to do about it, in one sentence.

    Raises:
        AttributeError: It is a fault of the pack itself.
    """
    package = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if package in HOST_MODULES or (isinstance(error, AttributeError) and str(error).startswith("module 'comfy")):
        return f"this ComfyUI ({host_version()}) lacks what they need ({error}); update ComfyUI to {TESTED} or newer"
    if not isinstance(error, ModuleNotFoundError):
        raise error
    return f"the package {error.name!r} is not installed; run: pip install -r requirements.txt in the pack's folder"


class LoraBakery(ComfyExtension):
    """The pack as ComfyUI loads it."""

    async def on_load(self) -> None:
        from .comfy_bridge.host.embeddings import find_embeddings
        from .comfy_bridge.host.fresh_loaders import keep_loaders_fresh
        from .comfy_bridge.page.routes_register import register

        register()
        keep_loaders_fresh()
        find_embeddings()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Called by ComfyUI."""
        return load_nodes()


async def comfy_entrypoint() -> LoraBakery:
    """Called by ComfyUI once, when it loads the pack."""
    return LoraBakery()

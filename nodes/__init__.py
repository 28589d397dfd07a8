"""All nodes of the pack, in menu order."""

import importlib
import logging
from functools import cache

from comfy_api.latest import ComfyExtension, io

from .optional_defaults import with_optional_defaults

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


@cache
def load_nodes() -> list[type[io.ComfyNode]]:
    """Nodes of every module; one that lacks a package is left out, and the log says which package."""
    nodes: list[type[io.ComfyNode]] = []
    for name in MODULES:
        try:
            nodes += importlib.import_module(f".{name}", __name__).NODES
        except ModuleNotFoundError as error:
            logging.error(
                "LoRA Bakery: the nodes of %s are missing because the package %r is not installed; "
                "run: pip install -r requirements.txt in the pack's folder",
                name,
                error.name,
            )
    return [with_optional_defaults(node) for node in nodes]


class LoraBakery(ComfyExtension):
    """The pack as ComfyUI loads it."""

    async def on_load(self) -> None:
        from .comfy_bridge.host.fresh_loaders import keep_loaders_fresh
        from .comfy_bridge.page.routes_register import register

        register()
        keep_loaders_fresh()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Called by ComfyUI."""
        return load_nodes()


async def comfy_entrypoint() -> LoraBakery:
    """Called by ComfyUI once, when it loads the pack."""
    return LoraBakery()

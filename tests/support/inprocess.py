"""ComfyUI inside the test process: its modules, models loaded from files, workflows executed without a server."""

import asyncio
import importlib
import json
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .client import Prompt, PromptResult
from .paths import CHECKPOINTS
from .server import make_base_folder


class LoadedModels(NamedTuple):
    """What CheckpointLoaderSimple gives a graph."""

    model: Any
    clip: Any
    vae: Any


@dataclass(frozen=True)
class HostModules:
    """ComfyUI, imported into this process for the CPU, with folders of its own."""

    base: Path
    """Base directory: input, output, temp and user lie below it."""
    server: Any
    """The PromptServer instance; it listens on no port, `sent` records what it is asked to send."""
    sent: list[tuple[str, Any]] = field(default_factory=list)

    def module(self, name: str) -> ModuleType:
        """Return a module of ComfyUI by its name, for instance `comfy.sd` or `nodes`."""
        return importlib.import_module(name)

    def load_checkpoint(self, path: Path) -> LoadedModels:
        """Load MODEL, CLIP and VAE of a checkpoint as the graph would, weights under inference mode."""
        torch = self.module("torch")
        with torch.inference_mode():
            loaded = self.module("comfy.sd").load_checkpoint_guess_config(str(path))
        return LoadedModels(*loaded[:3])

    def object_info(self) -> dict[str, Any]:
        """Return the description of every node, as the server's /object_info gives it."""
        _executor(self)
        asyncio.run(_register_pack(self))
        nodes = self.module("nodes").NODE_CLASS_MAPPINGS
        return {name: _node_info(node) for name, node in nodes.items()}

    def run_graph(self, prompt: Prompt) -> PromptResult:
        """Execute a workflow in API form with ComfyUI's executor; results are cached between calls.

        Raises:
            ValueError: validation refused the workflow.
        """
        execution, executor = self.module("execution"), _executor(self)
        if any(node["class_type"] not in self.module("nodes").NODE_CLASS_MAPPINGS for node in prompt.values()):
            asyncio.run(_register_pack(self))
        prompt_id = uuid.uuid4().hex
        is_valid, error, outputs, node_errors = asyncio.run(execution.validate_prompt(prompt_id, prompt, None))
        if not is_valid or node_errors:
            raise ValueError(f"{error} {node_errors}")
        executor.execute(prompt, prompt_id, {"client_id": "test"}, outputs)
        messages = [(name, data) for name, data in executor.status_messages]
        names = {name for name, _ in messages}
        status = "interrupted" if "execution_interrupted" in names else "success" if executor.success else "error"
        ui_outputs = executor.history_result.get("outputs", {}) if executor.history_result else {}
        return PromptResult(prompt_id=prompt_id, status=status, outputs=ui_outputs, messages=messages)

    def forget_cached_results(self) -> None:
        """Make the next `run_graph` execute every node."""
        _executor(self).reset()


def _node_info(node: Any) -> dict[str, Any]:
    if hasattr(node, "GET_NODE_INFO_V1"):
        info = node.GET_NODE_INFO_V1()
    else:
        names = getattr(node, "RETURN_NAMES", node.RETURN_TYPES)
        info = {"input": node.INPUT_TYPES(), "output": node.RETURN_TYPES, "output_name": names}
    return dict(json.loads(json.dumps(info, default=str)))


_executors: dict[int, Any] = {}


def _executor(host: HostModules) -> Any:
    if id(host) not in _executors:
        execution = host.module("execution")
        asyncio.run(_register_core(host))
        limits = {"lru": 0, "ram": 0.0, "ram_inactive": 0.0}
        executor = execution.PromptExecutor(host.server, cache_type=execution.CacheType.CLASSIC, cache_args=limits)
        _executors[id(host)] = executor
    return _executors[id(host)]


async def _register_core(host: HostModules) -> None:
    nodes = host.module("nodes")
    await nodes.init_public_apis()
    await nodes.init_builtin_extra_nodes()


async def _register_pack(host: HostModules) -> None:
    nodes = host.module("nodes")
    for node in await pack_nodes():
        nodes.NODE_CLASS_MAPPINGS[node.GET_SCHEMA().node_id] = node


async def pack_nodes() -> list[Any]:
    """Return the node classes of the pack, found as ComfyUI finds them: through its V3 extension."""
    entrypoint = importlib.import_module("pack.nodes").comfy_entrypoint
    extension = entrypoint()
    if asyncio.iscoroutine(extension):
        extension = await extension
    await extension.on_load()
    return list(await extension.get_node_list())


def import_comfyui(comfyui: Path, base: Path, extra: Sequence[tuple[str, Any]] = ()) -> HostModules:
    """Import ComfyUI for the CPU with `base` as its base directory; possible once per process.

    Args:
        comfyui: folder with main.py.
        base: where input, output and the rest are made.
        extra: more command line arguments, as (attribute, value).
    """
    make_base_folder(base, pack=None)
    if str(comfyui) not in sys.path:
        sys.path.insert(0, str(comfyui))
    args = importlib.import_module("comfy.cli_args").args
    settings = {"cpu": True, "base_directory": str(base), "disable_api_nodes": True}
    for name, value in [*settings.items(), *extra]:
        setattr(args, name, value)
    importlib.import_module("utils.extra_config")  # as main.py does: `nodes` puts another `utils` first in the path
    instance = importlib.import_module("server").PromptServer(asyncio.new_event_loop())
    folder_paths = importlib.import_module("folder_paths")
    folder_paths.add_model_folder_path("checkpoints", str(CHECKPOINTS))
    folder_paths.add_model_folder_path("loras", str(base / "output" / "loras"))
    host = HostModules(base=base, server=instance)
    instance.send_sync = lambda event, data, sid=None: host.sent.append((event, data))
    return host

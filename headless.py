"""Trains a workflow without a page or a server, alone or on several GPUs.

    python headless.py workflow.json [options of ComfyUI]
    python -m torch.distributed.run --nproc_per_node 2 headless.py workflow.json [options of ComfyUI]
    python headless.py --check-gpu [--short] [--out DIR] [options of ComfyUI]    check this GPU; writes gpu-report.md

`workflow.json` is what the menu's Export (API) writes. Its Train LoRA nodes are executed with all they need, by
ComfyUI's own worker, and leave the run that the graph finds when it is queued. ComfyUI is that of the custom_nodes
folder this file lies in, or COMFYUI_PATH.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
import types
import uuid
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

TRAIN_NODE = "BakeryTrain"
POLL_S = 0.2
MOST_CARDS = 32
"""The maximum that ComfyUI looks for."""


def main() -> None:
    """Exit status 0 when everything is trained, else 1 with the reason on standard error."""
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        sys.exit()
    if sys.argv[1:2] == ["--check-gpu"]:
        check_gpu(sys.argv[2:])
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    prompt = read_prompt(Path(sys.argv[1]))
    comfyui = comfyui_folder()
    with tempfile.TemporaryDirectory() as temporary:
        start_arguments(comfyui, sys.argv[2:], temporary)
        error = train(prompt)
    sys.stdout.flush()
    sys.stderr.flush()
    if error:
        print(f"LoRA Bakery: {error}", file=sys.stderr, flush=True)
    os._exit(1 if error else 0)  # do not wait for other packs' threads or a lost process group


def read_prompt(path: Path) -> dict[str, Any]:
    """The workflow in API form; exits if it is not one or trains nothing."""
    try:
        prompt = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path} cannot be read: {error}")
    is_prompt = isinstance(prompt, dict) and all(isinstance(n, dict) and "class_type" in n for n in prompt.values())
    if not is_prompt:
        sys.exit(f"{path} is no workflow in API form: in ComfyUI's menu choose Export (API).")
    if not any(node["class_type"] == TRAIN_NODE for node in prompt.values()):
        sys.exit(f"{path} has no Train LoRA (Bakery) node, so there is nothing to train.")
    return prompt


def comfyui_folder() -> Path:
    """The ComfyUI to run in; exits if there is none."""
    folder = Path(os.environ.get("COMFYUI_PATH") or Path(__file__).absolute().parents[2])
    if not (folder / "main.py").is_file():
        sys.exit(f"{folder} is no ComfyUI. Set COMFYUI_PATH to the folder that holds its main.py.")
    return folder.absolute()


def start_arguments(comfyui: Path, options: list[str], temporary: str) -> None:
    """ComfyUI's command line: one GPU per process, nothing shared with a server running at the same time."""
    own = ["--disable-auto-launch", "--temp-directory", temporary]
    if "--database-url" not in options:
        own += ["--database-url", "sqlite:///:memory:"]
    if knows(comfyui, "--disable-assets") and not {"--disable-assets", "--enable-assets"} & set(options):
        own.append("--disable-assets")  # each process would look through all files
    if not is_first_process() and "--verbose" not in options:
        own += ["--verbose", "ERROR"]  # the first process prints it all
    if "--cpu" not in options and (card := own_card(options, os.environ)) is not None:
        # main.py does this for --cuda-device, but only when run as the program
        os.environ["CUDA_VISIBLE_DEVICES"] = os.environ["HIP_VISIBLE_DEVICES"] = card
    sys.argv = [str(comfyui / "main.py"), *own, *options]
    # This folder's nodes/ would hide ComfyUI's nodes.py.
    here = Path(__file__).resolve().parent
    sys.path[:] = [str(comfyui), *(entry for entry in sys.path if Path(entry or ".").resolve() != here)]


def knows(comfyui: Path, name: str) -> bool:
    """Whether this ComfyUI has an option, which it would refuse otherwise."""
    try:
        return f'"{name}"' in (comfyui / "comfy" / "cli_args.py").read_text(encoding="utf-8")
    except OSError:
        return False


def own_card(options: Sequence[str], environment: Mapping[str, str]) -> str | None:
    """The GPUs this process sees: its own of those named or visible; None if all may be seen.

    `--cuda-device 1,3` names those of all processes, `--default-device 2` that of the first; exits if there are fewer
    GPUs than processes.
    """
    rank = environment.get("LOCAL_RANK")
    named = option(options, "--cuda-device") or environment.get("CUDA_VISIBLE_DEVICES")
    cards = named.split(",") if named else [str(index) for index in range(MOST_CARDS)]
    first = option(options, "--default-device")
    if first is not None and first in cards:
        cards = [first, *(card for card in cards if card != first)]
    if rank is None:
        return ",".join(cards) if named or first is not None else None
    if int(rank) >= len(cards):
        sys.exit(f"there are more processes than GPUs: process {rank} has none of {named}. Start {len(cards)}.")
    return cards[int(rank)]


def option(options: Sequence[str], name: str) -> str | None:
    """The value of an option of ComfyUI, written `--name value` or `--name=value`."""
    for place, text in enumerate(options):
        if text == name and place + 1 < len(options):
            return options[place + 1]
        if text.startswith(f"{name}="):
            return text.partition("=")[2]
    return None


def check_gpu(options: list[str]) -> NoReturn:
    """Exit status 0 if all checks of this machine's GPU passed."""
    comfyui = comfyui_folder()
    start_arguments(comfyui, [], tempfile.gettempdir())
    pack = types.ModuleType("pack")  # under its own name, without the nodes that ComfyUI would load
    pack.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules["pack"] = pack
    sys.exit(import_module("pack.workbench.gpu.start").start(options))


def train(prompt: dict[str, Any]) -> str:
    """Run the workflow in the ComfyUI of the command line; returns what went wrong, or nothing."""
    loop, server, _ = import_module("main").start_comfyui()
    nodes, execution = import_module("nodes"), import_module("execution")
    node = nodes.NODE_CLASS_MAPPINGS.get(TRAIN_NODE)
    if node is None:
        return "this ComfyUI has no Train LoRA (Bakery) node: install the pack into its custom_nodes."
    pack = node.__module__.rpartition(".nodes.")[0]
    import_module(f"{pack}.nodes.comfy_bridge.host.ranks").join_ranks()
    trained = [key for key, value in prompt.items() if value["class_type"] == TRAIN_NODE]
    identity = uuid.uuid4().hex
    is_valid, error, outputs, node_errors = loop.run_until_complete(
        execution.validate_prompt(identity, prompt, trained)
    )
    if not is_valid or node_errors:
        return f"ComfyUI refuses the workflow: {what_is_refused(error, node_errors)}"
    data = {"client_id": None, "create_time": int(time.time() * 1000)}
    server.prompt_queue.put((0, identity, prompt, data, outputs, {}))
    try:
        done = loop.run_until_complete(finished(server, identity))
    except KeyboardInterrupt:  # like the cancel button: what was trained is saved
        nodes.interrupt_processing()
        done = loop.run_until_complete(finished(server, identity))
    if is_first_process():
        for key in trained:
            for text in done["outputs"].get(key, {}).get("text", []):
                print(f"LoRA Bakery: {prompt[key]['inputs'].get('name', key)}: {text}")
        folders = import_module(f"{pack}.nodes.comfy_bridge.host.run_folders")
        print(f"LoRA Bakery: runs lie in {folders.loras_output()}")
    return what_failed(done["status"])


def is_first_process() -> bool:
    """Whether this is the first process that torchrun started, or the only one without it."""
    return os.environ.get("RANK", "0") == "0"


def what_is_refused(error: dict[str, Any] | None, node_errors: dict[str, Any]) -> str:
    """Node, input and reason of each refusal, as ComfyUI names them; without them its general message."""
    reasons = [
        f"{found['class_type']} ({key}): {reason['details'] or reason['message']}"
        for key, found in node_errors.items()
        for reason in found["errors"]
    ]
    return "; ".join(reasons) if reasons else f"{(error or {}).get('message')} {(error or {}).get('details')}".strip()


async def finished(server: Any, identity: str) -> dict[str, Any]:
    """What the history says of the prompt once it is done; messages for pages are dropped."""
    pages = asyncio.ensure_future(server.publish_loop())
    while not (history := server.prompt_queue.get_history(prompt_id=identity)):
        await asyncio.sleep(POLL_S)
    pages.cancel()
    return history[identity]


def what_failed(status: dict[str, Any]) -> str:
    """The error of a status, empty if there is none."""
    if status["completed"]:
        return ""
    said = [data for name, data in status["messages"] if name == "execution_error"]
    return said[0]["exception_message"].strip() if said else "canceled; what was trained is saved"


if __name__ == "__main__":
    main()

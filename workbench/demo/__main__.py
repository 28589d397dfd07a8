"""Trains a LoRA on the pocket model in a real ComfyUI and shows what it learned: `python dev.py demo`.

The example workflow is queued as the page would queue it; then the base model and the saved file, loaded by core's own
LoRA loader, draw the same prompts from the same seeds.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...tests.support.client import ComfyClient, Prompt
from ...tests.support.paths import PLAYGROUND, POCKET_CHECKPOINT, ROOT, comfyui_folder
from ...tests.support.server import ComfyServer, end_on_sigterm
from ...tests.support.workflow import to_api
from ..examples.data import add_example_data
from ..pocket.characters import CHARACTERS, OriginalCharacter
from .picture import comparison_sheet
from .sampling import Pictures, Sampling, sample
from .scores import describe_scores, prompts_to_score
from .terminal import ProgressLine

WORKFLOW = ROOT / "example_workflows" / "small_model_train_then_sample.json"
TRIGGER = "zorblax"
TRAIN_TIMEOUT_S = 3600.0


def main() -> int:
    """Run the demo; 0 if everything worked."""
    parser = argparse.ArgumentParser(prog="dev.py demo")
    parser.add_argument("--keep", action="store_true", help="continue the last demo's LoRA instead of starting over")
    parser.add_argument("--gpu", action="store_true", help="use the GPU if there is one")
    options = parser.parse_args()
    end_on_sigterm()
    with running_server(is_on_cpu=not options.gpu) as server:
        workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
        prompt = to_api(workflow, server.client().object_info())
        name = str(find_node(prompt, "BakeryTrain")["inputs"]["name"])
        if not options.keep:
            shutil.rmtree(server.output / "loras" / name, ignore_errors=True)
        train(server, prompt, workflow)
        picture = compare(server, name)
    print(f"\nPicture: {picture}\nLoRA:    {PLAYGROUND / 'output' / 'loras' / name / f'{name}.safetensors'}")
    print("Next:    python dev.py ui")
    return 0


@contextmanager
def running_server(*, is_on_cpu: bool) -> Iterator[ComfyServer]:
    """Give a ComfyUI of our own with the pack and the pictures of its examples."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    server = ComfyServer(comfyui, PLAYGROUND, is_on_cpu=is_on_cpu)
    print("==> Start ComfyUI", flush=True)
    try:
        server.start()
        add_example_data(server.input)
        yield server
    finally:
        server.stop()


def find_node(prompt: Prompt, class_type: str) -> dict[str, Any]:
    """Return the first node of a kind.

    Raises:
        LookupError: there is none.
    """
    for node in prompt.values():
        if node["class_type"] == class_type:
            return node
    raise LookupError(f"{WORKFLOW.name} has no {class_type}")


def train(server: ComfyServer, prompt: Prompt, workflow: dict[str, Any]) -> None:
    """Queue the example workflow and show how it goes on.

    Raises:
        SystemExit: the workflow failed.
    """
    print(f"==> Queue {WORKFLOW.name}", flush=True)
    line, started = ProgressLine(), time.monotonic()
    with ComfyClient(server.url, line) as client:
        result = client.wait(client.queue(prompt, workflow), TRAIN_TIMEOUT_S)
    line.end()
    if result.status != "success":
        raise SystemExit(f"Failed: the workflow ended with {result.status}. {result.error}\nLog: {server.log_path}")
    print(f"Trained in {time.monotonic() - started:.0f} s, with {line.num_previews} previews on the way.", flush=True)


def compare(server: ComfyServer, name: str) -> Path:
    """Sample base and LoRA, print the scores, write the sheet; returns its path."""
    character = CHARACTERS[TRIGGER]
    captions = prompts_to_score(character)
    sampling = Sampling(checkpoint=POCKET_CHECKPOINT.name)
    client = server.client()
    print("==> Sample the base model and the LoRA (about a minute)", flush=True)
    base = sample(client, sampling, list(captions))
    lora = sample(client, sampling, list(captions), lora=str(Path(name) / f"{name}.safetensors"))
    print(describe_scores(character, base, lora))
    return write_sheet(character, captions, base, lora)


def write_sheet(character: OriginalCharacter, captions: dict[str, str], base: Pictures, lora: Pictures) -> Path:
    """Write the labeled picture into the output folder; returns its path."""
    path = PLAYGROUND / "output" / "demo.png"
    title = f"A LoRA of {character.trigger}: the same prompts and seeds, without and with it"
    comparison_sheet(title, captions, base, lora).save(path)
    return path


if __name__ == "__main__":
    sys.exit(main())

"""The loop of a rare character, as a user goes it: queue the example workflow, keep good pictures, queue again."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..demo.sampling import Pictures, Sampling, sample
from ..demo.scores import prompts_to_score, scores
from ..host.client import ComfyClient, Prompt
from ..host.paths import POCKET_CHECKPOINT, ROOT
from ..host.workflow import to_api
from ..pocket.characters import CHARACTERS
from ..workflows.data import CHARACTER, ONE_IMAGE_FOLDER, REAL
from .eye import choose

WORKFLOW = ROOT / "example_workflows" / "from_one_image.json"
OC = CHARACTERS[CHARACTER]
DRAWING_STEPS = 12
"""Of a picture; the workflow's 20 are hardly better on this model."""
SAMPLING = Sampling(checkpoint=POCKET_CHECKPOINT.name, num_pictures=6, seed=77, steps=DRAWING_STEPS)
"""Of the pictures that are scored; the loop draws with other seeds."""
ALONE = f"{CHARACTER}_alone"
TIMEOUT_S = 3600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A LoRA and what it draws."""

    title: str
    num_images: int
    """Images it was trained on."""
    steps: int
    """All steps so far."""
    num_kept: int
    """Pictures kept of those it drew."""
    num_drawn: int
    identity: float
    flexibility: float
    prior: float
    pictures: Pictures


class Loop:
    """The example workflow on a running server."""

    def __init__(self, client: ComfyClient, steps: int, most: int) -> None:
        """`steps` of a round, and how many pictures of one node are kept at most."""
        self._client, self._steps, self._most = client, steps, most
        self._num_queued = self._num_without = 0
        workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
        self._prompt = to_api(workflow, client.object_info())
        self._workflow = workflow
        self.base = sample(client, SAMPLING, list(prompts_to_score(OC)))

    def round(self, seed: int, is_last: bool) -> Scored:
        """Train, draw, keep, score. The grid of all rounds is drawn in the last one only."""
        prompt = with_inputs(self._prompt, "BakeryTrain", steps=self._steps * (1 + self._num_without))
        prompt = with_inputs(prompt, "KSampler", seed=seed, steps=DRAWING_STEPS)  # the page's "randomize" draws seeds
        if not is_last:
            prompt = ancestors(prompt, [key for key, node in prompt.items() if node["class_type"] == "SaveImage"])
        num_images = self._num_images()
        outputs = self._run(prompt)
        self._num_queued += 1
        kept = drawn = 0
        for node_id, images in saved_images(prompt, outputs).items():
            drawn += len(images)
            kept += self._keep(images, caption_of(prompt, node_id))
        # Where nothing was good the dataset stays, and the next queue trains the same round longer.
        self._num_without = 0 if kept else self._num_without + 1
        report = next(outputs[key]["text"][0] for key, node in prompt.items() if node["class_type"] == "BakeryRound")
        name = report.split()[0]
        title = name.removeprefix(f"{CHARACTER}_").replace("_", " ")
        return self._scored(title, name, num_images, self._num_queued, kept, drawn)

    def alone(self) -> Scored:
        """For comparison: the only picture, trained as long as all rounds so far together."""
        keys = [key for key, node in self._prompt.items() if node["class_type"] == "BakeryTrain"]
        prompt = ancestors(self._prompt, keys)
        prompt = with_inputs(prompt, "BakeryLoadDataset", folder=f"{ONE_IMAGE_FOLDER}/{REAL}", repeats=8)
        prompt = with_inputs(prompt, "BakeryTrain", name=ALONE, steps=self._steps * self._num_queued)
        prompt[keys[0]]["inputs"].pop("lora")
        self._run({key: node for key, node in prompt.items() if node["class_type"] != "BakeryRound"})
        return self._scored("one picture alone", ALONE, 1, self._num_queued, 0, 0)

    def _run(self, prompt: Prompt) -> Mapping[str, Any]:
        result = self._client.wait(self._client.queue(prompt, self._workflow), TIMEOUT_S)
        if result.status != "success":
            raise SystemExit(f"Failed: the workflow ended with {result.status}. {result.error}")
        return result.outputs

    def _num_images(self) -> int:
        return len(self._client.get("/bakery/dataset", folder=ONE_IMAGE_FOLDER)["images"])

    def _keep(self, images: list[dict[str, str]], caption: str) -> int:
        """What "Keep these for training" sends."""
        pictures = [Image.open(io.BytesIO(self._client.view(image))) for image in images]
        good = [images[index] for index in choose(pictures, caption, OC, self._most)]
        if good:
            content = {"folder": ONE_IMAGE_FOLDER, "images": good, "caption": caption}
            self._client.post("/bakery/dataset/keep", content)
        return len(good)

    def _scored(self, title: str, name: str, num_images: int, rounds: int, kept: int, drawn: int) -> Scored:
        pictures = sample(self._client, SAMPLING, list(prompts_to_score(OC)), lora=f"{name}/{name}.safetensors")
        identity, flexibility, prior = scores(OC, pictures, self.base)
        return Scored(
            title=title, num_images=num_images, steps=self._steps * rounds, num_kept=kept, num_drawn=drawn,
            identity=identity, flexibility=flexibility, prior=prior, pictures=pictures,
        )  # fmt: skip


def with_inputs(prompt: Prompt, class_type: str, **inputs: Any) -> Prompt:
    """The prompt with other inputs of all nodes of a kind."""
    return {
        key: {**node, "inputs": {**node["inputs"], **inputs}} if node["class_type"] == class_type else node
        for key, node in prompt.items()
    }


def ancestors(prompt: Prompt, keys: list[str]) -> Prompt:
    """The nodes of these keys and all that they need."""
    found: Prompt = {}
    waiting = [*keys]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found[key] = prompt[key]
            waiting += [str(value[0]) for value in prompt[key]["inputs"].values() if isinstance(value, list)]
    return found


def saved_images(prompt: Prompt, outputs: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """Images by the node that saved them."""
    return {key: outputs[key]["images"] for key, node in prompt.items() if node["class_type"] == "SaveImage"}


def caption_of(prompt: Prompt, key: str) -> str:
    """The prompt that drew what a node saves: Save Image, VAE Decode, KSampler, its positive text."""
    node = prompt[key]
    for name in ("images", "samples", "positive"):
        node = prompt[str(node["inputs"][name][0])]
    return str(node["inputs"]["text"])

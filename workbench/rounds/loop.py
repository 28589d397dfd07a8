"""The loop of a rare character, as a user goes it: queue the example workflow, keep good pictures, queue again."""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ...tests.support.client import ComfyClient, Prompt
from ...tests.support.paths import POCKET_CHECKPOINT, ROOT
from ...tests.support.workflow import to_api
from ..demo.sampling import Pictures, Sampling, sample
from ..demo.scores import prompts_to_score, scores
from ..examples.data import CHARACTER, ONE_IMAGE_FOLDER, REAL
from ..pocket.characters import CHARACTERS, OriginalCharacter
from .burn import off_color
from .eye import choose

WORKFLOW = ROOT / "example_workflows" / "small_model_from_one_image.json"
OC = CHARACTERS[CHARACTER]
"""The example's."""
DRAWING_STEPS = 12
"""Of a picture; the workflow's 20 are hardly better on this model."""
SAMPLING = Sampling(checkpoint=POCKET_CHECKPOINT.name, num_pictures=6, seed=77, steps=DRAWING_STEPS)
"""Of the pictures that are scored; the loop draws with other seeds."""
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
    off_color: float
    """Share of the pixels of the pictures with the trigger, of which lower is better."""
    pictures: Pictures


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How a loop is gone."""

    character: OriginalCharacter = OC
    steps: int = 120
    """Of a round."""
    most: int = 2
    """Pictures kept of one node and round, at most."""
    seed: int = 0
    """Added to the seeds with which a round draws, and to that of the training."""
    rate_factor: float | None = None
    """Of Round; None = as the example has it."""


class Loop:
    """The example workflow on a running server."""

    def __init__(self, client: ComfyClient, settings: Settings) -> None:
        """The input folder holds the character's picture already."""
        self._client, self._settings, self._character = client, settings, settings.character
        self._num_queued = self._num_without = 0
        workflow = json.loads(WORKFLOW.read_text(encoding="utf-8"))
        prompt = of_character(to_api(workflow, client.object_info()), settings.character)
        if settings.rate_factor is not None:
            prompt = with_inputs(prompt, "BakeryRound", rate_factor=settings.rate_factor)
        self._prompt = prompt
        self._workflow = workflow
        self.base = sample(client, SAMPLING, list(prompts_to_score(self._character)))

    def round(self, number: int, is_last: bool) -> Scored:
        """Train, draw, keep, score. The grid of all rounds is drawn in the last one only."""
        seed = self._settings.seed
        steps = self._settings.steps * (1 + self._num_without)
        prompt = with_inputs(self._prompt, "BakeryTrain", steps=steps, seed=1 + seed)
        # The page's "randomize" draws seeds.
        prompt = with_inputs(prompt, "KSampler", seed=100 * seed + number, steps=DRAWING_STEPS)
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
        title = name.removeprefix(f"{self._character.trigger}_").replace("_", " ")
        return self._scored(title, name, num_images, self._num_queued, kept, drawn)

    def alone(self) -> Scored:
        """For comparison: the only picture, trained as long as all rounds so far together."""
        name = f"{self._character.trigger}_alone"
        keys = [key for key, node in self._prompt.items() if node["class_type"] == "BakeryTrain"]
        prompt = ancestors(self._prompt, keys)
        prompt = with_inputs(prompt, "BakeryLoadDataset", folder=f"{ONE_IMAGE_FOLDER}/{REAL}", repeats=8)
        prompt = with_inputs(prompt, "BakeryTrain", name=name, steps=self._settings.steps * self._num_queued)
        prompt[keys[0]]["inputs"].pop("lora")
        rates = [node["inputs"]["learning_rate"] for node in prompt.values() if node["class_type"] == "BakeryRound"]
        prompt = with_inputs(prompt, "BakeryOptimizer", learning_rate=rates[0])
        self._run({key: node for key, node in prompt.items() if node["class_type"] != "BakeryRound"})
        return self._scored("one picture alone", name, 1, self._num_queued, 0, 0)

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
        good = [images[index] for index in choose(pictures, caption, self._character, self._settings.most)]
        if good:
            content = {"folder": ONE_IMAGE_FOLDER, "images": good, "caption": caption}
            self._client.post("/bakery/dataset/keep", content)
        return len(good)

    def _scored(self, title: str, name: str, num_images: int, rounds: int, kept: int, drawn: int) -> Scored:
        own = self._character
        pictures = sample(self._client, SAMPLING, list(prompts_to_score(own)), lora=f"{name}/{name}.safetensors")
        identity, flexibility, prior = scores(own, pictures, self.base)
        with_trigger = [one for prompt, many in pictures.items() if prompt.startswith(own.trigger) for one in many]
        return Scored(
            title=title, num_images=num_images, steps=self._settings.steps * rounds, num_kept=kept, num_drawn=drawn,
            identity=identity, flexibility=flexibility, prior=prior, off_color=off_color(with_trigger, own),
            pictures=pictures,
        )  # fmt: skip


def of_character(prompt: Prompt, character: OriginalCharacter) -> Prompt:
    """The example for another character: its word, and the backgrounds by the part that they play for it."""
    words = dict(zip(_words(OC), _words(character), strict=True))
    pattern = re.compile("|".join(words))

    def changed(value: Any) -> Any:
        return pattern.sub(lambda found: words[found[0]], value) if isinstance(value, str) else value

    return {
        key: {**node, "inputs": {name: changed(value) for name, value in node["inputs"].items()}}
        if node["class_type"] in ("CLIPTextEncode", "BakeryRound", "BakeryObjective", "BakeryPreview", "BakeryCompare")
        else node
        for key, node in prompt.items()
    }


def _words(character: OriginalCharacter) -> list[str]:
    """Trigger, and all backgrounds: that of its picture, the three drawn in the loop, the two that are scored."""
    seen, unseen = character.seen_backgrounds, character.unseen_backgrounds
    return [character.trigger, *seen, *unseen[2:], *unseen[:2]]


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

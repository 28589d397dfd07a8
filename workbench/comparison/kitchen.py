"""Trains and scores trials, one after the other, in this process: the real nodes, core's LoRA loader and sampler."""

import random
import shutil
import statistics
import time
from pathlib import Path
from typing import Any

from PIL import Image

from ...tests.support.inprocess import HostModules
from ...training.data.folder import natural_key
from ...training.run.lines import read_lines
from ..demo.sampling import Pictures
from ..demo.scores import prompts_to_score, scores
from ..examples.data import add_example_data
from ..pocket.characters import CHARACTERS, OriginalCharacter, draw_character
from ..pocket.sampling import PocketModel, SamplerConfig, sample_captions
from .contestants import GROUPS, Contestant
from .kinds import add_node, pocket_of_kind
from .trial import Scale, Trial, held_out_folder, trained_folder, training_graph

NUM_HELD_OUT = 8
CFG = 4.0
SEED = 1
"""Of all pictures."""


class StepClock:
    """Receives the events of a run and records the CPU time at each, which other programs hardly affect."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []

    def __call__(self, event: str, data: Any, sid: str | None = None) -> None:
        """Receive an event in place of the host's sender."""
        if event == "bakery.step":
            self._marks.append((int(data["step"]), time.process_time()))

    def take(self) -> float | None:
        """Seconds per step of the last run, all threads: the median between events. None: too short."""
        marks, self._marks = self._marks, []
        between = [(late[1] - early[1]) / (late[0] - early[0]) for early, late in zip(marks, marks[1:], strict=False)]
        return statistics.median(between) if between else None


class Kitchen:
    """ComfyUI in this process with the pocket model loaded once."""

    def __init__(self, host: HostModules, scale: Scale) -> None:
        """Writes the data below the host's input folder; from then on this process receives its events."""
        self._host = host
        self._clock = StepClock()
        host.server.send_sync = self._clock
        self._scale = scale
        add_example_data(host.base / "input")
        for character in CHARACTERS.values():
            write_held_out(host.base / "input" / held_out_folder(character.trigger), character)
        for contestant in (one for rows in GROUPS.values() for one in rows if one.num_images):
            copy_first(host.base / "input", contestant)
        add_node(host)
        self._pockets: dict[str, PocketModel] = {}
        self._base_pictures: dict[tuple[str, str], Pictures] = {}

    def bake(self, trial: Trial) -> tuple[dict[str, Any], Pictures]:
        """Train, load the file as core does, draw, score; a failed run gives its `error` and no pictures."""
        root = self._host.base / "output" / "loras" / trial.name
        shutil.rmtree(root, ignore_errors=True)
        ended = self._host.run_graph(training_graph(trial))
        cpu_s_per_step = self._clock.take()
        if ended.status != "success":
            shutil.rmtree(root, ignore_errors=True)
            return {"error": ended.error}, {}
        file = root / f"{trial.name}.safetensors"
        before, after = held_out_losses(root)
        result = {
            "cpu_s_per_step": cpu_s_per_step,
            "held_out_loss": after / before,
            "file_bytes": file.stat().st_size,
        }
        trained, kind = trial.contestant, trial.contestant.kind
        word = f"embedding:{trial.name}" if trained.network.get("trigger_embedding") else ""
        pictures = self._draw(trained.character, with_lora(self._host, self._pocket(kind), file), word)
        shutil.rmtree(root)
        found = scores(CHARACTERS[trained.character], pictures, self.base_pictures(trained.character, kind))
        result |= dict(zip(("identity", "flexibility", "prior"), found, strict=True))
        return result, pictures

    def base_pictures(self, trigger: str, kind: str = "") -> Pictures:
        """What the model draws without a LoRA."""
        if (trigger, kind) not in self._base_pictures:
            self._base_pictures[trigger, kind] = self._draw(trigger, self._pocket(kind))
        return self._base_pictures[trigger, kind]

    def _pocket(self, kind: str) -> PocketModel:
        if kind not in self._pockets:
            self._pockets[kind] = PocketModel(*pocket_of_kind(self._host, kind))
            embeddings = [str(self._host.base / "output" / "embeddings")]
            self._pockets[kind].clip.tokenizer.clip_l.embedding_directory = embeddings
        return self._pockets[kind]

    def _draw(self, trigger: str, pocket: PocketModel, word: str = "") -> Pictures:
        """Pictures of each prompt; `word` is written in place of the trigger."""
        prompts, count = list(prompts_to_score(CHARACTERS[trigger])), self._scale.num_pictures
        captions = [prompt.replace(trigger, word or trigger) for prompt in prompts for _ in range(count)]
        config = SamplerConfig(
            num_steps=self._scale.sampling_steps, cfg=CFG, seed=SEED, batch_size=len(captions)
        )  # fmt: skip
        drawn = [Image.fromarray(picture) for picture in sample_captions(pocket, captions, config)]
        return {prompt: drawn[index * count : (index + 1) * count] for index, prompt in enumerate(prompts)}


def with_lora(host: HostModules, pocket: PocketModel, file: Path, strength: float = 1.0) -> PocketModel:
    """The model with a file as core's own loader applies it, on U-Net and text encoder alike."""
    tensors = host.module("comfy.utils").load_torch_file(str(file), safe_load=True)
    loader = host.module("comfy.sd").load_lora_for_models
    model, clip = loader(pocket.model, pocket.clip, tensors, strength, strength)
    return PocketModel(model, clip, pocket.vae)


def copy_first(inputs: Path, contestant: Contestant) -> None:
    """The first pictures of a character's dataset with their captions as a dataset of their own."""
    folder = inputs / trained_folder(contestant)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = sorted((inputs / contestant.character).rglob("*.png"), key=lambda path: natural_key(path.name))
    for picture in pictures[: contestant.num_images]:
        for path in (picture, picture.with_suffix(".txt")):
            shutil.copyfile(path, folder / path.name)


def write_held_out(folder: Path, character: OriginalCharacter) -> None:
    """Drawings of the character in front of the backgrounds its dataset does not have, with captions."""
    folder.mkdir(parents=True, exist_ok=True)
    backgrounds = character.unseen_backgrounds
    for index in range(NUM_HELD_OUT):
        background = backgrounds[index % len(backgrounds)]
        path = folder / f"{index}.png"
        draw_character(character, background, random.Random(f"held out {index}")).save(path)
        path.with_suffix(".txt").write_text(character.caption(background) + "\n", encoding="utf-8")


def held_out_losses(root: Path) -> tuple[float, float]:
    """Loss on the held-out pictures before the first and after the last step, at fixed noise, unweighted."""
    metrics = next((root / ".run").glob("*/metrics.jsonl"))
    losses = [line["validation_loss"] for line in read_lines(metrics) if "validation_loss" in line]
    return losses[0], losses[-1]

"""LoRAs side by side: saved steps, strengths and prompts in one labelled picture, scored where references are given."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io
from PIL import Image
from torch import Tensor

from ..training.compare import NO_LORA, Cell, arrange, best_lora, choose_steps, parse_numbers, without_trigger
from ..training.compare_sheet import draw_pages
from ..training.data.images import pixels_HWC
from ..training.files.lora_file import load_lora
from ..training.likeness import likeness
from ..training.picks import chosen_step
from ..training.previews import PreviewSettings
from ..training.run.folder import RunFolder
from . import sockets
from .comfy_bridge.compare import CellSampler, LoadLora, describer, save_temporary
from .comfy_bridge.progress import to_pil
from .compare_inputs import MAX_LORAS, compare_inputs


class BakeryCompare(io.ComfyNode):
    """A grid of LoRAs, strengths and prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryCompare",
            display_name="Compare LoRAs (Bakery)",
            category="LoRA Bakery/Tools",
            description="Draws the same prompts from the same seed with several steps, LoRAs and strengths, in one "
            "labelled picture. With reference images each cell is scored and the best LoRA is given out.",
            search_aliases=["xy plot", "lora grid", "compare checkpoints", "strength grid"],
            inputs=compare_inputs(),
            outputs=[
                io.Image.Output(display_name="images", tooltip="The labelled grid; further axes make further pages."),
                sockets.LoraModel.Output(
                    display_name="lora", tooltip="The best by score; without references the one picked, else the last."
                ),
                io.String.Output(display_name="report", tooltip="Scores and what they say, as text."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        loras = _loras(values)
        settings = _settings(values)
        strengths = parse_numbers(values["strengths"], "strengths", -10, 10) or [1.0]
        text_strengths: list[float | None] = [*parse_numbers(values["text_encoder_strengths"], "strengths", -10, 10)]
        labels = {
            "LoRA": [label for label, _ in loras],
            "prompt": list(settings.prompts),
            "strength": [f"strength {number:g}" for number in strengths],
            "text encoder": [f"text encoder {number:g}" for number in text_strengths] or ["same"],
        }
        pages = arrange(labels, values["columns"], values["rows"])
        sampler = CellSampler(values["model"], values["clip"], values["vae"], cls.hidden.unique_id)
        cells = [cell for page in pages for row in page.cells for cell in row]
        loaders = [load for _, load in loras]
        draw = (loaders, strengths, text_strengths or [None])
        pictures = sampler.draw(cells, *draw, settings)
        score = _scorer(values)
        scores = {cell: score(picture) for cell, picture in pictures.items()} if score else {}
        best = (
            best_lora(_with_lora(scores, labels["LoRA"]) or scores) if scores else _default_best(values, labels["LoRA"])
        )
        report = _report(labels, scores, best)
        if score and values["trigger"].strip():
            plain = replace(settings, prompts=tuple(without_trigger(p, values["trigger"]) for p in settings.prompts))
            report += _leaks(labels, {c: score(p) for c, p in sampler.draw(cells, *draw, plain).items()}, scores)
        images = {cell: to_pil(picture) for cell, picture in pictures.items()}
        load = loaders[best]
        shown = {"text": [report], "bakery_compare": [_for_page(values.get("run"), labels, images, scores)]}
        sheets = draw_pages(pages, images, scores, best)
        return io.NodeOutput(_batch(sheets), {} if load is None else load(), report, ui=shown)


def _for_page(
    run: RunFolder | None,
    labels: Mapping[str, Sequence[str]],
    images: Mapping[Cell, Image.Image],
    scores: Mapping[Cell, float],
) -> dict[str, Any]:
    """The pictures by LoRA and the rest, so that the page can show them large and let people vote."""
    files = save_temporary(list(images.values()))
    cells = [
        {
            "file": file,
            "lora": cell.lora,
            "score": scores.get(cell),
            "key": [cell.prompt, cell.strength, cell.text_strength],
        }
        for file, cell in zip(files, images, strict=True)
    ]
    return {
        "run": None if run is None else {"id": run.run_id, "name": run.name},
        "loras": list(labels["LoRA"]), "prompts": list(labels["prompt"]), "cells": cells,
    }  # fmt: skip


def _loras(values: Mapping[str, Any]) -> list[tuple[str, LoadLora | None]]:
    """Labels and loaders: the base model, the steps of the run, the connected LoRAs.

    Raises:
        ValueError: There is nothing to compare.
    """
    found: list[tuple[str, LoadLora | None]] = [(NO_LORA, None)] if values["include_base"] else []
    run: RunFolder | None = values.get("run")
    if run is not None:
        saved = run.step_loras()
        for step in choose_steps(list(saved), values["steps"], values["num_steps"]):
            found.append((f"step {step}", lambda path=saved[step]: load_lora(path).tensors))
    for number in range(1, MAX_LORAS + 1):
        lora = values.get(f"lora_{number}")
        if lora is not None:
            found.append((getattr(lora, "name", "") or f"LoRA {number}", lambda lora=lora: lora))
    if all(label == NO_LORA for label, _ in found):
        raise ValueError("nothing to compare: connect a run from Train LoRA, or a LoRA to lora_1")
    return found


def _settings(values: Mapping[str, Any]) -> PreviewSettings:
    prompts = tuple(line.strip() for line in values["prompts"].splitlines() if line.strip())
    return PreviewSettings(
        prompts=prompts, negative=values["negative"], seed=values["seed"], width=values["width"],
        height=values["height"], steps=values["sampling_steps"], cfg=values["cfg"], sampler=values["sampler"],
        scheduler=values["scheduler"],
    )  # fmt: skip


def _scorer(values: Mapping[str, Any]) -> Any:
    """Function from (H, W, 3) to likeness, or None without references."""
    references: Tensor | None = values.get("references")
    if references is None:
        return None
    describe = describer(values.get("clip_vision"))
    described_ND = torch.stack([describe(picture[..., :3].cpu()) for picture in references])
    return lambda picture: likeness(describe(picture), described_ND)


def _with_lora(scores: Mapping[Cell, float], labels: Sequence[str]) -> dict[Cell, float]:
    return {cell: score for cell, score in scores.items() if labels[cell.lora] != NO_LORA}


def _default_best(values: Mapping[str, Any], labels: Sequence[str]) -> int:
    run = values.get("run")
    wanted = f"step {chosen_step(run, 'picked in the strip')}" if run is not None else ""
    return labels.index(wanted) if wanted in labels else len(labels) - 1


def _mean_by_lora(scores: Mapping[Cell, float], num_loras: int) -> list[float]:
    found = [[score for cell, score in scores.items() if cell.lora == index] for index in range(num_loras)]
    return [sum(values) / len(values) for values in found]


def _report(labels: Mapping[str, Sequence[str]], scores: Mapping[Cell, float], best: int) -> str:
    names = labels["LoRA"]
    if not scores:
        return f"{names[best]} is given out. Connect reference images to score the cells."
    means = _mean_by_lora(scores, len(names))
    lines = [f"{name}: likeness {mean:.3f}" for name, mean in zip(names, means, strict=True)]
    return "\n".join([*lines, f"best: {names[best]}"])


def _leaks(labels: Mapping[str, Sequence[str]], plain: Mapping[Cell, float], scores: Mapping[Cell, float]) -> str:
    """How near to the references it stays without the trigger: near to the likeness with it means overfit."""
    names = labels["LoRA"]
    pairs = zip(names, _mean_by_lora(plain, len(names)), _mean_by_lora(scores, len(names)), strict=True)
    lines = [f"{name}: {without:.3f} without the trigger, {with_it:.3f} with it" for name, without, with_it in pairs]
    return "\n".join(
        ["", *lines, "Close to each other: the LoRA shows itself unasked (overfit); take an earlier step."]
    )


def _batch(sheets: Sequence[Image.Image]) -> Tensor:
    return torch.stack([pixels_HWC(sheet) for sheet in sheets])


NODES: list[type[io.ComfyNode]] = [BakeryCompare]

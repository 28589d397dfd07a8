"""LoRAs side by side: saved steps, strengths and prompts in one labeled picture, scored against references."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ...training.compare.layout import (
    NO_LORA,
    Cell,
    Page,
    arrange,
    best_lora,
    parse_numbers,
)
from ...training.compare.sheet import draw_pages
from ...training.compare.store import (
    Comparison,
    choices_state,
    load_choice,
    load_comparison,
    load_pictures,
    save_comparison,
)
from ...training.data.images import pixels_HWC
from ...training.run.folder import RunFolder
from ...training.run.picks import chosen_step, picks_state
from ...training.session.trigger import prompts_with_trigger, trigger_of_run
from ...training.watch.model_pictures import for_model
from ...training.watch.previews import PreviewSettings
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.host.run_folders import comparisons_folder, loras_output
from ..comfy_bridge.model.identity import clip_key, patcher_key, tensors_key, vae_key
from ..comfy_bridge.model.model_facts import model_family, prediction_type
from ..menu import LEAD
from .compare_candidates import candidates
from .compare_drawing import Wanted, cells_of_others, draw_cells
from .compare_inputs import compare_inputs


class BakeryCompare(io.ComfyNode):
    """A grid of LoRAs, strengths and prompts."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryCompare",
            display_name="Compare LoRAs (Bakery)",
            category=LEAD,
            description="Draws the same prompts and seed with several steps, LoRAs and strengths in one labeled grid. "
            "With reference images, each cell is scored and the node outputs the best LoRA.",
            search_aliases=["xy plot", "lora grid", "compare checkpoints", "strength grid"],
            is_output_node=True,  # its pictures are on the node: nothing need be connected to its outputs
            inputs=compare_inputs(),
            outputs=[
                io.Image.Output(display_name="images", tooltip="The labeled grid; further axes give further pages."),
                sockets.LoraModel.Output(
                    display_name="lora",
                    tooltip="The LoRA chosen on this node; otherwise the best by score; otherwise the step picked in "
                    "the preview strip, or the last one.",
                ),
                io.String.Output(display_name="report", tooltip="Scores and what they mean, as text."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str:
        """Changes when a cell is chosen on the node or a step is picked in the strip; then nothing is drawn again."""
        return f"{choices_state(comparisons_folder())} {picks_state(loras_output())}"

    @classmethod
    def execute(cls, **values: Any) -> io.NodeOutput:
        loras, settings = candidates(values), _settings(values)
        strengths = parse_numbers(values["strengths"], "strengths", -10, 10) or [1.0]
        text_strengths: list[float | None] = [*parse_numbers(values["text_encoder_strengths"], "strengths", -10, 10)]
        labels = {
            "LoRA": [lora.label for lora in loras],
            "prompt": list(settings.prompts),
            "strength": [f"strength {number:g}" for number in strengths],
            "text encoder": [f"text encoder {number:g}" for number in text_strengths] or ["same"],
        }
        pages = arrange(labels, values["columns"], values["rows"])
        cells, others = _cells(pages), _lines(values.get("other_prompts", ""))
        cells_of_others(cells, len(others))  # refused before anything is drawn
        trigger = _scored_trigger(values)
        wanted = Wanted(loras, tuple(strengths), tuple(text_strengths or [None]), settings, cells, others, trigger)
        folder = comparisons_folder() / _key(values, wanted)
        drawn = load_comparison(folder)
        pictures = drawn and load_pictures(folder, drawn)
        if drawn is None or pictures is None:
            drawn, pictures = draw_cells(values, wanted, cls.hidden.unique_id)
            save_comparison(folder, drawn, pictures)
        best, why = _best(values, drawn, load_choice(folder, drawn))
        report = drawn.report(best, why)
        if others and not drawn.others_changed:
            report += "\nother_prompts need the base model's pictures beside them: turn include_base on"
        sheets = draw_pages(pages, dict(zip(drawn.cells, pictures, strict=True)), drawn.by_cell(), best)
        shown = {"text": [report], "bakery_compare": [{"id": folder.name}]}
        load = loras[best].load
        return io.NodeOutput(_batch(sheets), {} if load is None else load(), report, ui=shown)


def _cells(pages: Sequence[Page]) -> tuple[Cell, ...]:
    """All cells, in an order that does not depend on the layout."""
    cells = [cell for page in pages for row in page.cells for cell in row]
    return tuple(sorted(cells, key=lambda cell: (cell.lora, cell.prompt, cell.strength, cell.text_strength)))


def _key(values: Mapping[str, Any], wanted: Wanted) -> str:
    """Digest of everything that determines pictures and scores, but not their layout."""
    references, vision = values.get("references"), values.get("clip_vision")
    facts = [
        patcher_key(values["model"]), clip_key(values["clip"]), vae_key(values["vae"]),
        [(lora.label, lora.key) for lora in wanted.loras], wanted.strengths, wanted.text_strengths,
        asdict(wanted.settings), wanted.cells, wanted.trigger,
        None if references is None else tensors_key({"references": references}),
        None if vision is None else patcher_key(vision.patcher), wanted.other_prompts,
    ]  # fmt: skip
    return hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()


def _best(values: Mapping[str, Any], drawn: Comparison, chosen: int | None) -> tuple[int, str]:
    """The LoRA to output, and why."""
    if chosen is not None:
        return drawn.cells[chosen].lora, "chosen on this node"
    scores = drawn.by_cell()
    if scores:
        with_lora = {cell: score for cell, score in scores.items() if drawn.loras[cell.lora] != NO_LORA}
        return best_lora(with_lora or scores), "most like the references"
    run: RunFolder | None = values.get("run")
    step = chosen_step(run, "picked in the strip") if run is not None else None
    if step is not None and step in drawn.steps:
        return drawn.steps.index(step), "the step picked in the strip, else the last"
    return len(drawn.loras) - 1, "the last"


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _scored_trigger(values: Mapping[str, Any]) -> str:
    """The typed trigger word, else the run's if pictures are scored."""
    typed, run = values.get("trigger", "").strip(), values.get("run")
    return typed or (trigger_of_run(run) if run is not None and values.get("references") is not None else "")


def _settings(values: Mapping[str, Any]) -> PreviewSettings:
    typed, run = values.get("trigger", "").strip(), values.get("run")
    known = typed or (trigger_of_run(run) if run is not None else "")
    prompts = prompts_with_trigger((*_lines(values["prompts"]), values["negative"]), [known] if known else [])
    asked = PreviewSettings(
        prompts=prompts[:-1], negative=prompts[-1], seed=values["seed"], width=values["width"],
        height=values["height"], steps=values["sampling_steps"], cfg=values["cfg"], sampler=values["sampler"],
        scheduler=values["scheduler"],
    )  # fmt: skip
    return for_model(asked, model_family(values["model"]), prediction_type(values["model"]))


def _batch(sheets: Sequence[Image.Image]) -> Tensor:
    return torch.stack([pixels_HWC(sheet) for sheet in sheets])


NODES: list[type[io.ComfyNode]] = [BakeryCompare]

"""Draws the cells of a comparison and scores them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from ...training.compare.layout import MAX_CELLS, Cell, without_trigger
from ...training.compare.likeness import likeness
from ...training.compare.overfit import change, share_of_others
from ...training.compare.store import Comparison
from ...training.run.folder import RunFolder
from ...training.watch.previews import PreviewSettings
from ..comfy_bridge.compare import CellSampler, describer
from ..comfy_bridge.page.progress import to_pil
from .compare_candidates import Candidate


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to draw."""

    loras: Sequence[Candidate]
    strengths: tuple[float, ...]
    text_strengths: tuple[float | None, ...]
    settings: PreviewSettings
    cells: tuple[Cell, ...]
    other_prompts: tuple[str, ...]
    """Prompts for subjects that were not trained."""
    trigger: str
    """Trigger word without which the prompts are scored too; empty = they are not."""


def draw_cells(values: Mapping[str, Any], wanted: Wanted, node_id: str | None) -> tuple[Comparison, list[Image.Image]]:
    """Sample every cell, and score it if there are references."""
    sampler = CellSampler(values["model"], values["clip"], values["vae"], node_id)
    draw = ([lora.load for lora in wanted.loras], wanted.strengths, wanted.text_strengths)
    pictures = sampler.draw(wanted.cells, *draw, wanted.settings)
    score, trigger = _scorer(values), wanted.trigger
    run: RunFolder | None = values.get("run")
    plain: tuple[float, ...] = ()
    if score and trigger:
        prompts = tuple(without_trigger(prompt, trigger) for prompt in wanted.settings.prompts)
        drawn = sampler.draw(wanted.cells, *draw, replace(wanted.settings, prompts=prompts))
        plain = _mean_by_lora({cell: score(picture) for cell, picture in drawn.items()}, len(wanted.loras))
    comparison = Comparison(
        loras=tuple(lora.label for lora in wanted.loras),
        steps=tuple(lora.step for lora in wanted.loras),
        prompts=wanted.settings.prompts,
        strengths=wanted.strengths,
        text_strengths=wanted.text_strengths,
        run=None if run is None else (run.run_id, run.name),
        cells=wanted.cells,
        scores=tuple(score(pictures[cell]) for cell in wanted.cells) if score else (),
        plain_scores=plain,
        others_changed=_others_changed(wanted, pictures, sampler),
    )
    return comparison, [to_pil(pictures[cell]) for cell in wanted.cells]


def cells_of_others(cells: Sequence[Cell], num_prompts: int) -> list[Cell]:
    """The same LoRAs and strengths with the prompts of other subjects.

    Raises:
        ValueError: There are too many.
    """
    found = list(dict.fromkeys(replace(cell, prompt=index) for cell in cells for index in range(num_prompts)))
    if len(found) > MAX_CELLS:
        raise ValueError(
            f"other_prompts would make {len(found)} further pictures, at most {MAX_CELLS}; use fewer lines"
        )
    return found


def _others_changed(wanted: Wanted, pictures: Mapping[Cell, Tensor], sampler: CellSampler) -> tuple[float | None, ...]:
    """By LoRA; empty without prompts of other subjects, or without the base model's pictures for comparison."""
    base = next((index for index, lora in enumerate(wanted.loras) if lora.load is None), None)
    if not wanted.other_prompts or base is None:
        return ()
    cells = cells_of_others(wanted.cells, len(wanted.other_prompts))
    loads, settings = [lora.load for lora in wanted.loras], replace(wanted.settings, prompts=wanted.other_prompts)
    others = sampler.draw(cells, loads, wanted.strengths, wanted.text_strengths, settings)

    def changed(drawn: Mapping[Cell, Tensor], lora: int) -> float:
        mine = [cell for cell in drawn if cell.lora == lora]
        return change([drawn[cell] for cell in mine], [drawn[replace(cell, lora=base)] for cell in mine])

    return tuple(
        None if index == base else share_of_others(changed(pictures, index), changed(others, index))
        for index in range(len(loads))
    )


def _scorer(values: Mapping[str, Any]) -> Any:
    """Function from (H, W, 3) to similarity, or None without references."""
    references: Tensor | None = values.get("references")
    if references is None:
        return None
    describe = describer(values.get("clip_vision"))
    described_ND = torch.stack([describe(picture[..., :3].cpu()) for picture in references])
    return lambda picture: likeness(describe(picture), described_ND)


def _mean_by_lora(scores: Mapping[Cell, float], num_loras: int) -> tuple[float, ...]:
    found = [[score for cell, score in scores.items() if cell.lora == index] for index in range(num_loras)]
    return tuple(sum(values) / len(values) for values in found)

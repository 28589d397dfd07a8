"""Shows a plan before training: its stages, steps and learning rates, as a chart and in words."""

from collections.abc import Sequence
from math import nan

from PIL import Image

from ..base_model import ModelFamily, PartName
from ..data.dataset import Dataset
from ..data.order import count_batches
from ..data.prepare import place_images
from ..data.prepared import order_entries
from ..drawing.charts import Line, Panel, draw_panels
from ..drawing.paper import COLORS
from ..loop.stages import Plan, PlannedStage, Stage, planned_stages, stage_steps
from ..optimizers import RateSource, part_rate, rate_source, schedule_multiplier
from ..optimizers.settings import OptimizerSettings
from .plan import at_resolution

MAX_POINTS = 1000
"""Points per stage; a chart has no more pixels."""
PARTS: tuple[PartName, PartName] = ("unet", "text_encoder")
LABELS = {"unet": "U-Net", "text_encoder": "text encoders, where the network has them"}
TITLES: dict[RateSource, str] = {
    "given": "learning rate",
    "factor of d": "factor of d, which the optimizer finds while it trains",
}


def plan_before_training(
    plan: Plan, optimizer: OptimizerSettings, dataset: Dataset | None, family: ModelFamily
) -> tuple[PlannedStage, ...]:
    """The stages as a run would train them; `dataset` is for stages without their own.

    Raises:
        ValueError: A stage that counts epochs has no dataset.
    """
    return planned_stages(plan, optimizer, [_steps_of(stage, stage.dataset or dataset, family) for stage in plan])


def _steps_of(stage: Stage, dataset: Dataset | None, family: ModelFamily) -> int:
    if stage.steps is not None:
        return stage.steps
    if dataset is None:
        raise ValueError("a stage counts epochs, so how long it is depends on the images: connect the dataset")
    entries = place_images(at_resolution(dataset, stage.resolution), family)
    return stage_steps(stage, count_batches(order_entries(entries), stage.batch_size))


def planned_rate(planned: PlannedStage, part: PartName, step: int) -> float:
    """Learning rate of a part at a step of the stage, from 0; for adaptive optimizers the factor on d.

    Without block weights, LoRA+ and alpha compensation, which need the network.
    """
    optimizer = planned.optimizer
    return part_rate(optimizer, part) * schedule_multiplier(optimizer.schedule, step, planned.steps)


def draw_plan(stages: Sequence[PlannedStage], width: int, panel_height: int) -> Image.Image:
    """The learning rate at every step; optimizers with their own step size get a chart of their own."""
    return draw_panels([_panel(stages, source) for source in TITLES], width, panel_height)


def describe_plan(stages: Sequence[PlannedStage]) -> str:
    """Length, optimizer and learning rates of every stage, and what is unknown before training."""
    lines = [f"{stages[-1].end} steps in {len(stages)} {'stage' if len(stages) == 1 else 'stages'}"]
    for number, planned in enumerate(stages, 1):
        stage = planned.stage
        images = stage.batch_size * stage.grad_accumulation_steps
        lines.append(
            f"stage {number}: steps {planned.start + 1} to {planned.end}, {images} "
            f"{'image' if images == 1 else 'images'} a step, {planned.optimizer.optimizer}, {_rates(planned)}"
        )
    if any(planned.optimizer.loraplus_ratio != 1 for planned in stages):
        lines.append("loraplus_ratio multiplies the rate of the up matrices; it is not drawn.")
    if any(planned.optimizer.alpha_compensation != "none" for planned in stages):
        lines.append("alpha_compensation raises the rates by what alpha and rank of the network are; it is not drawn.")
    return "\n".join(lines)


def _rates(planned: PlannedStage) -> str:
    if rate_source(planned.optimizer) == "found":
        return "which finds its rate while it trains: the schedule has no effect"
    schedule, last = planned.optimizer.schedule.schedule, planned.steps - 1
    ranges = [
        f"{LABELS[part]} {'not trained' if not part_rate(planned.optimizer, part) else _range(planned, part, last)}"
        for part in _parts(planned)
    ]
    if rate_source(planned.optimizer) == "factor of d":
        return f"which finds its step size d while it trains: d x learning_rate is known only then; {schedule}"
    return f"{schedule}: {'; '.join(ranges)}"


def _range(planned: PlannedStage, part: PartName, last: int) -> str:
    rates = [planned_rate(planned, part, step) for step in _steps(planned)]
    first, highest, end = planned_rate(planned, part, 0), max(rates), planned_rate(planned, part, last)
    shown = [first, *([highest] if highest > max(first, end) else []), end]
    return " to ".join(dict.fromkeys(f"{rate:.3g}" for rate in shown))


def _parts(planned: PlannedStage) -> tuple[PartName, ...]:
    """The parts to draw: both if their learning rates differ."""
    unet, text = (part_rate(planned.optimizer, part) for part in PARTS)
    return PARTS if unet != text else PARTS[:1]


def _steps(planned: PlannedStage) -> list[int]:
    """Steps of the stage to draw, including its first and last."""
    count = min(planned.steps, MAX_POINTS)
    return [round(place * (planned.steps - 1) / max(1, count - 1)) for place in range(count)]


def _panel(stages: Sequence[PlannedStage], source: RateSource) -> Panel:
    """Curves over the whole plan, with gaps at stages whose learning rate has another source; may be empty."""
    has_text = any(len(_parts(planned)) > 1 for planned in stages if rate_source(planned.optimizer) == source)
    labels = [LABELS[part] for part in PARTS] if has_text else ["all parts"]
    lines: list[Line] = []
    for part, label, color in zip(PARTS, labels, COLORS, strict=False):
        steps, values = _curve(stages, source, part)
        lines.append(Line(label, steps, values, color))
    return Panel(TITLES[source], lines)


def _curve(stages: Sequence[PlannedStage], source: RateSource, part: PartName) -> tuple[list[float], list[float]]:
    """(steps from 1, learning rates); a gap between stages shows jumps."""
    steps: list[float] = []
    values: list[float] = []
    for planned in stages:
        drawn = _steps(planned)
        steps += [planned.start + 1 + step for step in drawn]
        is_drawn = rate_source(planned.optimizer) == source
        values += [planned_rate(planned, part, step) if is_drawn else nan for step in drawn]
        steps.append(planned.end + 0.5)
        values.append(nan)
    return steps, values

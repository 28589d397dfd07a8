"""How long a recipe trains, and whether a final stage follows."""

import math
from collections.abc import Mapping

from ..loop.stages import Plan, Stage
from ..networks.settings import NetworkSettings
from ..optimizers.schedules import ScheduleSettings
from ..optimizers.settings import OptimizerSettings
from .choices import HARD_GRADES, Choice, has_closing_stage
from .request import Accuracy, RecipeRequest

KNOWN_SHARE = 0.3
"""Share of the usual steps for a subject that the model knows: about 300 of 1000."""
ACCURACY_SHARE: Mapping[Accuracy, float] = {"loose": 0.7, "normal": 1.0, "exact": 1.5}
HARD_SHARE = 1.5
"""Factor from grade E up: higher rank, more time."""
SLOW_ALGORITHM_SHARE: Mapping[str, float] = {"lokr": 1.5}
LAST_STAGE_SHARE = 0.2
"""Share of the steps for the final stage, for exact accuracy at fixed learning rates."""
FEWEST_STEPS = 120
MOST_VIEWS = 300
"""For one image, the guide's range: 120 to 300 steps."""
FEWEST_VIEWS: Mapping[str, int] = {"character": 10, "vehicle": 10, "style": 5, "concept": 5}
"""Minimum number of views per image; a character with 100 images gets 1000 steps, a style needs fewer views."""


def choose_stages(
    request: RecipeRequest, network: NetworkSettings, optimizer: OptimizerSettings, batch_size: int
) -> Choice[Plan]:
    """How long to train, and whether a final stage follows."""
    samples, why = _samples(request, network, batch_size)
    steps = max(1, math.ceil(samples / batch_size))
    if not has_closing_stage(request, optimizer.optimizer):
        return Choice((Stage(steps=steps, batch_size=batch_size),), (why,))
    closing = max(1, round(LAST_STAGE_SHARE * steps))
    cosine = OptimizerSettings(
        optimizer=optimizer.optimizer,
        learning_rate=optimizer.learning_rate / 2,
        text_encoder_lr=None if optimizer.text_encoder_lr is None else optimizer.text_encoder_lr / 2,
        weight_decay=optimizer.weight_decay,
        schedule=ScheduleSettings(schedule="cosine"),
    )
    plan = (
        Stage(steps=max(1, steps - closing), batch_size=batch_size),
        Stage(steps=closing, batch_size=batch_size, optimizer=cosine),
    )
    return Choice(plan, (why, f"closing stage of {closing} steps: linear for most of it, then a little cosine"))


def _samples(request: RecipeRequest, network: NetworkSettings, batch_size: int) -> tuple[int, str]:
    """Number of images to train on, and the reason."""
    row = request.row
    base = row.poor_steps if request.image_quality == "poor" else row.good_steps
    factors = [(ACCURACY_SHARE[request.accuracy], f"{request.accuracy} likeness")]
    if request.is_known:
        factors.append((KNOWN_SHARE, "known to the model"))
    if row.grade in tuple(HARD_GRADES):
        factors.append((HARD_SHARE, "grade E or harder"))
    slow = SLOW_ALGORITHM_SHARE.get(network.algorithm)
    if slow:
        factors.append((slow, f"{network.algorithm} learns slowly"))
    if request.has_regularization:
        factors.append((2.0, "half of them regularization images"))
    full = round(base * math.prod(factor for factor, _ in factors))
    samples, why = _by_images(request, full, batch_size)
    shown = "".join(f" x {factor:g} ({name})" for factor, name in factors if factor != 1)
    rule = f"{base} for {row.name} with {request.image_quality} images{shown}{why}"
    return samples, f"{samples} images to be seen: {rule}"


def _by_images(request: RecipeRequest, full: int, batch_size: int) -> tuple[int, str]:
    """Number of images to train on with this dataset, if `full` are enough for a usual one; and the reason.

    More images never give fewer.
    """
    count, row = request.num_images, request.row
    if count < row.min_images:
        brief = max(round(full * count / row.min_images), min(FEWEST_STEPS * batch_size, full))
        return min(brief, MOST_VIEWS * count), f", brief because of {count} of {row.min_images} images"
    views = FEWEST_VIEWS[row.kind] * (2 if request.has_regularization else 1)
    if count * views > full:
        return count * views, f", raised so that each of {count} images is seen {FEWEST_VIEWS[row.kind]} times"
    return full, ""

"""What a finished run learned, by image and by tag, compared with the base model.

An image whose loss stays near the base model's (or above it) while the others' fell is a bad picture, has a wrong
caption, or is the only one of its kind. A tag whose images improved far less than the rest was not learned.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from ..data.prepared import PreparedDataset
from ..files.atomic import write_text_atomic
from ..files.json_files import read_json
from ..loop.job import TrainJob, TrainState
from .measure import ImageLoss, image_losses
from .validation import measure_final

MAX_IMAGES = 64
MAX_SHARE_OF_TRAINING = 0.1
"""Maximum cost of measuring, as a share of the training work."""
BAD_DEVIATIONS = 4.0
"""An image is reported if its ratio is this many typical deviations (and at least 0.03) above the median."""
LEARNED_SHARE = 0.25
"""A tag is reported if its images improved by less than this share of the whole set's improvement."""
MIN_TAG_IMAGES = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """Loss of one image, or of all images with one tag, compared with the base model's."""

    name: str
    loss: float
    base_loss: float
    num_images: int = 1

    @property
    def ratio(self) -> float:
        """Below 1: better than the base model."""
        return self.loss / self.base_loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """The measured images and tags, least learned first."""

    step: int
    images: tuple[Learned, ...]
    tags: tuple[Learned, ...]

    @property
    def overall(self) -> float:
        """Loss of all images over the base model's."""
        return sum(image.loss for image in self.images) / sum(image.base_loss for image in self.images)

    @property
    def bad_images(self) -> tuple[Learned, ...]:
        """Images that stand out from the others."""
        middle = median(image.ratio for image in self.images)
        deviation = median(abs(image.ratio - middle) for image in self.images)
        limit = middle + max(0.03, BAD_DEVIATIONS * deviation)
        return tuple(image for image in self.images if image.ratio > limit)

    @property
    def missed_tags(self) -> tuple[Learned, ...]:
        """Tags of several images, but not of all, that were hardly learned although the set was."""
        gain = 1.0 - self.overall
        return tuple(
            tag
            for tag in self.tags
            if MIN_TAG_IMAGES <= tag.num_images < len(self.images) and gain > 0 and 1 - tag.ratio < LEARNED_SHARE * gain
        )

    def text(self) -> str:
        """For the node and the terminal."""
        lines = [
            f"Loss on {len(self.images)} training images at step {self.step}: {self.overall:.1%} of the base model's."
        ]
        if self.bad_images:
            named = ", ".join(f"{image.name} ({image.ratio:.1%})" for image in self.bad_images[:5])
            lines.append(f"Learned far less than the others, look at picture and caption: {named}.")
        if self.missed_tags:
            named = ", ".join(f"{tag.name} ({tag.ratio:.1%})" for tag in self.missed_tags[:8])
            lines.append(f"Tags that were hardly learned: {named}.")
        return "\n".join(lines)


def diagnose(
    job: TrainJob, state: TrainState, data: PreparedDataset, on_batch: Callable[[int, int], None]
) -> Diagnosis | None:
    """Measure the training images (`data`, without draws) with and without the network.

    Images that the mask excludes entirely are not judged; returns None if that is all of them.
    """
    trained = measure_final(job, state, data, on_batch)
    with job.network.disabled():
        base = image_losses(job, data, on_batch)
    pairs = [(image, before) for image, before in zip(trained, base, strict=True) if before.loss > 0]
    if not pairs:
        return None
    images = [_joined(data.image_names[image_id], _of_image(pairs, image_id)) for image_id in _image_ids(pairs)]
    tags = {tag: _with_tag(pairs, tag) for image, _ in pairs for tag in _tags(image)}
    return Diagnosis(
        step=state.step,
        images=_least_learned_first(images),
        tags=_least_learned_first([_joined(tag, having) for tag, having in tags.items()]),
    )


def num_images_worth_measuring(job: TrainJob) -> int:
    """Number of images that can be measured in a tenth of the training time; 0 for very short runs."""
    # A training step is about three forward passes, measuring an image eight.
    samples = sum(plan.steps * plan.stage.batch_size * plan.stage.grad_accumulation_steps for plan in job.stages)
    return min(MAX_IMAGES, int(MAX_SHARE_OF_TRAINING * 3 * samples / 8))


def save_diagnosis(path: Path, diagnosis: Diagnosis) -> None:
    """Write `report.json`."""
    write_text_atomic(path, json.dumps({**asdict(diagnosis), "text": diagnosis.text()}, indent=1, ensure_ascii=False))


def load_diagnosis(path: Path) -> Diagnosis | None:
    """The report of a run, or None without one."""
    try:
        data = read_json(path.read_text(encoding="utf-8"))
        images, tags = (tuple(Learned(**entry) for entry in data[key]) for key in ("images", "tags"))
        return Diagnosis(step=data["step"], images=images, tags=tags)
    except (OSError, ValueError, KeyError, TypeError):
        return None


Pairs = Sequence[tuple[ImageLoss, ImageLoss]]
"""(with the network, without it)"""


def _tags(image: ImageLoss) -> list[str]:
    return [tag.strip() for tag in image.caption.split(",") if tag.strip()]


def _with_tag(pairs: Pairs, tag: str) -> Pairs:
    return [pair for pair in pairs if tag in _tags(pair[0])]


def _image_ids(pairs: Pairs) -> list[int]:
    return list(dict.fromkeys(image.image_id for image, _ in pairs))


def _of_image(pairs: Pairs, image_id: int) -> Pairs:
    return [pair for pair in pairs if pair[0].image_id == image_id]


def _joined(name: str, pairs: Pairs) -> Learned:
    losses, base_losses = ([image.loss for image in column] for column in zip(*pairs, strict=True))
    return Learned(
        name=name,
        loss=sum(losses) / len(losses),
        base_loss=sum(base_losses) / len(base_losses),
        num_images=len(_image_ids(pairs)),
    )


def _least_learned_first(found: list[Learned]) -> tuple[Learned, ...]:
    return tuple(sorted(found, key=lambda learned: -learned.ratio))

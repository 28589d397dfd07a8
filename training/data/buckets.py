"""Aspect buckets: the sizes images are trained in, and which one an image goes to.

Sizes are (width, height) in pixels. The list and the choice are those of kohya's sd-scripts, so that a dataset gets
the same buckets in both (NovelAI's aspect ratio bucketing).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_high
from typing import Literal

from ..base_model import ModelFamily
from .images import ImageItem

Size = tuple[int, int]

NATIVE_RESOLUTION: dict[ModelFamily, int] = {"sd15": 512, "sdxl": 1024}
LATENT_FACTOR = 8
DEFAULT_STEP = 64
SMALL_RESOLUTION = 4 * DEFAULT_STEP


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketSettings:
    """How images are sized, cropped and cached."""

    resolution: int | Size | None = None
    """Side in pixels of the square whose area no bucket exceeds, or (width, height).

    None = the model's native size, or the images' own size if most of them are smaller.
    """
    bucket_step: int = DEFAULT_STEP
    """Sides of buckets are multiples of this, in pixels; a multiple of 8, usually 64 (32 for SDXL)."""
    min_bucket_size: int | None = None
    """Shortest side of a bucket in pixels; None = half the resolution."""
    max_bucket_size: int | None = None
    """Longest side of a bucket in pixels; None = twice the resolution."""
    upscale: bool = True
    """Enlarge images smaller than their bucket. Off: no image gets a bucket larger than itself."""
    random_crop: bool = False
    """Crop at a random position instead of the center; the image is then encoded again in every step."""
    flip: bool = False
    """Mirror half of the images, chosen at random each epoch; wrong for anything asymmetric."""
    use_alpha_masks: bool = False
    """Use an image's transparency as its loss mask; off, transparent parts become white."""
    nearest_bucket: bool = False
    """Without `upscale`: images larger than the resolution use the nearest bucket that is not larger than they are.

    Off: sd-scripts' rule creates a bucket for each, which may crop more.
    """
    cache: Literal["ram", "disk"] = "disk"
    """Where encoded latents are kept: in memory for this run, or in files that later runs reuse.

    Files need a folder for them. A picture takes 64 KB at 512 x 512 pixels, 256 KB at 1024 x 1024.
    """

    def __post_init__(self) -> None:
        if self.bucket_step < LATENT_FACTOR or self.bucket_step % LATENT_FACTOR:
            raise ValueError(f"bucket_step must be a multiple of {LATENT_FACTOR}, got {self.bucket_step}; 64 is usual")
        if self.cache not in ("ram", "disk"):
            raise ValueError(f"cache must be 'ram' or 'disk', got {self.cache!r}")
        sides = _sides(self.resolution)
        if any(side < self.bucket_step for side in sides):
            raise ValueError(
                f"resolution must be at least bucket_step ({self.bucket_step}), got {self.resolution}; "
                "lower bucket_step for very small images"
            )
        low, high = self.min_bucket_size, self.max_bucket_size
        if low is not None and (low < self.bucket_step or any(low > side for side in sides)):
            raise ValueError(
                f"min_bucket_size must be between bucket_step ({self.bucket_step}) and the resolution "
                f"({self.resolution}), got {low}"
            )
        if high is not None and any(high < side for side in sides):
            raise ValueError(f"max_bucket_size must be at least the resolution ({self.resolution}), got {high}")


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketGrid:
    """The buckets of one subset for one kind of model."""

    sizes: tuple[Size, ...]
    """Sorted; empty if every image gets a bucket of its own (no upscaling)."""
    max_area: int
    """Largest area of a bucket in pixels."""
    step: int
    """Pixels."""
    usual: tuple[Size, ...] = ()
    """Buckets for images larger than `max_area`, instead of one of their own."""

    def choose(self, image: Size) -> tuple[Size, Size]:
        """(bucket, size that the image is scaled to before it is cropped to the bucket)."""
        if not self.sizes:
            is_large = image[0] * image[1] > self.max_area
            within = [size for size in self.usual if is_large and size[0] <= image[0] and size[1] <= image[1]]
            if within:
                bucket = _nearest_aspect(image, within)
                return bucket, cover(image, bucket)
            return own_bucket(image, self.max_area, self.step)
        bucket = image if image in self.sizes else _nearest_aspect(image, self.sizes)
        return bucket, cover(image, bucket)


def side_limits(settings: BucketSettings, resolution: Size) -> Size:
    """Shortest and longest side of a bucket, defaults resolved."""
    low = settings.min_bucket_size or max(settings.bucket_step, min(resolution) // 2)
    return low, settings.max_bucket_size or 2 * max(resolution)


def trained_resolution(settings: BucketSettings, grid: BucketGrid) -> Size:
    """Width and height that define the area of the buckets, given or derived."""
    sides = _sides(settings.resolution) or (math.isqrt(grid.max_area),) * 2
    return sides[0], sides[-1]


def bucket_grid(settings: BucketSettings, items: Sequence[ImageItem], family: ModelFamily) -> BucketGrid:
    """Return the buckets of these images for this type of model."""
    step = settings.bucket_step
    if settings.resolution is None:
        usual = median_high([math.isqrt(item.width * item.height) for item in items])
        side = min(NATIVE_RESOLUTION[family], usual)
        # a step of 64 is too coarse for such small images: most would be cropped to squares
        step = LATENT_FACTOR if side < SMALL_RESOLUTION and step == DEFAULT_STEP else step
        width = height = max(step, round(side / step) * step)
    else:
        width, height = _sides(settings.resolution)
    low = settings.min_bucket_size or max(step, min(width, height) // 2)
    high = settings.max_bucket_size or 2 * max(width, height)
    area = width * height
    usual = bucket_sizes(area, low, high, step)
    if settings.upscale:
        return BucketGrid(sizes=usual, max_area=area, step=step)
    return BucketGrid(sizes=(), max_area=area, step=step, usual=usual if settings.nearest_bucket else ())


def bucket_sizes(max_area: int, min_size: int, max_size: int, step: int) -> tuple[Size, ...]:
    """All sizes on the grid between the limits whose area just fits `max_area`, and the square; sorted."""
    side = math.isqrt(max_area) // step * step
    low, high = math.ceil(min_size / step) * step, max_size // step * step
    sizes = {(side, side)}
    for width in range(low, high + 1, step):
        height = min(high, max_area // width // step * step)
        if height >= low:
            sizes |= {(width, height), (height, width)}
    return tuple(sorted(sizes))


def own_bucket(image: Size, max_area: int, step: int) -> tuple[Size, Size]:
    """Bucket and scaled size of an image that is only shrunk, to `max_area`, and cropped to the grid.

    Exception: an image with a side below one step is enlarged until it fills the smallest bucket, none of which exceeds
    `max_area`.
    """
    width, height = image
    if width * height > max_area:
        width, height = _shrink(image, max_area, step)
    longest = max_area // step // step * step
    bucket = (min(longest, max(step, width // step * step)), min(longest, max(step, height // step * step)))
    if bucket[0] > width or bucket[1] > height:
        return bucket, cover(image, bucket)
    return bucket, (width, height)


def _shrink(image: Size, max_area: int, step: int) -> Size:
    # put one side on the grid, the one that changes the aspect ratio less
    aspect = image[0] / image[1]
    ideal_width = math.sqrt(max_area * aspect)
    by_width = _round_to_step(ideal_width, step)
    by_height = _round_to_step(max_area / ideal_width, step)
    error_by_width = abs(by_width / _round_to_step(by_width / aspect, step) - aspect)
    error_by_height = abs(_round_to_step(by_height * aspect, step) / by_height - aspect)
    if error_by_width < error_by_height:
        return by_width, int(by_width / aspect + 0.5)
    return int(by_height * aspect + 0.5), by_height


def _round_to_step(value: float, step: int) -> int:
    # round down, but not to 0
    return max(step, int(value + 0.5) // step * step)


def cover(image: Size, bucket: Size) -> Size:
    """Smallest size with the image's aspect ratio that covers the bucket."""
    if image[0] / image[1] > bucket[0] / bucket[1]:
        return max(bucket[0], int(image[0] * bucket[1] / image[1] + 0.5)), bucket[1]
    return bucket[0], max(bucket[1], int(image[1] * bucket[0] / image[0] + 0.5))


def _nearest_aspect(image: Size, sizes: Sequence[Size]) -> Size:
    aspect = image[0] / image[1]
    return min(sizes, key=lambda size: abs(size[0] / size[1] - aspect))


def _sides(resolution: int | Size | None) -> tuple[int, ...]:
    if resolution is None:
        return ()
    return (resolution, resolution) if isinstance(resolution, int) else resolution

"""How an image is scaled, cropped and mirrored into a bucket. Pixels, mask and SDXL's conditioning use one record.

Sizes are (width, height) in pixels; `ImageSize` has them in SDXL's order, height first.
"""

from dataclasses import dataclass, replace
from math import prod

import torch
from PIL import Image, ImageOps
from PIL.Image import Resampling
from torch import Generator, Tensor

from ..base_model import ImageSize
from .buckets import BucketGrid, Size
from .images import ImageItem, pixels_HWC, read_rgb_and_mask


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """How an image fills its bucket."""

    bucket: Size
    """Size of the training picture."""
    scaled: Size
    """Size of the whole image before the crop; nowhere smaller than the bucket."""
    left_top: tuple[int, int]
    """Corner of the crop in the scaled image, before mirroring."""
    is_flipped: bool = False
    """Mirrored left to right, after the crop."""

    def image_size(self, item: ImageItem) -> ImageSize:
        """SDXL's size conditioning. The crop corner is that of the scaled (and mirrored) image."""
        left, top = self.left_top
        if self.is_flipped:
            left = self.scaled[0] - self.bucket[0] - left
        width, height = self.bucket
        return ImageSize(original_hw=(item.height, item.width), crop_top_left=(top, left), target_hw=(height, width))

    def flipped(self) -> "Placement":
        """The same crop, mirrored."""
        return replace(self, is_flipped=not self.is_flipped)


def place(item: ImageItem, grid: BucketGrid) -> Placement:
    """The image in its bucket, cropped at the center."""
    bucket, scaled = grid.choose((item.width, item.height))
    left, top = (scaled[0] - bucket[0]) // 2, (scaled[1] - bucket[1]) // 2
    return Placement(bucket=bucket, scaled=scaled, left_top=(left, top))


def cut_share(placement: Placement) -> float:
    """Share of the image's area that the crop to the bucket removes, 0 to below 1."""
    return 1 - prod(placement.bucket) / prod(placement.scaled)


def crop_anywhere(placement: Placement, generator: Generator) -> Placement:
    """The same bucket with the crop at a uniformly random position."""
    left = torch.randint(placement.scaled[0] - placement.bucket[0] + 1, (1,), generator=generator)
    top = torch.randint(placement.scaled[1] - placement.bucket[1] + 1, (1,), generator=generator)
    return replace(placement, left_top=(int(left), int(top)))


def placed(image: Image.Image, placement: Placement) -> Image.Image:
    """Scale and crop the image (any mode) to its bucket: Lanczos to enlarge, else bicubic.

    Pillow's bicubic comes closest to the average of the area; its box filter counts each pixel fully or not at all.
    """
    width, height = placement.scaled
    if image.size != placement.scaled:
        is_smaller = image.width >= width and image.height >= height
        image = image.resize((width, height), Resampling.BICUBIC if is_smaller else Resampling.LANCZOS)
    left, top = placement.left_top
    image = image.crop((left, top, left + placement.bucket[0], top + placement.bucket[1]))
    return ImageOps.mirror(image) if placement.is_flipped else image


def read_placed(item: ImageItem, placement: Placement, use_alpha_mask: bool) -> tuple[Tensor, Image.Image | None]:
    """Pixels in 0..1, (height, width, 3) of the bucket, and the mask of the same size.

    Raises:
        OSError: A file cannot be decoded.
    """
    image, mask = read_rgb_and_mask(item, use_alpha_mask)
    return pixels_HWC(placed(image, placement)), None if mask is None else placed(mask, placement)


def mask_at_latents(mask: Image.Image, latent_width: int, latent_height: int) -> Tensor:
    """Share of white under each latent, (1, latent rows, latent columns), 0..1."""
    small = mask.resize((latent_width, latent_height), Resampling.BOX)
    return pixels_HWC(small)[None]

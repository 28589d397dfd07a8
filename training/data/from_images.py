"""Datasets from images in the graph: generated, loaded, or any other pixels.

Shapes: H W rows and columns.
"""

from collections.abc import Sequence
from typing import TypeVar

from torch import Tensor

from .dataset import Subset
from .images import ImageItem, hash_tensor, to_uint8

T = TypeVar("T")


def subset_from_images(
    images: Sequence[Tensor],
    captions: Sequence[str],
    masks: Sequence[Tensor] = (),
    repeats: int = 1,
    is_regularization: bool = False,
    loss_weight: float = 1.0,
) -> Subset:
    """A subset of pixels in 0..1, each (H, W, 3), or (H, W, 4) with alpha; sizes may differ.

    `captions` and `masks` (H, W) are one for all images or one per image. Lines of a caption are its variants. An
    all-black mask counts as none: ComfyUI's Load Image outputs one for images without transparency.

    Raises:
        ValueError: There are no images, the counts differ, a shape is wrong or pixels are NaN.
    """
    if not images:
        raise ValueError("images must hold at least one image, got none")
    all_captions = _one_each("captions", captions, len(images))
    all_masks = _one_each("masks", masks, len(images)) if masks else [None] * len(images)
    parts = zip(images, all_captions, all_masks, strict=True)
    items = tuple(_item(f"image {index}", *part) for index, part in enumerate(parts, start=1))
    return Subset(items=items, repeats=repeats, is_regularization=is_regularization, loss_weight=loss_weight)


def _item(name: str, image: Tensor, caption: str, mask: Tensor | None) -> ImageItem:
    if image.ndim != 3 or image.shape[-1] not in (3, 4):
        raise ValueError(f"{name} must have shape (height, width, 3 or 4), got {tuple(image.shape)}")
    if mask is not None and mask.ndim != 2:
        raise ValueError(f"the mask of {name} must have shape (height, width), got {tuple(mask.shape)}")
    pixels = to_uint8(image, name)
    mask_pixels = None if mask is None or not bool(mask.any()) else to_uint8(mask, f"the mask of {name}")
    return ImageItem(
        name=name,
        source=pixels,
        captions=tuple(line.strip() for line in caption.splitlines() if line.strip()) or ("",),
        width=pixels.shape[1],
        height=pixels.shape[0],
        content_hash=hash_tensor(pixels),
        mask=mask_pixels,
        mask_hash="" if mask_pixels is None else hash_tensor(mask_pixels),
    )


def _one_each(name: str, values: Sequence[T], count: int) -> list[T]:
    if len(values) not in (1, count):
        raise ValueError(f"{name} must be one, or one for each of the {count} images, got {len(values)}")
    return list(values) * (count if len(values) == 1 else 1)

import numpy as np
import pytest
import torch
from pack.tests.support.pictures import picture, subset, tensor
from pack.training.data.buckets import BucketGrid
from pack.training.data.from_images import subset_from_images
from pack.training.data.placement import Placement, crop_anywhere, mask_at_latents, place, placed, read_placed
from pack.training.rng import generator
from PIL import Image

OWN_SIZE = BucketGrid(sizes=(), max_area=10**6, step=64)


def ramp(width, height):
    """Every pixel tells its column (red) and row (green)."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([columns, rows, np.zeros_like(rows)], -1).astype(np.uint8)


@pytest.mark.parametrize("is_flipped", [False, True])
@pytest.mark.parametrize("is_random", [False, True])
def test_conditioning_names_the_pixel_the_picture_begins_with(is_flipped, is_random):
    pixels = ramp(200, 150)
    item = subset_from_images([tensor(pixels)], ["caption"]).items[0]
    placement = place(item, OWN_SIZE)
    placement = crop_anywhere(placement, generator(3, "test")) if is_random else placement
    placement = placement.flipped() if is_flipped else placement
    picture_HWC, _ = read_placed(item, placement, False)
    size = placement.image_size(item)
    whole = pixels[:, ::-1] if is_flipped else pixels
    top, left = size.crop_top_left
    height, width = size.target_hw
    assert (height, width) == (128, 192)
    assert size.original_hw == (150, 200)
    assert np.array_equal((picture_HWC * 255).round().byte().numpy(), whole[top : top + height, left : left + width])


def test_center_crop_leaves_equal_margins():
    placement = place(subset([(200, 150)]).items[0], OWN_SIZE)
    assert placement.left_top == (4, 11)


def test_random_crops_reach_every_place_evenly():
    placement = place(subset([(67, 64)]).items[0], OWN_SIZE)
    lefts = [crop_anywhere(placement, generator(0, "test", draw)).left_top[0] for draw in range(400)]
    counts = np.bincount(lefts, minlength=4)
    assert len(counts) == 4 and counts.min() > 60


def test_mask_at_latents_is_the_share_of_white():
    mask = picture(2, 64, 48)[..., 0]
    small = mask_at_latents(Image.fromarray(mask), 8, 6)
    expected = torch.from_numpy(mask.reshape(6, 8, 8, 8).mean((1, 3)) / 255)
    assert small.shape == (1, 6, 8)
    assert (small[0] - expected).abs().max() <= 1 / 255


def area_weights(before, after):
    """Share of each old pixel in each new one, by counting in steps of 1 / (before * after)."""
    weights = np.zeros((after, before))
    for part in range(before * after):
        weights[part // before, part // after] += 1 / before
    return weights


@pytest.mark.parametrize("size", [(64, 48), (61, 47), (45, 34), (33, 24)])
def test_shrinking_comes_near_the_average_of_what_a_pixel_covers(size):
    pixels = np.full((53, 70, 3), 255, dtype=np.uint8)
    pixels[:, ::6] = pixels[::9] = 0  # a drawing's thin lines
    rows, columns = area_weights(53, size[1]), area_weights(70, size[0])
    expected = np.einsum("yh,hwc,xw->yxc", rows, pixels.astype(np.float64), columns)
    placement = Placement(bucket=size, scaled=size, left_top=(0, 0))

    def error(shrunk):
        return np.sqrt(np.mean((np.asarray(shrunk, dtype=np.float64) - expected) ** 2))

    image = Image.fromarray(pixels)
    assert error(placed(image, placement)) < 0.6 * error(image.resize(size, Image.Resampling.BOX))

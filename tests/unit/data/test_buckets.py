import random
from dataclasses import replace

import pytest
from pack.tests.support.pictures import subset
from pack.training.data.buckets import BucketGrid, BucketSettings, bucket_grid, bucket_sizes, cover
from pack.training.data.dataset import Dataset, with_buckets

ITEMS = subset([(64, 64)]).items


def grid_of(**settings):
    return bucket_grid(BucketSettings(**settings), ITEMS, "sd15")


@pytest.mark.parametrize(
    ("side", "low", "high", "count"), [(512, 320, 768, 9), (512, 256, 1024, 17), (1024, 512, 2048, 33)]
)
def test_number_of_buckets_is_that_of_sd_scripts(side, low, high, count):
    assert len(bucket_sizes(side * side, low, high, 64)) == count


@pytest.mark.parametrize(("area", "low", "high", "step"), [(512 * 512, 256, 1024, 64), (768 * 640, 200, 1100, 32)])
def test_bucket_list_equals_brute_force(area, low, high, step):
    sides = [side for side in range(step, high + 1, step) if side >= low]
    fits = [(w, h) for w in sides for h in sides if w * h <= area]
    tallest = {(w, max(h for v, h in fits if v == w)) for w in sides if any(v == w for v, _ in fits)}
    square = int(area**0.5) // step * step
    expected = tallest | {(h, w) for w, h in tallest} | {(square, square)}
    assert set(bucket_sizes(area, low, high, step)) == expected


def test_limits_follow_the_resolution_unless_given():
    assert grid_of(resolution=512).sizes == bucket_sizes(512 * 512, 256, 1024, 64)
    assert grid_of(resolution=1024).sizes == bucket_sizes(1024 * 1024, 512, 2048, 64)
    assert grid_of(resolution=512, min_bucket_size=320, max_bucket_size=768).sizes == bucket_sizes(512**2, 320, 768, 64)


def test_equal_limits_leave_one_size():
    grid = grid_of(resolution=512, min_bucket_size=512, max_bucket_size=512)
    assert grid.sizes == ((512, 512),)
    assert grid.choose((2000, 300)) == ((512, 512), (3413, 512))


@pytest.mark.parametrize(
    ("sizes", "family", "side"),
    [
        ([(2000, 1500)], "sd15", 512),
        ([(2000, 1500)], "sdxl", 1024),
        ([(500, 500)], "sdxl", 512),
        ([(64, 64)] * 3 + [(96, 64)], "sd15", 64),
    ],
)
def test_resolution_by_itself_is_the_models_or_the_images_own(sizes, family, side):
    items = [replace(ITEMS[0], width=width, height=height) for width, height in sizes]
    assert bucket_grid(BucketSettings(), items, family).max_area == side * side


def test_choice_is_exact_size_else_nearest_aspect():
    grid = grid_of(resolution=512)
    draws = random.Random(0)
    for _ in range(300):
        image = (draws.randint(20, 3000), draws.randint(20, 3000))
        bucket, scaled = grid.choose(image)
        errors = {size: abs(size[0] / size[1] - image[0] / image[1]) for size in grid.sizes}
        assert errors[bucket] == min(errors.values())
        assert scaled[0] >= bucket[0] and scaled[1] >= bucket[1]
        assert scaled[0] == bucket[0] or scaled[1] == bucket[1]
        scale = max(bucket[0] / image[0], bucket[1] / image[1])
        assert max(abs(scaled[0] - scale * image[0]), abs(scaled[1] - scale * image[1])) <= 1
    for size in grid.sizes:
        assert grid.choose(size) == (size, size)


def test_without_upscaling_no_image_grows():
    grid = grid_of(resolution=512, upscale=False)
    draws = random.Random(1)
    for _ in range(500):
        image = (draws.randint(64, 3000), draws.randint(64, 3000))
        bucket, scaled = grid.choose(image)
        assert bucket[0] % 64 == 0 and bucket[1] % 64 == 0
        if image[0] * image[1] <= 512 * 512:
            assert scaled == image
            assert bucket == (image[0] // 64 * 64, image[1] // 64 * 64)
        elif max(image) / min(image) < 8:
            assert bucket[0] <= image[0] and bucket[1] <= image[1]
            assert abs(scaled[0] / scaled[1] / (image[0] / image[1]) - 1) < 0.02
            assert 0.4 * 512 * 512 < bucket[0] * bucket[1] <= 1.15 * 512 * 512
        assert scaled[0] >= bucket[0] and scaled[1] >= bucket[1]


def test_image_thinner_than_a_step_fills_the_smallest_bucket():
    bucket, scaled = BucketGrid(sizes=(), max_area=512 * 512, step=64).choose((20, 200))
    assert bucket == (64, 192)
    assert scaled == cover((20, 200), (64, 192)) == (64, 640)


@pytest.mark.parametrize("image", [(10_000, 20), (20_000, 15), (1, 5000), (5000, 70), (9000, 130)])
def test_no_bucket_exceeds_the_area_however_long_the_image(image):
    (width, height), scaled = BucketGrid(sizes=(), max_area=512 * 512, step=64).choose(image)
    assert width * height <= 512 * 512
    assert scaled[0] >= width and scaled[1] >= height


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bucket_step": 20}, "bucket_step must be a multiple of 8, got 20"),
        ({"resolution": 32}, "resolution must be at least bucket_step"),
        ({"resolution": 512, "min_bucket_size": 600}, "min_bucket_size must be between"),
        ({"resolution": 512, "max_bucket_size": 256}, "max_bucket_size must be at least"),
        ({"cache": "cloud"}, "cache must be"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BucketSettings(**settings)


def test_large_images_may_go_to_the_nearest_bucket_without_upscaling():
    usual, nearest = (
        grid_of(resolution=1024, upscale=False),
        grid_of(resolution=1024, upscale=False, nearest_bucket=True),
    )
    assert usual.choose((1050, 1080))[0] == (960, 960)  # as sd-scripts has it
    assert nearest.choose((1050, 1080))[0] == (1024, 1024)
    draws = random.Random(2)
    for _ in range(500):
        image = (draws.randint(300, 4000), draws.randint(300, 4000))
        bucket, scaled = nearest.choose(image)
        assert bucket[0] * bucket[1] <= 1024 * 1024
        assert bucket[0] <= scaled[0] <= image[0] and bucket[1] <= scaled[1] <= image[1]
        if image[0] * image[1] <= 1024 * 1024:
            assert (bucket, scaled) == usual.choose(image)


def test_the_usual_choice_names_no_new_run():
    plain = Dataset((subset([(64, 64)]),))
    assert with_buckets(plain, BucketSettings()).fingerprint() == plain.fingerprint()
    assert with_buckets(plain, BucketSettings(nearest_bucket=True)).fingerprint() != plain.fingerprint()

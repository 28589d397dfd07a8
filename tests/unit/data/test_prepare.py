from dataclasses import replace

import numpy as np
import pytest
import torch
from pack.tests.support.pictures import Encoder, dataset, picture, save, subset, tensor
from pack.training.base_model import ImageSize
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_buckets, with_captions
from pack.training.data.folder import scan_folder
from pack.training.data.from_images import subset_from_images
from pack.training.data.prepare import prepare

SIZES = [(64, 64), (96, 64), (64, 64), (64, 96), (64, 64)]
OWN_SIZE = BucketSettings(resolution=128, bucket_step=8, upscale=False)


def ready(data, settings=OWN_SIZE, encoder=None, **arguments):
    return prepare(with_buckets(data, settings), encoder or Encoder(), "sd15", **arguments)


def everything(prepared, batch_size=2, epochs=2, seed=3):
    plans = [(epoch, plan) for epoch in range(epochs) for plan in prepared.epoch(batch_size, seed, epoch)]
    return [prepared.load(plan, seed, epoch, 0, 10) for epoch, plan in plans]


def same(one, other):
    masks = (one.mask_B1HW is None) == (other.mask_B1HW is None)
    return masks and torch.equal(one.latents_BCHW, other.latents_BCHW) and one.captions == other.captions


def test_samples_keep_their_own_latents_captions_and_sizes():
    prepared = ready(dataset(SIZES, repeats=2))
    seen = []
    for batch in everything(prepared, batch_size=3, epochs=1):
        for row, caption in enumerate(batch.captions):
            seed = int(caption.split()[1])
            pixels = tensor(picture(seed, *SIZES[seed]))[None]
            assert torch.allclose(batch.latents_BCHW[row], Encoder()(pixels)[0], atol=1e-6)
            hw = SIZES[seed][::-1]
            assert batch.sizes[row] == ImageSize(original_hw=hw, crop_top_left=(0, 0), target_hw=hw)
            assert prepared.image_names[batch.image_ids[row]] == f"image {seed + 1}"
            seen.append(seed)
    assert sorted(seen) == sorted([*range(5)] * 2)
    assert prepared.num_samples == 10
    assert prepared.num_images == 5


def test_same_arguments_same_batch_whatever_was_asked_before():
    data = with_captions(dataset(SIZES, repeats=3, caption="a, b, c"), CaptionSettings(shuffle_tags=True))
    settings = replace(OWN_SIZE, flip=True)
    first, second = ready(data, settings), ready(data, settings)
    plan = first.epoch(2, 3, 1)[2]
    expected = first.load(plan, 3, 1, 5, 10)
    everything(second)
    assert same(second.load(second.epoch(2, 3, 1)[2], 3, 1, 5, 10), expected)


def test_file_names_and_order_change_nothing(tmp_path):
    for seed, (here, there) in enumerate((("a", "z"), ("b", "y"), ("c", "x"))):
        save(tmp_path / "one" / f"{here}.png", picture(seed), f"caption {seed}")
        save(tmp_path / "other" / f"{there}.png", picture(seed), f"caption {seed}")
    one, other = (everything(ready(scan_folder(tmp_path / name))) for name in ("one", "other"))
    assert all(same(a, b) for a, b in zip(one, other, strict=True))


def test_images_are_encoded_once():
    encoder = Encoder()
    prepared = ready(dataset(SIZES, repeats=5), replace(OWN_SIZE, flip=True), encoder)
    assert encoder.num_images == 2 * len(SIZES)
    everything(prepared)
    assert encoder.num_images == 2 * len(SIZES)


def test_flipped_showings_are_half_and_truly_mirrored():
    prepared = ready(dataset([(64, 64)], repeats=200), replace(OWN_SIZE, flip=True))
    plain = Encoder()(tensor(picture(0))[None])[0]
    mirrored = Encoder()(tensor(picture(0)[:, ::-1].copy())[None])[0]
    latents = [latent for batch in everything(prepared, epochs=1) for latent in batch.latents_BCHW]
    is_plain = [torch.allclose(latent, plain, atol=1e-6) for latent in latents]
    assert all(p or torch.allclose(latent, mirrored, atol=1e-6) for p, latent in zip(is_plain, latents, strict=True))
    assert 70 < sum(is_plain) < 130


def test_random_crops_are_encoded_as_their_conditioning_says():
    settings = BucketSettings(resolution=128, bucket_step=64, upscale=False, random_crop=True, flip=True)
    pixels = picture(0, 100, 90)
    prepared = ready(dataset([(100, 90)], repeats=40), settings)
    corners = set()
    for batch in everything(prepared, batch_size=4, epochs=1):
        for latents, size in zip(batch.latents_BCHW, batch.sizes, strict=True):
            top, left = size.crop_top_left
            options = [a[top : top + 64, left : left + 64] for a in (pixels, pixels[:, ::-1])]
            assert any(torch.allclose(latents, Encoder()(tensor(o.copy())[None])[0], atol=1e-6) for o in options)
            corners.add((top, left))
    assert len(corners) > 30


def test_masks_are_areas_of_the_latents_and_whole_where_there_is_none():
    mask = picture(9, 64, 64)[..., 0]
    images = [tensor(picture(0)), tensor(picture(1))]
    masked = subset_from_images(images[:1], ["masked"], [tensor(mask)])
    prepared = ready(Dataset((masked, subset_from_images(images[1:], ["whole"]))))
    (batch,) = everything(prepared, epochs=1)
    by_caption = dict(zip(batch.captions, batch.mask_B1HW, strict=True))
    expected = torch.from_numpy(mask.reshape(8, 8, 8, 8).mean((1, 3)) / 255).float()
    assert (by_caption["masked"][0] - expected).abs().max() <= 1 / 255
    assert torch.equal(by_caption["whole"], torch.ones(1, 8, 8))


def test_alpha_masks_and_white_ground():
    rgba = picture(4, 64, 64, 4)
    data = Dataset((subset_from_images([tensor(rgba)], ["caption"]),))
    (white,) = everything(ready(data), epochs=1)
    (masked,) = everything(ready(data, replace(OWN_SIZE, use_alpha_masks=True)), epochs=1)
    assert white.mask_B1HW is None
    assert torch.allclose(masked.latents_BCHW, Encoder()(tensor(rgba[..., :3])[None]), atol=1e-6)
    assert (
        masked.mask_B1HW[0, 0] - torch.from_numpy(rgba[..., 3].reshape(8, 8, 8, 8).mean((1, 3)) / 255)
    ).abs().max() < 0.01
    assert not torch.allclose(white.latents_BCHW, masked.latents_BCHW, atol=0.01)


def test_weights_and_roles_are_those_of_the_subset():
    parts = (subset(SIZES[:1], loss_weight=0.25), subset(SIZES[:1], first=7, is_regularization=True, loss_weight=2.0))
    (batch,) = everything(ready(Dataset(parts)), epochs=1)
    weights, roles = batch.loss_weight_B.tolist(), batch.is_regularization_B.tolist()
    found = set(zip(batch.captions, weights, roles, strict=True))
    assert found == {("caption 0", 0.25, False), ("caption 7", 2.0, True)}


def test_resolutions_never_share_a_batch_but_share_the_image():
    prepared = prepare(
        with_buckets(dataset([(256, 256)] * 4), BucketSettings(resolution=128, bucket_step=64), [64]), Encoder(), "sd15"
    )
    batches = everything(prepared, batch_size=4, epochs=1)
    assert sorted(tuple(batch.latents_BCHW.shape) for batch in batches) == [(4, 4, 8, 8), (4, 4, 16, 16)]
    assert sorted(batches[0].image_ids) == sorted(batches[1].image_ids) == [0, 1, 2, 3]
    assert prepared.bucket_counts() == {(64, 64): 4, (128, 128): 4}


def test_captions_to_encode_ahead():
    data = dataset(SIZES)
    assert sorted(ready(data).distinct_captions()) == [f"caption {n}" for n in range(5)]
    dropped = ready(with_captions(data, CaptionSettings(caption_dropout=0.5)))
    assert sorted(dropped.distinct_captions()) == ["", *(f"caption {n}" for n in range(5))]
    assert {c for batch in everything(dropped, epochs=9) for c in batch.captions} <= set(dropped.distinct_captions())
    shuffled = ready(with_captions(data, CaptionSettings(shuffle_tags=True)))
    assert shuffled.distinct_captions() is None
    assert shuffled.why_captions_vary() == "shuffle_tags"


def test_global_generators_are_left_alone():
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    everything(ready(with_captions(dataset(SIZES), CaptionSettings(shuffle_tags=True)), replace(OWN_SIZE, flip=True)))
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)


def test_progress_counts_to_all():
    calls = []
    ready(dataset(SIZES), on_progress=lambda done, of: calls.append((done, of)))
    assert calls[-1] == (5, 5)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_only_regularization_images_are_refused():
    with pytest.raises(ValueError, match="got regularization images only"):
        ready(dataset(SIZES, is_regularization=True))


def test_batch_size_is_checked():
    with pytest.raises(ValueError, match="batch_size.*1.*0"):
        ready(dataset(SIZES)).epoch(0, 0, 0)

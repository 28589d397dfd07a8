from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from pack.tests.support.pictures import dataset, picture, save, subset
from pack.training.data.alike import near_duplicates
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, combine, with_buckets, with_captions
from pack.training.data.findings import masked_out, unique_images
from pack.training.data.folder import scan_folder
from pack.training.data.from_images import subset_from_images
from pack.training.data.gallery import draw_gallery
from pack.training.data.prepare import place_images, prepare
from pack.training.data.report import dataset_notes, describe, warnings
from PIL import Image


def found(data, family="sd15"):
    return warnings(data, place_images(data, family), family)


def about(lines, what):
    return [line for line in lines if what in line]


def with_texts(texts):
    one = subset([(64, 64)] * len(texts))
    return Dataset(
        (replace(one, items=tuple(replace(i, captions=(t,)) for i, t in zip(one.items, texts, strict=True))),)
    )


def test_a_clean_dataset_has_no_warnings():
    assert found(with_texts(["mia, sky", "mia, tree", "mia, sky, tree"])) == []
    assert "Warnings\n  none" in describe(with_texts(["mia, sky", "mia, tree"]), "sd15")


def test_brackets_are_counted_with_how_they_are_read():
    data = with_texts(["mia (oc), sky", "mia, tree", "mia, (sky:1.2)"])
    assert "in 2 captions" in describe(data, "sd15") and "read as text" in describe(data, "sd15")
    weighted = with_captions(data, CaptionSettings(caption_weights=True))
    assert "read as weights" in describe(weighted, "sd15")


def test_copies_are_found_even_if_saved_again(tmp_path):
    original = picture(1, 256, 192)
    save(tmp_path / "a.png", original, "a")
    save(tmp_path / "b.png", original, "b")
    Image.fromarray(original).resize((200, 150)).save(tmp_path / "small.jpg", quality=80)
    save(tmp_path / "other.png", picture(2, 256, 192), "other")
    lines = found(scan_folder(tmp_path))
    assert about(lines, "same picture: ")[0] == "same picture: a.png, b.png"
    assert about(lines, "nearly the same")[0] == "nearly the same picture: a.png and small.jpg"
    assert not about(lines, "other.png and") and not about(lines, "and other.png")


def test_the_pairs_that_look_alike_are_those_of_comparing_all_with_all():
    levels = torch.randint(100, 140, (300, 8, 8, 3), generator=torch.Generator().manual_seed(1))
    levels[100:140] = levels[:40]
    levels[100:140, :3] += (torch.arange(40) // 4)[:, None, None, None]  # 0 to 3.4 levels apart on average
    pixels = levels / 255
    items = subset_from_images(list(pixels.repeat_interleave(2, 1).repeat_interleave(2, 2)), [""] * 300).items
    flat = pixels.flatten(1)
    wanted = [(a, b) for a in range(300) for b in range(a + 1, 300) if (flat[a] - flat[b]).abs().mean() <= 2.5 / 255]
    assert near_duplicates(items) == (wanted, len(wanted))
    assert 10 < len(wanted) < 40


def test_thousands_of_frames_that_look_alike_are_a_few_lines():
    levels, frame = torch.full((400, 8 * 8 * 3), 128), torch.arange(400)
    levels[frame, frame % 192] += 1 + frame // 192
    pictures = list(levels.view(400, 8, 8, 3) / 255)
    lines = found(Dataset((subset_from_images(pictures, [f"number {n}" for n in range(400)]),)))
    assert len(about(lines, "nearly the same")) < 30
    assert f"{400 * 399 // 2 - 20} more pairs of nearly the same pictures" in lines


def test_several_resolutions_are_no_duplicates():
    data = with_buckets(dataset([(512, 512)] * 3), BucketSettings(resolution=256), [512])
    assert found(data) == []


def test_images_of_the_graph_are_all_called_alike_but_are_not_one():
    data = combine([dataset([(64, 64)] * 2), dataset([(64, 64)] * 2, first=5)])
    assert len(unique_images(place_images(data, "sd15"))) == 4


def test_tiny_images_and_lonely_buckets():
    lines = found(
        with_buckets(dataset([(512, 512), (600, 500), (120, 100), (900, 300)]), BucketSettings(resolution=512))
    )
    assert about(lines, "much smaller") == ["much smaller than trained (enlarged more than 1.5 times): 1 (image 3)"]
    assert "image 4 (832x256)" in about(lines, "alone in its bucket")[0]


def test_empty_captions_are_those_trained_without_text():
    data = with_texts(["", "sky"])
    assert about(found(data), "empty caption") == ["empty caption: 1 (image 1)"]
    assert not about(found(with_captions(data, CaptionSettings(trigger="mia"))), "empty caption")
    assert not about(
        found(with_captions(with_texts(["a", "b"]), CaptionSettings(caption_dropout=0.4))), "empty caption"
    )


def test_tags_that_always_go_with_the_trigger():
    data = with_texts(["red hair, sky", "red hair, tree", "sky, red_hair, tree"])
    (line,) = about(found(with_captions(data, CaptionSettings(trigger="mia"))), "always together")
    assert line.startswith("always together, in 3 images: mia, red hair.")
    assert not about(found(data), "always together")


def test_tag_counts_equal_a_plain_count():
    texts = ["a, b, c", "b, c", "c", "c, c, d_e", "d e"]
    expected = Counter(tag for text in texts for tag in {t.strip().replace("_", " ") for t in text.split(",")})
    report = describe(with_texts(texts), "sd15")
    assert all(f"{count:5}  {tag}" in report for tag, count in expected.items())


def test_bucket_table_counts_images_and_showings():
    report = describe(
        with_buckets(dataset([(512, 512)] * 3 + [(768, 512)], repeats=4), BucketSettings(resolution=512)), "sd15"
    )
    assert "512x512      3 images      12 per epoch" in report
    assert "images x 4 = 16 per epoch" in report


def test_notes_of_the_scan_are_warnings(tmp_path):
    save(tmp_path / "a.png", picture(0, 512, 512), "caption")
    (tmp_path / "broken.png").write_bytes(b"")
    assert "broken.png" in about(found(scan_folder(tmp_path)), "cannot be read")[0]


def test_gallery_shows_every_picture_as_it_is_cropped():
    data = with_buckets(dataset([(64, 64), (96, 64), (640, 64)]), BucketSettings(resolution=64))
    pages_NHWC = draw_gallery(data, "sd15")
    assert pages_NHWC.shape[0] == 1 and pages_NHWC.shape[-1] == 3
    assert pages_NHWC.min() >= 0 and pages_NHWC.max() <= 1
    cell = (pages_NHWC[0, 8:240, 8:240] * 255).round().numpy()
    expected = np.asarray(Image.fromarray(picture(0)).resize((232, 232), Image.Resampling.BICUBIC), dtype=float)
    assert np.abs(cell - expected).mean() < 1


def test_gallery_has_pages_of_twenty_and_shows_captions():
    assert draw_gallery(dataset([(64, 64)] * 45), "sd15").shape[0] == 3
    one, other = (draw_gallery(with_texts([text]), "sd15") for text in ("короткая", "a much longer caption " * 40))
    assert not torch.equal(one, other)


def test_captions_shown_are_those_of_the_first_epoch():
    data = with_captions(with_texts(["a, b, c, d"] * 3), CaptionSettings(shuffle_tags=True))
    prepared = prepare(data, lambda p: p.movedim(-1, 1)[:, :, ::8, ::8], "sd15")
    (batch,) = (prepared.load(plan, 0, 0, 0, 1) for plan in prepared.epoch(3, 0, 0))
    from pack.training.data.findings import caption_as_trained

    shown = {entry.image_id: caption_as_trained(entry) for entry in place_images(data, "sd15")}
    assert shown == dict(zip(batch.image_ids, batch.captions, strict=True))


def test_masks_that_leave_nothing_are_named(tmp_path):
    for seed in range(3):
        save(tmp_path / "set" / f"{seed}.png", picture(seed), f"caption {seed}")
    save(tmp_path / "masks" / "0.png", np.zeros((64, 64), np.uint8))
    save(tmp_path / "masks" / "1.png", picture(9)[..., 0])
    lines = found(scan_folder(tmp_path / "set", mask_folder=tmp_path / "masks"))
    assert "pictures without masks: 1 (2)" in lines
    assert about(lines, "the mask") == ["the mask is black all over, so nothing is trained: 1 (0.png)"]
    before_training = dataset_notes(scan_folder(tmp_path / "set", mask_folder=tmp_path / "masks"), "sd15")
    assert about(before_training, "the mask") == about(lines, "the mask")
    unmasked = place_images(scan_folder(tmp_path / "set"), "sd15")
    for entry in unmasked:
        entry.item.source.unlink()
    assert masked_out(unmasked) == []  # without a mask no picture is read again


def test_what_the_bucket_cuts_off_and_further_lines_are_named():
    data = with_buckets(Dataset((subset([(6000, 600), (512, 512)]),)), BucketSettings(resolution=512))
    assert about(found(data), "cut off by the bucket") == ["cut off by the bucket by more than 10%: 1 (image 1 (60%))"]
    lines = with_texts(["one", "two"])
    (first, *others) = lines.subsets[0].items
    several = Dataset((replace(lines.subsets[0], items=(replace(first, captions=("a", "b")), *others)),))
    assert any(line.startswith("captions of several lines") and "1 (" in line for line in found(several))
    drawn = with_captions(several, CaptionSettings(use_wildcards=True))
    assert not about(found(drawn), "captions of several lines")


def test_what_costs_time_in_every_step_is_told_before_training():
    cropped = with_buckets(dataset([(512, 512)]), BucketSettings(resolution=256, random_crop=True))
    assert any("random_crop" in note for note in dataset_notes(cropped, "sd15"))
    assert not dataset_notes(dataset([(512, 512)]), "sd15")


@pytest.mark.parametrize(
    ("size", "resolution", "words"),
    [
        ((1050, 1080), 1024, "960x960 for 1024x1024"),
        ((513, 2100), 1024, "448x1792 for 512x2048"),
        ((520, 530), 512, "448x448 for 512x512"),
        ((700, 1600), 1024, None),
        ((1024, 1024), 1024, None),
        ((900, 900), 1024, None),
    ],
)
def test_pictures_that_are_trained_smaller_than_they_could_be_are_named(size, resolution, words):
    plain = Dataset((subset([size]),))
    for settings in ({"upscale": False}, {}, {"upscale": False, "nearest_bucket": True}):
        data = with_buckets(plain, BucketSettings(resolution=resolution, **settings))
        notes = [note for note in dataset_notes(data, "sdxl") if "nearest_bucket" in note]
        is_told = words is not None and settings == {"upscale": False}
        assert len(notes) == is_told and all(words in note for note in notes)

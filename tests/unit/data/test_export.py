import pytest
import torch
from pack.tests.support.pictures import Encoder, dataset, picture, save, subset, tensor
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_buckets, with_captions, with_tag_edits
from pack.training.data.export import mask_folder_of, write_dataset
from pack.training.data.folder import scan_folder
from pack.training.data.from_images import subset_from_images
from pack.training.data.prepare import prepare
from pack.training.data.tags import TagEdits


def trained(data):
    prepared = prepare(with_buckets(data, BucketSettings(resolution=64, use_alpha_masks=True)), Encoder(), "sd15")
    batches = [prepared.load(plan, 0, 0, 0, 1) for plan in prepared.epoch(1, 0, 0)]
    return sorted(((b.captions[0], b.latents_BCHW, b.mask_B1HW) for b in batches), key=lambda sample: sample[0])


def test_a_written_dataset_is_trained_like_the_original(tmp_path):
    masked = subset_from_images([tensor(picture(50, 64, 64, 4)), tensor(picture(51))], ["m 1", "m 2"],
                                [tensor(picture(52)[..., 0])], repeats=2)  # fmt: skip
    data = Dataset((subset([(64, 64), (90, 70)]), masked))
    write_dataset(data, tmp_path / "new")
    copy = scan_folder(tmp_path / "new", mask_folder=mask_folder_of(tmp_path / "new"))
    assert sorted(s.repeats for s in copy.subsets) == [1, 2]
    for one, other in zip(trained(data), trained(copy), strict=True):
        assert one[0] == other[0]
        assert torch.equal(one[1], other[1])
        assert (one[2] is None) == (other[2] is None) and (one[2] is None or torch.equal(one[2], other[2]))


def test_captions_have_edits_trigger_and_all_lines(tmp_path):
    save(tmp_path / "set" / "a.png", picture(0), "red, größe\nsecond, red")
    data = with_tag_edits(scan_folder(tmp_path / "set"), TagEdits(prune=("red",)))
    write_dataset(with_captions(data, CaptionSettings(trigger="mia")), tmp_path / "new")
    assert (tmp_path / "new" / "0001.txt").read_bytes().decode() == "mia, größe\nmia, second"


def test_nothing_is_overwritten_and_the_same_is_accepted(tmp_path):
    write_dataset(dataset([(64, 64)] * 2), tmp_path / "new")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "new").iterdir()}
    write_dataset(dataset([(64, 64)] * 2), tmp_path / "new")
    with pytest.raises(ValueError, match="folder 'new'"):
        write_dataset(dataset([(64, 64)] * 3), tmp_path / "new")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "new").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_an_image_at_two_resolutions_is_written_once(tmp_path):
    write_dataset(with_buckets(dataset([(64, 64)] * 2), BucketSettings(), [128]), tmp_path / "new")
    assert len(list((tmp_path / "new").rglob("*.png"))) == 2


def test_a_failure_leaves_nothing(tmp_path):
    path = save(tmp_path / "set" / "a.png", picture(0), "caption")
    data = scan_folder(tmp_path / "set")
    path.unlink()
    with pytest.raises(OSError):
        write_dataset(data, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


def test_marks_are_written_too(tmp_path):
    for seed in range(4):
        save(tmp_path / "set" / f"{seed}.png", picture(seed), str(seed))
    (tmp_path / "set" / "marks.json").write_text('{"validation": ["1.png"], "regularization": ["2.png"]}')
    write_dataset(scan_folder(tmp_path / "set"), tmp_path / "new")
    copy = scan_folder(tmp_path / "new")
    assert [item.captions[0] for s in copy.held_out for item in s.items] == ["1"]
    assert [item.captions[0] for s in copy.subsets if s.is_regularization for item in s.items] == ["2"]
    assert len(list((tmp_path / "new").glob("*.png"))) == 4

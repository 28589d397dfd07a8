import json
from dataclasses import replace

import pytest
from pack.tests.support.pictures import dataset, picture, save, subset
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import (
    Dataset,
    _subset_content,
    balance,
    combine,
    split,
    with_buckets,
    with_captions,
    with_tag_edits,
)
from pack.training.data.folder import scan_folder
from pack.training.data.tags import TagEdits

SIZES = [(64, 64)] * 10


def hashes(dataset):
    return {item.content_hash for one in dataset.subsets for item in one.items}


def test_fingerprint_does_not_know_paths_names_or_times(tmp_path):
    for seed, (here, there) in enumerate((("a", "z"), ("b", "y"), ("c", "x"))):
        save(tmp_path / "one" / f"{here}.png", picture(seed), f"caption {seed}")
        save(tmp_path / "other" / f"{there}.png", picture(seed), f"caption {seed}")
    assert scan_folder(tmp_path / "one").fingerprint() == scan_folder(tmp_path / "other").fingerprint()


def test_fingerprint_changes_with_everything_that_is_trained():
    base = dataset(SIZES)
    first = base.subsets[0]
    variants = [
        base,
        dataset(SIZES, first=1),
        Dataset((replace(first, items=first.items[1:]),)),
        Dataset((replace(first, items=(replace(first.items[0], captions=("other",)), *first.items[1:])),)),
        Dataset((replace(first, items=(replace(first.items[0], mask_hash="m"), *first.items[1:])),)),
        Dataset((replace(first, repeats=2),)),
        Dataset((first, first)),
        base.with_role(True, 1.0),
        base.with_role(False, 0.5),
        with_captions(base, CaptionSettings(shuffle_tags=True)),
        with_captions(base, CaptionSettings(trigger="mia")),
        with_buckets(base, BucketSettings(resolution=512)),
        with_buckets(base, BucketSettings(flip=True)),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)
    assert with_buckets(base, BucketSettings(cache="ram")).fingerprint() == base.fingerprint()


def test_a_run_is_another_only_where_its_brackets_are_read_otherwise():
    """Captions were read with weights before there was a choice, and named nothing in the fingerprint."""
    plain, weighted = CaptionSettings(), CaptionSettings(caption_weights=True)
    base = dataset(SIZES)
    assert with_captions(base, plain).fingerprint() == with_captions(base, weighted).fingerprint()
    first = base.subsets[0]
    bracketed = Dataset((replace(first, items=(replace(first.items[0], captions=("a (b)",)), *first.items[1:])),))
    content = _subset_content(with_captions(bracketed, weighted).subsets[0])
    assert "a (b)" in json.dumps(content) and content[4] == {}
    assert with_captions(bracketed, plain).fingerprint() != with_captions(bracketed, weighted).fingerprint()
    by_trigger = [with_captions(base, replace(one, trigger="mira (oc)")).fingerprint() for one in (plain, weighted)]
    assert by_trigger[0] != by_trigger[1]


def test_combine_keeps_subsets_and_says_notes_once():
    one, other = Dataset((subset(SIZES),), ("note",)), Dataset((subset(SIZES, first=20),), ("note", "more"))
    joined = combine([one, other])
    assert joined.subsets == (*one.subsets, *other.subsets)
    assert joined.notes == ("note", "more")


def test_balance_equalizes_concepts_but_not_regularization():
    parts = (subset([(64, 64)] * 12), subset([(64, 64)] * 5, first=20), subset([(64, 64)] * 4, first=40, repeats=9))
    regularization = subset([(64, 64)] * 3, first=60, is_regularization=True, repeats=2)
    held_out = (subset([(64, 64)] * 30, first=80),)
    balanced = balance(Dataset((*parts, regularization), held_out=held_out))
    assert [s.repeats for s in balanced.subsets] == [1, 2, 3, 2]
    assert balanced.held_out == held_out


def test_trigger_is_kept_from_regularization_images():
    parts = Dataset((subset(SIZES), subset(SIZES, first=20, is_regularization=True)))
    changed = with_captions(parts, CaptionSettings(trigger="mia", shuffle_tags=True))
    assert [s.captions.trigger for s in changed.subsets] == ["mia", ""]
    assert all(s.captions.shuffle_tags for s in changed.subsets)


def test_tag_edits_reach_every_line():
    one = subset(SIZES[:2])
    one = replace(one, items=tuple(replace(item, captions=("red, cat", "sky, red")) for item in one.items))
    edited = with_tag_edits(Dataset((one,)), TagEdits(prune=("red",)))
    assert [item.captions for item in edited.subsets[0].items] == [("cat", "sky")] * 2


def test_several_resolutions_repeat_the_images():
    changed = with_buckets(dataset(SIZES), BucketSettings(resolution=512, flip=True), [768])
    assert [s.buckets.resolution for s in changed.subsets] == [512, 768]
    assert all(s.buckets.flip and len(s.items) == 10 for s in changed.subsets)
    assert changed.num_images == 10


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_split_never_overlaps(share, seed):
    copies = subset(SIZES[:4], first=3, caption="a copy")  # pictures 3-6 once more
    regularization = subset(SIZES[:3], first=8, is_regularization=True)  # 8 and 9 once more
    both = with_buckets(Dataset((subset(SIZES), copies, regularization)), BucketSettings(), [128])
    train, validation = split(both, share, seed)
    assert not hashes(train) & hashes(validation)
    assert hashes(train) | hashes(validation) == hashes(both)
    assert len(hashes(validation)) == max(1, int(share * 10 + 0.5))
    assert not any(s.is_regularization for s in validation.subsets)


def test_split_depends_on_seed_and_pictures_alone():
    forward = dataset(SIZES)
    one = forward.subsets[0]
    backward = Dataset((replace(one, items=tuple(replace(i, name="x") for i in reversed(one.items))),))
    assert hashes(split(forward, 0.3, 7)[1]) == hashes(split(backward, 0.3, 7)[1])
    assert len({frozenset(hashes(split(forward, 0.3, seed)[1])) for seed in range(8)}) > 4


def test_held_out_images_have_no_draws():
    varied = with_captions(
        dataset(SIZES, repeats=4), CaptionSettings(shuffle_tags=True, caption_dropout=0.5, keep_tags=2)
    )
    varied = with_buckets(varied, BucketSettings(flip=True, random_crop=True, resolution=128))
    (held_out,) = split(varied, 0.3, 0)[1].subsets
    assert held_out.repeats == 1
    assert held_out.captions == CaptionSettings(keep_tags=2)
    assert held_out.buckets == BucketSettings(resolution=128)


@pytest.mark.parametrize(("share", "message"), [(0.0, "between 0 and 1, got 0.0"), (0.99, "leaves none of 10 images")])
def test_split_that_leaves_nothing_is_refused(share, message):
    with pytest.raises(ValueError, match=message):
        split(dataset(SIZES), share, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repeats": 0}, "repeats must be at least 1, got 0"),
        ({"loss_weight": -1.0}, "loss_weight must be a number of 0"),
    ],
)
def test_wrong_subsets_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        subset(SIZES, **settings)


def test_empty_datasets_are_refused():
    with pytest.raises(ValueError, match="at least one subset"):
        Dataset(())

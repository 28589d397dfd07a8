from collections import Counter

import pytest
from pack.training.data.order import OrderEntry, count_batches, epoch_batches

SQUARE, WIDE, TALL = (64, 64), (96, 64), (64, 96)
TRAIN = [
    OrderEntry(bucket, repeats, False)
    for bucket, repeats in zip([SQUARE, WIDE, TALL] * 5, [1, 2, 3, 1] * 4, strict=False)
]
REGULARIZATION = [OrderEntry(bucket, 2, True) for bucket in (SQUARE, SQUARE, SQUARE, WIDE, TALL)]


def shown(batches):
    return [ref for batch in batches for ref in batch.samples]


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
@pytest.mark.parametrize("entries", [TRAIN, TRAIN + REGULARIZATION])
def test_every_image_is_shown_as_often_as_it_repeats(entries, batch_size):
    for epoch in range(4):
        refs = shown(epoch_batches(entries, batch_size, 3, epoch))
        counts = Counter(ref.entry for ref in refs if not entries[ref.entry].is_regularization)
        assert counts == {index: entry.repeats for index, entry in enumerate(TRAIN)}
        assert len(set(refs)) == len(refs)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
@pytest.mark.parametrize("entries", [TRAIN, TRAIN + REGULARIZATION])
def test_batches_are_of_one_bucket_and_full_but_for_the_last(entries, batch_size):
    for epoch in range(4):
        batches = epoch_batches(entries, batch_size, 3, epoch)
        assert len(batches) == count_batches(entries, batch_size)
        buckets = [{entries[ref.entry].bucket for ref in batch.samples} for batch in batches]
        assert all(len(bucket) == 1 for bucket in buckets)
        short = Counter(
            *[[next(iter(b)) for b, batch in zip(buckets, batches, strict=True) if len(batch.samples) < batch_size]]
        )
        assert all(count == 1 for count in short.values())


def test_order_depends_on_seed_and_epoch_alone():
    one = epoch_batches(TRAIN, 2, 3, 1)
    assert one == epoch_batches(TRAIN, 2, 3, 1)
    assert one != epoch_batches(TRAIN, 2, 3, 2)
    assert one != epoch_batches(TRAIN, 2, 4, 1)


def test_images_meet_in_changing_batches():
    entries = [OrderEntry(SQUARE, 1, False)] * 8
    partners = {
        frozenset(r.entry for r in batch.samples) for e in range(40) for batch in epoch_batches(entries, 2, 0, e)
    }
    assert len(partners) == 8 * 7 // 2


@pytest.mark.parametrize("num_regularization", [1, 3, 5, 40])
def test_regularization_matches_training_in_number_and_takes_turns(num_regularization):
    buckets = [SQUARE, SQUARE, WIDE, SQUARE, TALL]
    entries = TRAIN + [OrderEntry(buckets[i % 5], 1, True) for i in range(num_regularization)]
    num_train = sum(entry.repeats for entry in TRAIN)
    counts: Counter[int] = Counter()
    for epoch in range(30):
        refs = [ref for ref in shown(epoch_batches(entries, 4, 1, epoch)) if entries[ref.entry].is_regularization]
        assert len(refs) == num_train
        counts.update(ref.entry for ref in refs)
    per_bucket = {}
    for index in range(len(TRAIN), len(entries)):
        per_bucket.setdefault(entries[index].bucket, []).append(counts[index])
    assert all(max(shares) - min(shares) <= 1 for shares in per_bucket.values())
    assert max(counts.values()) <= 1.7 * min(counts.values())

"""What makes a run another one, and how a wanted plan is laid over a trained one."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pack.training.run.identity import Segment, continue_segments, fingerprint
from pack.training.run.record import RunRecord


@dataclass(frozen=True)
class Old:
    rank: int = 4
    name: str = "x"


@dataclass(frozen=True)
class Thing:
    rate: float = 0.1
    tags: tuple[str, ...] = ()
    inner: Old = field(default_factory=Old)
    parts: frozenset[str] = frozenset()


def test_equal_content_gives_equal_fingerprints():
    assert fingerprint(Thing(parts=frozenset("abc"))) == fingerprint(Thing(parts=frozenset("cba")))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


@pytest.mark.parametrize(
    "other",
    [Thing(rate=0.2), Thing(tags=("a",)), Thing(inner=Old(rank=5)), Thing(parts=frozenset("a")), Old(), "Thing", None],
)
def test_other_content_gives_another(other):
    assert fingerprint(Thing()) != fingerprint(other)


def test_a_setting_added_later_changes_no_fingerprint():
    before = fingerprint(Old(rank=5))

    @dataclass(frozen=True)
    class Old_:  # noqa: N801
        rank: int = 4
        name: str = "x"
        added: bool = False

    Old_.__name__ = "Old"
    assert fingerprint(Old_(rank=5)) == before
    assert fingerprint(Old_(rank=5, added=True)) != before


def test_what_cannot_be_fingerprinted_is_refused():
    with pytest.raises(TypeError, match="object"):
        fingerprint(object())


CONSTANT, COSINE, OTHER = (
    Segment(0, "constant", 100, depends_on_length=False),
    Segment(0, "cosine", 100),
    Segment(0, "other", 50, depends_on_length=False),
)


def in_order(stages):
    return [replace(stage, stage=index) for index, stage in enumerate(stages)]


def lengths(segments):
    return None if segments is None else [(segment.stage, segment.key, segment.steps) for segment in segments]


@pytest.mark.parametrize(
    ("recorded", "done", "wanted", "expected"),
    [
        # the same plan
        ([COSINE], 40, [COSINE], [(0, "cosine", 100)]),
        # more steps: a schedule without end is lengthened, one with an end is finished first
        ([CONSTANT], 100, [replace(CONSTANT, steps=150)], [(0, "constant", 150)]),
        ([COSINE], 100, [replace(COSINE, steps=150)], [(0, "cosine", 100), (0, "cosine", 50)]),
        ([COSINE], 40, [replace(COSINE, steps=150)], [(0, "cosine", 100), (0, "cosine", 50)]),
        # nothing trained yet: nothing to keep
        ([COSINE], 0, [replace(COSINE, steps=150)], [(0, "cosine", 150)]),
        # fewer steps: only while they are not trained, and where the length does not matter
        ([CONSTANT], 40, [replace(CONSTANT, steps=60)], [(0, "constant", 60)]),
        ([CONSTANT], 80, [replace(CONSTANT, steps=60)], None),
        ([COSINE], 40, [replace(COSINE, steps=60)], None),
        # one more stage, another second stage, another first stage
        ([COSINE], 100, [COSINE, OTHER], [(0, "cosine", 100), (1, "other", 50)]),
        ([COSINE, OTHER], 100, [COSINE, CONSTANT], [(0, "cosine", 100), (1, "constant", 100)]),
        ([COSINE, OTHER], 120, [COSINE, CONSTANT], None),
        ([OTHER, COSINE], 20, [COSINE], None),
        # a longer first stage while the second has not begun
        ([CONSTANT, OTHER], 30, [replace(CONSTANT, steps=200), OTHER], [(0, "constant", 200), (1, "other", 50)]),
        ([CONSTANT, OTHER], 120, [replace(CONSTANT, steps=200), OTHER], None),
        # a stage left out that was trained
        ([CONSTANT, OTHER], 120, [CONSTANT], None),
        ([CONSTANT, OTHER], 100, [CONSTANT], [(0, "constant", 100)]),
    ],
)
def test_continue_segments(recorded, done, wanted, expected):
    assert lengths(continue_segments(in_order(recorded), done, in_order(wanted))) == expected


def test_stretching_trains_from_the_start():
    recorded = [Segment(0, "cosine", 100)]
    assert continue_segments(recorded, 40, [replace(COSINE, steps=150)], "stretch") is None
    assert lengths(continue_segments(recorded, 40, [COSINE], "stretch")) == [(0, "cosine", 100)]
    lengthened = continue_segments([Segment(0, "constant", 100)], 40, [replace(CONSTANT, steps=150)], "stretch")
    assert lengths(lengthened) == [(0, "constant", 150)]
    added = [Segment(0, "cosine", 100), Segment(0, "cosine", 50)]
    assert continue_segments(added, 150, [replace(COSINE, steps=150)], "stretch") is None


def schedule_of_steps(segments):
    """What decides each step: its key, place in its segment, and the segment's length where that matters."""
    return [
        (segment.key, place, segment.steps if ENDS[segment.key] else None)
        for segment in segments
        for place in range(segment.steps)
    ]


ENDS = {"a": True, "b": False, "c": True, "d": False}
PLANS = st.dictionaries(st.sampled_from(sorted(ENDS)), st.integers(1, 6), min_size=1, max_size=3).map(
    lambda steps: in_order([Segment(0, key, steps[key], depends_on_length=ENDS[key]) for key in sorted(steps)])
)
HISTORIES = st.lists(st.tuples(PLANS, st.floats(0, 1)), min_size=2, max_size=6)
"""Plans, and the share of each that is trained before the next is wanted."""


@given(HISTORIES)
def test_any_history_keeps_what_was_trained(history):
    """Trained steps never change their schedule."""
    (recorded, share), *later = history
    done = 0
    for wanted, next_share in later:
        total = sum(segment.steps for segment in recorded)
        done += round(share * (total - done))
        share = next_share
        trained = schedule_of_steps(recorded)[:done]
        assert continue_segments(recorded, done, _as_wanted(recorded)) == recorded
        segments = continue_segments(recorded, done, wanted)
        if segments is None:
            continue
        assert schedule_of_steps(segments)[:done] == trained
        assert fingerprints(segments, done) == fingerprints(recorded, done)
        for index, stage in enumerate(wanted):
            of_stage = [segment for segment in segments if segment.stage == index]
            assert {segment.key for segment in of_stage} == {stage.key}
            assert sum(segment.steps for segment in of_stage) == stage.steps
        assert [segment.stage for segment in segments] == sorted(segment.stage for segment in segments)
        assert all(continue_segments(recorded, earlier, wanted) is not None for earlier in range(done))
        recorded = segments


def fingerprints(segments, done):
    """Of every trained step."""
    record = RunRecord(base="b", dataset="d", segments=tuple(segments), description={})
    return [record.fingerprint(step) for step in range(done + 1)]


def _as_wanted(recorded):
    """The plan of stages that a recorded one stands for."""
    stages = {}
    for segment in recorded:
        before = stages[segment.stage].steps if segment.stage in stages else 0
        stages[segment.stage] = replace(segment, steps=before + segment.steps)
    return list(stages.values())

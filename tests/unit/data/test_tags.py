import json
import random
import re
import time

import pytest
from pack.tests.support.paths import ROOT
from pack.training.data.edit_rules import parse_folds, parse_list, parse_pairs, parse_resolutions
from pack.training.data.tags import TagEdits, edit_captions, normal, split_tags

TABLE = json.loads((ROOT / "tests" / "support" / "tags.json").read_text())
"""(caption, its tags), for training and for the page (tests/js/dataset_model.test.js)."""


@pytest.mark.parametrize(("caption", "tags"), TABLE)
def test_captions_and_lists_are_parted_by_one_rule(caption, tags):
    assert [normal(tag) for tag in split_tags(caption)] == tags
    assert [normal(tag) for tag in parse_list(caption)] == tags


def edited(captions, separators=(), **edits):
    return edit_captions(captions, TagEdits(**edits), separators)


def test_tags_are_compared_without_case_and_underscores():
    assert edited(["Red_Hair, Cat, sky"], prune=("red hair", "CAT")) == ["sky"]


def test_replace_then_fold_then_prune():
    result = edited(
        ["1girl, red hair, sky, long hair, smile"],
        replace=(("1girl", "woman"), ("smile", "")),
        fold=((("red hair", "long hair"), "long red hair"),),
        prune=("sky",),
    )
    assert result == ["woman, long red hair"]


def test_fold_needs_all_its_tags():
    fold = ((("red hair", "long hair"), "long red hair"),)
    assert edited(["red hair, sky", "long hair, red hair"], fold=fold) == ["red hair, sky", "long red hair"]


def test_blacklist_takes_patterns():
    assert edited(["big watermark, cat, catfish, signature 2"], blacklist=("*watermark*", "signature ?")) == [
        "cat, catfish"
    ]


def test_replacing_leaves_no_tag_twice():
    assert edited(["kitten, cat, sky"], replace=(("kitten", "cat"),)) == ["cat, sky"]


def test_frequent_tags_first_and_ties_as_they_were():
    result = edited(["a, b, c", "c, d", "c, b"], order_by_frequency=True)
    assert result == ["c, b, a", "c, d", "c, b"]


def test_frequency_counts_what_is_left_after_the_edits():
    result = edited(["rare, kitten, b", "cat, b", "b"], replace=(("kitten", "cat"),), order_by_frequency=True)
    assert result == ["b, cat, rare", "b, cat", "b"]


def test_edits_go_by_the_separator_of_the_captions():
    edits = TagEdits(prune=("red, dark",), replace=(("cat", "kitten"),), order_by_frequency=True)
    captions = edit_captions(["sky; red, dark; cat ||| red, dark;end", "cat; b"], edits, ["|||"], ";")
    assert captions == ["kitten; sky ||| end", "kitten; b"]


def test_untouched_captions_keep_their_text():
    captions = ["A photo of a cat,sitting ,  outside.", "plain"]
    assert edited(captions, prune=("dog",)) == captions


def test_marks_of_kept_tags_stay_where_they_are():
    assert edited(["red, mia ||| sky, red ||| end"], ["|||"], prune=("red",)) == ["mia ||| sky ||| end"]


def test_split_is_at_separators_outside_parentheses():
    assert split_tags("(a, b:1.2), c,, d ") == ["(a, b:1.2)", "c", "d"]
    assert split_tags("a; b, c", ";") == ["a", "b, c"]
    assert split_tags(":), :(, (a, b:1.2), c (d, e)") == [":)", ":(", "(a, b:1.2)", "c (d, e)"]
    assert split_tags("a, ((b, c), d, e") == ["a", "((b", "c)", "d", "e"]
    assert split_tags(" , ") == []


def slow_split(text, separator=","):
    """What split_tags means, tag by tag."""
    pieces, tags = text.split(separator), []
    while pieces:
        joined = [re.sub(r"\\[()]", "", separator.join(pieces[:n])) for n in range(1, len(pieces) + 1)]
        count = next((n for n, one in enumerate(joined, 1) if one.count("(") <= one.count(")")), 1)
        tags.append(separator.join(pieces[:count]).strip())
        pieces = pieces[count:]
    return [tag for tag in tags if tag]


def test_split_equals_the_slow_way_on_any_brackets():
    draw = random.Random(5)
    for _ in range(3000):
        text = "".join(draw.choice(["(", ")", ",", "a", " ", r"\(", r"\)"]) for _ in range(draw.randrange(30)))
        assert split_tags(text) == slow_split(text), text


def test_split_takes_time_by_length_alone():
    text = ", ".join(["(a"] * 20_000)
    begun = time.process_time()
    assert len(split_tags(text)) == 20_000
    assert time.process_time() - begun < 2.0  # the slow way would take minutes


def test_rules_are_read_as_written():
    assert parse_list("red hair, freckles\nscar,,") == ("red hair", "freckles", "scar")
    assert parse_pairs("replace", "a > b\n\nc -> d e\nf =>") == (("a", "b"), ("c", "d e"), ("f", ""))
    assert parse_folds("fold", "a + b > c") == ((("a", "b"), "c"),)
    assert parse_resolutions("more", "512, 768") == (512, 768)


@pytest.mark.parametrize("text", ["no arrow", "> b", "a > b > c"])
def test_broken_rules_are_quoted(text):
    with pytest.raises(ValueError, match="replace.*old > new.*got"):
        parse_pairs("replace", text)


def test_broken_folds_and_resolutions_are_refused():
    with pytest.raises(ValueError, match="fold"):
        parse_folds("fold", "a > b")
    with pytest.raises(ValueError, match="pixels"):
        parse_resolutions("more_resolutions", "512, big")

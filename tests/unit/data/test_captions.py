"""Captions against a slow reference that lists everything the documented order can give."""

import re
from collections import Counter
from itertools import combinations, permutations, product

import pytest
from pack.training.data.brackets import describe_brackets
from pack.training.data.captions import (
    CaptionMoment,
    CaptionSettings,
    possible_captions,
    process_caption,
    separator_settings,
    why_captions_vary,
)

CAPTION = "one, two, three, four"


def draws(captions, settings, count=400, **moment):
    """Captions of many moments."""
    captions = [captions] if isinstance(captions, str) else captions
    return [
        process_caption(captions, settings, CaptionMoment(seed=5, epoch=0, image=i, **moment)) for i in range(count)
    ]


def reference(captions, settings, shown=None):
    """Every caption the order of sd-scripts can give: prefix/suffix, dropout, wildcards, tags, joined, replaced."""
    texts = list(captions) if settings.use_wildcards else [captions[0]]
    texts = [" ".join(p for p in (settings.prefix, text, settings.suffix) if p) for text in texts]
    if settings.use_wildcards:
        texts = [text for one in texts for text in _expand(one)]
    results = [""] if settings.caption_dropout else []
    for text in texts:
        for tags in _arrangements(text, settings, shown):
            between = f"{settings.separator} " if settings.keep_separator else ", "
            joined = tags if isinstance(tags, str) else between.join(tags)
            if settings.secondary_separator:
                joined = joined.replace(settings.secondary_separator, between)
            for old, new in settings.replacements:
                joined = joined.replace(old, new)
            results.append(joined)
    return set(results)


def _expand(text):
    pieces = re.split(r"\{(.*?)\}", text)
    options = [piece.split("|") if index % 2 else [piece] for index, piece in enumerate(pieces)]
    return ["".join(choice) for choice in product(*options)]


def _arrangements(text, settings, shown):
    marked = settings.keep_tags_separator and settings.keep_tags_separator in text
    if not (settings.shuffle_tags or settings.tag_dropout or shown is not None or marked):
        return [text]
    parts = text.split(settings.keep_tags_separator, 2) if marked else [text]
    tags = [[tag.strip() for tag in part.split(settings.separator) if tag.strip()] for part in parts]
    if marked:
        head, loose, tail = tags[0], tags[1], tags[2] if len(tags) == 3 else []
    else:
        head, loose, tail = tags[0][: settings.keep_tags], tags[0][settings.keep_tags :], []
    loose = loose[:shown]
    kept = [loose]
    if settings.tag_dropout:
        kept = [list(group) for n in range(len(loose) + 1) for group in combinations(loose, n)]
    if settings.shuffle_tags:
        kept = [list(order) for group in kept for order in permutations(group)]
    return [[*head, *group, *tail] for group in kept]


@pytest.mark.parametrize(
    ("captions", "settings"),
    [
        ([CAPTION], {}),
        ([CAPTION, "other line"], {}),
        (["a,b ,  c"], {}),
        (["a,b ,  c"], {"shuffle_tags": True}),
        ([CAPTION], {"shuffle_tags": True, "keep_tags": 1}),
        ([CAPTION], {"shuffle_tags": True, "keep_tags": 1, "prefix": "pre,", "suffix": "post"}),
        ([CAPTION], {"tag_dropout": 0.5, "keep_tags": 1}),
        ([CAPTION], {"tag_dropout": 0.5, "shuffle_tags": True, "keep_tags": 2, "caption_dropout": 0.3}),
        (["one ||| two, three, four ||| five"], {"keep_tags_separator": "|||", "shuffle_tags": True, "keep_tags": 3}),
        (["one ||| two, three"], {"keep_tags_separator": "|||"}),
        (["one;;;two, three, four"], {"secondary_separator": ";;;", "shuffle_tags": True, "tag_dropout": 0.5}),
        (["a {red|green} cat, {x|y}", "second"], {"use_wildcards": True, "shuffle_tags": True}),
        (["a; b; c"], {"separator": ";", "shuffle_tags": True}),
        (["a; b; c"], {"separator": ";", "shuffle_tags": True, "keep_separator": True}),
        (["a| b| c"], {"separator": "|", "tag_dropout": 0.5, "keep_separator": True}),
        ([CAPTION], {"replacements": (("one", "1"), ("two, three", "23"))}),
    ],
)
def test_draws_are_exactly_what_the_order_allows(captions, settings):
    settings = CaptionSettings(**settings)
    assert set(draws(captions, settings, 1500)) == reference(captions, settings)


def test_shuffle_is_even():
    counts = Counter(draws("a, b, c", CaptionSettings(shuffle_tags=True), 1200))
    assert len(counts) == 6
    assert min(counts.values()) > 140


def test_dropouts_happen_at_their_rates():
    assert draws(CAPTION, CaptionSettings(caption_dropout=0.25), 2000).count("") == pytest.approx(500, abs=80)
    tags = sum(len(text.split(", ")) for text in draws(CAPTION, CaptionSettings(tag_dropout=0.25, keep_tags=1), 1000))
    assert tags == pytest.approx(1000 * (1 + 3 * 0.75), rel=0.05)


def test_one_feature_does_not_move_the_draws_of_another():
    plain = draws(CAPTION, CaptionSettings(shuffle_tags=True))
    with_dropout = draws(CAPTION, CaptionSettings(shuffle_tags=True, caption_dropout=0.5))
    assert all(text in ("", before) for text, before in zip(with_dropout, plain, strict=True))
    assert with_dropout.count("") > 100


def test_every_nth_epoch_is_without_captions():
    settings = CaptionSettings(caption_dropout_every_n_epochs=3)
    texts = [process_caption([CAPTION], settings, CaptionMoment(seed=0, epoch=epoch, image=0)) for epoch in range(9)]
    assert [not text for text in texts] == [False, False, True] * 3


def test_each_repeat_and_epoch_has_draws_of_its_own():
    settings = CaptionSettings(shuffle_tags=True)
    moments = [CaptionMoment(seed=0, epoch=epoch, image=0, repeat=repeat) for epoch in range(6) for repeat in range(6)]
    assert len({process_caption(["a, b, c, d, e"], settings, moment) for moment in moments}) > 20
    assert process_caption([CAPTION], settings, moments[0]) == process_caption([CAPTION], settings, moments[0])


@pytest.mark.parametrize(("steps", "total"), [(100, 0), (0.5, 200)])
def test_tag_warmup_grows_linearly(steps, total):
    settings = CaptionSettings(tag_warmup_steps=steps, tag_warmup_min=1, keep_tags=1)
    tags = "kept, " + ", ".join(f"t{n}" for n in range(11))
    for step in (0, 1, 49, 50, 99, 100, 150):
        (text,) = draws(tags, settings, 1, step=step, total_steps=total)
        shown = min(11, 1 + step * 10 // 100)
        assert text.split(", ") == ["kept", *(f"t{n}" for n in range(shown))]


def test_double_braces_are_braces():
    assert set(draws("{{a|b}} {c}", CaptionSettings(use_wildcards=True))) == {"{a|b} c"}


def test_weighted_tags_stay_whole():
    settings = CaptionSettings(shuffle_tags=True, caption_weights=True)
    caption = r"(red eyes, long hair:1.2), cat, [sky], \(a, b\)"
    tags = ["(red eyes, long hair:1.2)", "cat", "[sky]", r"\(a", r"b\)"]
    assert {tuple(sorted(_parts(text, tags))) for text in draws(caption, settings)} == {tuple(sorted(tags))}
    assert draws(caption, CaptionSettings(caption_weights=True), 1) == [caption]


def _parts(text, tags):
    found = [tag for tag in tags if tag in text]
    assert sum(map(len, found)) + 2 * (len(found) - 1) == len(text)
    return found


def test_unclosed_parenthesis_holds_nothing_together():
    texts = draws(":(, a, b", CaptionSettings(shuffle_tags=True))
    assert set(texts) == {", ".join(order) for order in permutations([r":\(", "a", "b"])}


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("cat, sky", "mia_oc, cat, sky"),
        ("cat, mia_oc, sky", "mia_oc, cat, sky"),
        ("Mia_OC, cat", "Mia_OC, cat"),
        ("a photo of mia_oc by the sea", "a photo of mia_oc by the sea"),
        ("", "mia_oc"),
    ],
)
def test_trigger_stands_first_or_in_the_sentence(caption, expected):
    assert draws(caption, CaptionSettings(trigger="mia_oc"), 1) == [expected]


def test_trigger_is_never_shuffled_nor_dropped():
    settings = CaptionSettings(trigger="mia", shuffle_tags=True, tag_dropout=0.5, keep_tags=1)
    for caption in ("kept, a, b, mia, c", "kept, a, b, c"):
        texts = draws(caption, settings)
        assert all(text.startswith("mia, kept") for text in texts)
        assert len(set(texts)) > 10


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"caption_dropout": 0.4},
        {"use_wildcards": True, "caption_dropout_every_n_epochs": 2},
        {"trigger": "mia", "prefix": "pre", "keep_tags_separator": "|||", "replacements": (("two", "2"),)},
    ],
)
def test_possible_captions_are_all_that_can_be_drawn(settings):
    captions, settings = ["one ||| two", "{{x}}, line", "last"], CaptionSettings(**settings)
    drawn = {
        process_caption(captions, settings, CaptionMoment(seed=0, epoch=epoch, image=image))
        for epoch in range(4)
        for image in range(60)
    }
    assert set(possible_captions(captions, settings)) == drawn
    assert why_captions_vary(captions, settings) == ""


@pytest.mark.parametrize(
    ("caption", "settings", "reason"),
    [
        (CAPTION, {"shuffle_tags": True}, "shuffle_tags"),
        (CAPTION, {"tag_dropout": 0.1}, "tag_dropout"),
        (CAPTION, {"tag_warmup_steps": 10}, "tag_warmup_steps"),
        ("a {b|c}", {"use_wildcards": True}, "wildcards"),
        (CAPTION, {"use_wildcards": True, "suffix": "{b|c}"}, "wildcards"),
    ],
)
def test_captions_that_vary_are_named_with_the_reason(caption, settings, reason):
    settings = CaptionSettings(**settings)
    assert possible_captions([caption], settings) is None
    assert why_captions_vary([caption], settings) == reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tag_dropout": 1.5}, "tag_dropout must be a chance between 0 and 1, got 1.5"),
        ({"caption_dropout": -0.1}, "caption_dropout must be a chance"),
        ({"keep_tags": -1}, "keep_tags must not be negative"),
        ({"separator": ""}, "separator must not be empty"),
        ({"replacements": (("", "x"),)}, "replacements must not replace an empty text"),
    ],
)
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        CaptionSettings(**settings)


@pytest.mark.parametrize(
    ("written", "trained"),
    [
        ("miku (vocaloid)", r"miku \(vocaloid\)"),
        (r"miku \(vocaloid\)", r"miku \(vocaloid\)"),
        ("(red eyes:1.3)", r"\(red eyes:1.3\)"),
        (":(, smile", r":\(, smile"),
        ("no brackets", "no brackets"),
    ],
)
def test_brackets_are_text_unless_they_are_asked_to_be_weights(written, trained):
    assert draws(written, CaptionSettings(), count=1) == [trained]
    assert draws(written, CaptionSettings(caption_weights=True), count=1) == [written]


def test_what_settings_add_is_read_like_the_caption():
    settings = CaptionSettings(trigger="mira (oc)", prefix="(a)", replacements=(("x", "(y)"),))
    assert draws("x, b", settings, count=1) == [r"mira \(oc\), \(a\) \(y\), b"]
    kept = CaptionSettings(trigger="mira (oc)", shuffle_tags=True)
    assert all(text.startswith(r"mira \(oc\), ") for text in draws(r"b, mira \(oc\), c", kept, count=20))


def test_captions_with_brackets_are_counted_with_how_they_are_read():
    captions = ["a (b)", "c", "(d:1.2), e"]
    assert "2 captions" in describe_brackets(captions, False) and "as text" in describe_brackets(captions, False)
    assert "1 look like weights" in describe_brackets(captions, False)
    assert "(d:1.2)" in describe_brackets(captions, False)
    assert "as weights" in describe_brackets(captions, True)
    assert describe_brackets(["c", r"f \(g\)"], False) == ""


@pytest.mark.parametrize(("separator", "joiner"), [(",", ", "), (", ", ", "), (";", "; "), ("|", "| "), ("; ", "; ")])
def test_a_new_setup_joins_with_its_own_separator(separator, joiner):
    """Commas stay the default, by which the runs on disk are found."""
    settings = CaptionSettings(**separator_settings(separator))
    assert settings.joiner == joiner
    assert settings.keep_separator == (joiner != ", ")


def test_the_trigger_stands_before_the_separator_of_the_captions():
    settings = CaptionSettings(**separator_settings(";"), trigger="mia")
    moment = CaptionMoment(seed=0, epoch=0, image=0)
    assert process_caption(["red hair; sky"], settings, moment) == "mia; red hair; sky"
    assert process_caption(["sky; mia; red hair"], settings, moment) == "mia; sky; red hair"

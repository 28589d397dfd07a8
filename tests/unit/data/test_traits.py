"""Traits in four fifths of the captions are named, with what to put into prune."""

from dataclasses import replace

import pytest
from pack.tests.unit.data.test_report import about, found, with_texts
from pack.training.data.dataset import Dataset
from pack.training.data.report import traits_of
from pack.training.data.traits import is_trait

BINDING = "instead of the trigger"


def captions(with_trait: int, of: int) -> list[str]:
    return [
        ", ".join(["mira", *(["red hair", "scar on cheek"] if number < with_trait else []), f"place {number}"])
        for number in range(of)
    ]


def test_traits_in_four_fifths_of_the_captions_are_named():
    (line,) = about(found(with_texts(captions(4, 5))), BINDING)
    assert "prune" in line and "red hair" in line and "scar on cheek" in line and "place" not in line


def test_the_page_gets_the_traits_that_the_warning_names():
    assert traits_of(with_texts(captions(4, 5)), "sd15") == ["red hair", "scar on cheek"]
    assert traits_of(with_texts(captions(3, 5)), "sd15") == []


@pytest.mark.parametrize(("with_trait", "of"), [(3, 5), (4, 4), (0, 8)])
def test_fewer_captions_or_images_say_nothing(with_trait, of):
    assert about(found(with_texts(captions(with_trait, of))), BINDING) == []


def test_regularization_images_keep_their_words():
    data = with_texts(captions(5, 5))
    others = Dataset(tuple(replace(subset, is_regularization=True) for subset in data.subsets))
    assert about(found(others), BINDING) == []


@pytest.mark.parametrize("tag", ["red hair", "green eyes", "cat ears", "freckles", "scar on cheek", "dark skin"])
def test_a_trait(tag):
    assert is_trait(tag)


@pytest.mark.parametrize("tag", ["1girl", "solo", "red coat", "closed eyes", "from behind", "wet hair", "street"])
def test_no_trait(tag):
    assert not is_trait(tag)

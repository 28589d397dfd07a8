"""Which round it is follows from what is on disk."""

import unicodedata

import pytest
import torch
from pack.training.files.atomic import write_text_atomic
from pack.training.files.lora_file import save_lora
from pack.training.session.rounds import RoundNote, open_round, rate_of_round, rounds_up_to, trained_rounds

ONE, SEVEN = RoundNote("one picture", 1), RoundNote("seven pictures", 7)


def train(current):
    current.lora.parent.mkdir(parents=True, exist_ok=True)
    current.lora.write_bytes(b"a LoRA")


def test_rounds_are_counted_by_the_dataset(tmp_path):
    first = open_round(tmp_path, "mira", ONE)
    assert (first.number, first.name, first.previous) == (1, "mira_round_1", None)
    train(first)
    assert open_round(tmp_path, "mira", ONE) == first, "the same dataset is the same round"
    second = open_round(tmp_path, "mira", SEVEN)
    assert (second.name, second.previous) == ("mira_round_2", first)
    assert (first.note, second.note) == (ONE, SEVEN)


def test_a_round_is_the_same_by_what_an_earlier_version_noted(tmp_path):
    train(open_round(tmp_path, "mira", ONE))
    assert open_round(tmp_path, "mira", SEVEN, ONE).number == 1
    (found,) = trained_rounds(tmp_path, "mira")
    assert found.note == SEVEN
    assert open_round(tmp_path, "mira", ONE).number == 2


def test_a_round_that_was_never_trained_takes_the_new_dataset(tmp_path):
    open_round(tmp_path, "mira", ONE)
    again = open_round(tmp_path, "mira", SEVEN)
    assert (again.number, again.note) == (1, SEVEN)


def test_rounds_are_in_order_of_their_number_and_of_one_name(tmp_path):
    for number in range(1, 12):
        train(open_round(tmp_path, "mira", RoundNote(str(number), number)))
    train(open_round(tmp_path, "mira_round", ONE))
    assert [one.number for one in trained_rounds(tmp_path, "mira")] == [*range(1, 12)]
    assert [one.number for one in rounds_up_to(tmp_path, "mira_round_10")] == [*range(1, 11)]
    assert [one.name for one in trained_rounds(tmp_path, "mira_round")] == ["mira_round_round_1"]
    assert rounds_up_to(tmp_path, "mira") == []


@pytest.mark.parametrize("keeps_notes", [True, False])
def test_rounds_whose_folders_were_renamed_are_found(keeps_notes, tmp_path):
    """All of a character's, to use its name for another; the files in them keep theirs until the next queue."""
    for note in (ONE, SEVEN):
        one = open_round(tmp_path, "mira", note)
        save_lora(one.lora, {"a": torch.zeros(1)}, {"ss_output_name": one.name})
        save_lora(one.lora.with_name(f"{one.name}-step000002.safetensors"), {"a": torch.zeros(1)}, {})
        if keeps_notes:
            write_text_atomic(one.root / ".run" / "name", one.name)
    for root in list(tmp_path.iterdir()):
        root.rename(tmp_path / root.name.replace("mira", "nora"))
    assert trained_rounds(tmp_path, "mira") == []
    again = open_round(tmp_path, "nora", SEVEN)
    assert (again.name, again.lora.name) == ("nora_round_2", "mira_round_2.safetensors")
    assert again.previous is not None and again.previous.lora.name == "mira_round_1.safetensors"
    assert [one.number for one in rounds_up_to(tmp_path, "nora_round_2")] == [1, 2]


def test_rounds_are_found_in_both_unicode_forms_of_a_name(tmp_path):
    train(open_round(tmp_path, unicodedata.normalize("NFC", "\u00e4pfel"), ONE))
    again = open_round(tmp_path, unicodedata.normalize("NFD", "\u00e4pfel"), SEVEN)
    assert again.number == 2 and again.previous is not None


def test_a_broken_note_begins_a_round_instead_of_failing(tmp_path):
    first = open_round(tmp_path, "mira", ONE)
    train(first)
    first.note_path.write_text("{", encoding="utf-8")
    assert open_round(tmp_path, "mira", ONE).number == 2


@pytest.mark.parametrize("name", ["", "a/b", "x" * 90, "con"])
def test_names_that_cannot_be_folders_are_refused(tmp_path, name):
    with pytest.raises(ValueError, match="name"):
        open_round(tmp_path, name, ONE)
    assert not any(tmp_path.iterdir())


def test_each_round_has_the_rate_before_times_the_factor():
    assert [rate_of_round(1e-3, 0.5, number) for number in (1, 2, 3)] == pytest.approx([1e-3, 5e-4, 2.5e-4])
    assert rate_of_round(1.0, 1.0, 7) == 1.0

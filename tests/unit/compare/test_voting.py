"""Votes and choices of several at once: none is lost, none is undone for another."""

import threading

import pytest
from pack.training.compare.layout import Cell
from pack.training.compare.store import Comparison, load_choice, load_votes
from pack.training.compare.voting import add_vote, change_choice, take_back_vote
from pack.training.files.changed import Changed

CELLS = tuple(Cell(lora, 0, 0, 0) for lora in range(4))
DRAWN = Comparison(
    loras=("a", "b", "c", "d"), steps=(None,) * 4, prompts=("fox",), strengths=(1.0,), text_strengths=(None,), run=None,
    cells=CELLS, scores=(), plain_scores=(),
)  # fmt: skip


def test_votes_of_two_tabs_are_all_kept(tmp_path, quick_disk):
    def vote(winner):
        for _ in range(50):
            add_vote(tmp_path, DRAWN, [winner, 3])

    threads = [threading.Thread(target=vote, args=(winner,)) for winner in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(load_votes(tmp_path)) == sorted([[winner, 3] for winner in range(3)] * 50)


def test_a_vote_taken_back_is_ones_own(tmp_path):
    for vote in ([0, 1], [2, 3], [0, 1], [1, 2]):
        add_vote(tmp_path, DRAWN, vote)
    take_back_vote(tmp_path, DRAWN, [0, 1])
    assert load_votes(tmp_path) == [[0, 1], [2, 3], [1, 2]]
    with pytest.raises(Changed):
        take_back_vote(tmp_path, DRAWN, [3, 0])
    with pytest.raises(ValueError, match="winner"):
        add_vote(tmp_path, DRAWN, [1, 1])
    assert load_votes(tmp_path) == [[0, 1], [2, 3], [1, 2]]


def test_a_choice_that_another_has_changed_is_not_replaced(tmp_path):
    change_choice(tmp_path, DRAWN, {"cell": 1, "based_on": None})
    with pytest.raises(Changed):
        change_choice(tmp_path, DRAWN, {"cell": 2, "based_on": None})
    assert load_choice(tmp_path, DRAWN) == 1
    change_choice(tmp_path, DRAWN, {"cell": None, "based_on": 1})
    assert load_choice(tmp_path, DRAWN) is None
    change_choice(tmp_path, DRAWN, {"cell": 3})
    assert load_choice(tmp_path, DRAWN) == 3

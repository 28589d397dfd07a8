"""Votes and choices of several users or tabs at once; none overwrites another's unseen."""

import threading
from pathlib import Path
from typing import Any

from ..files.changed import Changed
from .store import Comparison, load_choice, load_votes, save_choice, save_votes

_LOCK = threading.Lock()


def add_vote(folder: Path, comparison: Comparison, vote: Any) -> None:
    """Append a vote [winner, loser].

    Raises:
        ValueError: It is not a pair of different cells of the comparison, or there are too many votes.
    """
    with _LOCK:
        save_votes(folder, comparison, [*load_votes(folder), vote])


def take_back_vote(folder: Path, comparison: Comparison, vote: Any) -> None:
    """Remove the last vote equal to this one; others stay.

    Raises:
        Changed: There is none; another tab has removed it.
    """
    with _LOCK:
        votes = load_votes(folder)
        if vote not in votes:
            raise Changed([f"the vote {str(vote)[:40]}"])
        place = len(votes) - 1 - votes[::-1].index(vote)
        save_votes(folder, comparison, votes[:place] + votes[place + 1 :])


def replace_votes(folder: Path, comparison: Comparison, votes: Any) -> None:
    """Replace all votes; raises the same as `save_votes`."""
    with _LOCK:
        save_votes(folder, comparison, votes)


def change_choice(folder: Path, comparison: Comparison, body: dict[str, Any]) -> None:
    """Save `cell` as the choice, or remove the choice if it is None.

    Raises:
        Changed: `based_on` is given, and another cell is chosen.
        ValueError: There is no such cell.
    """
    with _LOCK:
        chosen = load_choice(folder, comparison)
        if body.get("based_on", chosen) != chosen:
            raise Changed(["the choice"])
        save_choice(folder, comparison, body["cell"])

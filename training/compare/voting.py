"""Votes and choices of several people, or tabs, at once: each adds its own, none takes another's place unseen."""

import threading
from pathlib import Path
from typing import Any

from ..files.changed import Changed
from .store import Comparison, load_choice, load_votes, save_choice, save_votes

_LOCK = threading.Lock()


def add_vote(folder: Path, comparison: Comparison, vote: Any) -> None:
    """Adds [winner, loser] behind the votes there are.

    Raises:
        ValueError: It is no pair of different cells of the comparison, or there are too many votes.
    """
    with _LOCK:
        save_votes(folder, comparison, [*load_votes(folder), vote])


def take_back_vote(folder: Path, comparison: Comparison, vote: Any) -> None:
    """Takes the last vote of that kind away; others stay.

    Raises:
        Changed: There is none; another tab has taken it back.
    """
    with _LOCK:
        votes = load_votes(folder)
        if vote not in votes:
            raise Changed([f"the vote {str(vote)[:40]}"])
        place = len(votes) - 1 - votes[::-1].index(vote)
        save_votes(folder, comparison, votes[:place] + votes[place + 1 :])


def replace_votes(folder: Path, comparison: Comparison, votes: Any) -> None:
    """Keeps these votes in place of all others; what `save_votes` raises."""
    with _LOCK:
        save_votes(folder, comparison, votes)


def change_choice(folder: Path, comparison: Comparison, body: dict[str, Any]) -> None:
    """Keeps `cell` as the choice, or takes it back where it is None.

    Raises:
        Changed: `based_on` is given, and another cell is chosen.
        ValueError: There is no such cell.
    """
    with _LOCK:
        chosen = load_choice(folder, comparison)
        if body.get("based_on", chosen) != chosen:
            raise Changed(["the choice"])
        save_choice(folder, comparison, body["cell"])

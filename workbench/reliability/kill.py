"""Kills training again and again, at random moments and in the middle of writes, damages files, fills disks.

    python workbench/reliability/kill.py --kills 200

After each end every file is read as the next session would read it; whenever a run reaches its end, its files must
have the bits of a run that nobody disturbed. Prints the table of docs/reliability.md.
"""

import argparse
import os
import random
import runpy
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

import torch  # noqa: E402
from pack.tests.support.toy_runs import (  # noqa: E402
    SAVE_EVERY,
    WriteMoments,
    exit_code,
    final_bits,
    forked,
    left_in,
    session,
)


@dataclass
class Tally:
    """What one way of ending runs did."""

    ends: int = 0
    broken: int = 0
    worst_loss: int = 0
    finished: int = 0
    different: int = 0

    def row(self, name: str) -> str:
        """Of the table."""
        return (
            f"| {name} | {self.ends} | {self.broken} | {self.worst_loss} (limit {SAVE_EVERY}) | "
            f"{self.finished} | {self.different} |"
        )


@dataclass
class Campaign:
    """Runs in `folder`, each ended many times until it is finished, then started over."""

    folder: Path
    draws: random.Random
    whole: dict[str, bytes] = field(default_factory=dict)
    seconds: float = 0.0
    """An undisturbed session takes so long."""
    moments: int = 0
    """Moments of writing in an undisturbed session."""
    number: int = 0

    def prepare(self) -> None:
        """The undisturbed run that all others are compared with."""
        session(self.folder / "warm")()  # what is imported here costs the children nothing
        root = self.folder / "whole"
        counted = self.folder / "moments"
        started = time.monotonic()
        assert exit_code(forked(session(root))) == 0
        self.seconds = time.monotonic() - started
        self.whole = final_bits(root / "run")

        def count() -> None:
            moments = WriteMoments()
            moments.install()
            session(self.folder / "counted")()
            counted.write_text(str(moments.count))

        assert exit_code(forked(count)) == 0
        self.moments = int(counted.read_text())

    @property
    def root(self) -> Path:
        """Of the run that is being disturbed."""
        return self.folder / f"run{self.number}"

    def end_once(self, way: Callable[["Campaign"], int], tally: Tally) -> None:
        """One session, ended one way or finished; its files are judged."""
        code = way(self)
        left = left_in(self.root / "run")
        tally.ends += code < 0
        tally.broken += len(left.broken)
        tally.worst_loss = max(tally.worst_loss, left.lost)
        assert code <= 0, "the session failed by itself"
        if code == 0:
            tally.finished += 1
            tally.different += final_bits(self.root / "run") != self.whole
            self.number += 1


def killed_at_a_random_moment(campaign: Campaign, how: int = signal.SIGKILL) -> int:
    """Exit code of a session that is killed from outside."""
    child = forked(session(campaign.root))
    time.sleep(campaign.draws.uniform(0.0, 0.8 * campaign.seconds))
    os.kill(child, how)
    return exit_code(child)


def terminated_at_a_random_moment(campaign: Campaign) -> int:
    """The same with SIGTERM, as a service manager ends a process."""
    return killed_at_a_random_moment(campaign, signal.SIGTERM)


def killed_while_writing(campaign: Campaign) -> int:
    """Exit code of a session that dies inside a file, before a flush, before or after a rename."""
    count = campaign.draws.randint(1, campaign.moments)

    def body() -> None:
        WriteMoments(count).install()
        session(campaign.root)()

    return exit_code(forked(body))


WAYS: dict[str, Callable[[Campaign], int]] = {
    "SIGKILL at a random moment": killed_at_a_random_moment,
    "SIGTERM at a random moment": terminated_at_a_random_moment,
    "SIGKILL inside a write, flush or rename": killed_while_writing,
}


def kill(num_kills: int, folder: Path, seed: int = 0) -> dict[str, Tally]:
    """So many kills, shared out over all ways, each followed by a session that goes on."""
    campaign = Campaign(folder, random.Random(seed))
    campaign.prepare()
    tallies = {name: Tally() for name in WAYS}
    names = list(WAYS)
    while sum(tally.ends for tally in tallies.values()) < num_kills:
        name = min(names, key=lambda name: (tallies[name].ends, campaign.draws.random()))
        campaign.end_once(WAYS[name], tallies[name])
    rest = Tally()
    campaign.end_once(lambda campaign: exit_code(forked(session(campaign.root))), rest)
    last = tallies[names[0]]
    last.finished, last.different = last.finished + rest.finished, last.different + rest.different
    return tallies


def table(tallies: dict[str, Tally]) -> str:
    """Markdown."""
    lines = [
        "| way to end | times | broken files | most steps lost | runs finished | of these with other bits |",
        "| --- | --- | --- | --- | --- | --- |",
        *(tally.row(name) for name, tally in tallies.items()),
    ]
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tallies = kill(arguments.kills, Path(folder), arguments.seed)
    print(table(tallies))
    print(f"\n{arguments.kills} kills in {time.monotonic() - started:.0f} s, seed {arguments.seed}.")


if __name__ == "__main__":
    main()

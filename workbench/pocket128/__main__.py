"""Command line: `pretrain | measure | sample | sheet`, each with --help; `dev.py pretrain 128` runs the first."""

from __future__ import annotations

import sys
from collections.abc import Callable

from .measure import main as measure
from .pretrain import main as pretrain
from .sample import main as sample
from .sheet import main as sheet

COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "pretrain": pretrain,
    "measure": measure,
    "sample": sample,
    "sheet": sheet,
}


def main(arguments: list[str]) -> int:
    """Runs the named command with the remaining arguments."""
    if not arguments or arguments[0] not in COMMANDS:
        print(f"usage: {{{'|'.join(COMMANDS)}}} [options]", file=sys.stderr)
        return 2
    return COMMANDS[arguments[0]](arguments[1:])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

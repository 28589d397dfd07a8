"""Writes the pocket model's checkpoint: `alias.py pack.tests.host.pocket PATH`."""

import sys
from pathlib import Path


def assemble_checkpoint(path: Path) -> None:
    """Write the pocket model as a checkpoint; the file appears only when it is complete."""
    from ..pocket.assemble import assemble

    unfinished = path.with_suffix(".part")
    assemble(unfinished)
    unfinished.replace(path)


if __name__ == "__main__":
    assemble_checkpoint(Path(sys.argv[1]))

"""Command line: `python workbench/pocket pretrain | assemble | evaluate`, each with --help."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
COMMANDS = ("pretrain", "assemble", "evaluate")


def main() -> int:
    """Imports this folder as a package and runs the named command with the remaining arguments."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: python workbench/pocket {{{'|'.join(COMMANDS)}}} [options]", file=sys.stderr)
        return 2
    sys.path[:] = [path for path in sys.path if Path(path).resolve() != HERE]
    package = types.ModuleType("pocket")
    package.__path__ = [str(HERE)]
    sys.modules["pocket"] = package
    return importlib.import_module(f"pocket.{sys.argv[1]}").main(sys.argv[2:])


if __name__ == "__main__":
    raise SystemExit(main())

"""Checks the layers that `pyproject.toml` declares.

Run as `python tests/support/alias.py pack.tests.support.import_contracts`.
"""

import sys

from importlinter.cli import lint_imports
from pack.tests.support.paths import ROOT


def main() -> int:
    """0 where every import goes the way it may."""
    return lint_imports(config_filename=str(ROOT / "pyproject.toml"), cache_dir=None, no_cache=True, no_logo=True)


if __name__ == "__main__":
    sys.exit(main())

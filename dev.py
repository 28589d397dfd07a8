"""Everything a developer or a curious user does, on a fresh machine too. Needs Python 3.10 or newer, nothing else.

    python dev.py demo      train a LoRA on a small model in a real ComfyUI, then look at what it learned
    python dev.py test      all checks and tests; --quick: only those without ComfyUI; --full: every combination too;
                            the rest goes to pytest
    python dev.py ui        a ComfyUI with the pack, at the address it prints
    python dev.py lint      style, types and layers; --fix: fix what can be fixed automatically

    python dev.py workflows     write the example workflows from the nodes as they are; --run: run them for their cards
    python dev.py texts         write the tables of the help pages, list missing translations
    python dev.py sketches      draw what the recipe's grades mean, the icon and the banner
    python dev.py pictures      draw what the guide's options do; --quick: a few steps; --only NAME
    python dev.py pretrain      train the small model that the demo and the tests use; pretrain 128: its successor
    python dev.py gpu           check the pack on this machine's GPU: gpu-report.md; --short: small models only
    python dev.py bench         measure speed and memory; bench -h tells how
    python dev.py compare       compare algorithms, optimizers and objectives; --quick: a few steps; --list, --only NAME
    python dev.py faults        insert faults into a copy of the code and see which tests find them
    python dev.py rounds        make a character from one image in rounds; --quick: a few steps

The first call sets up a virtual environment (.venv), a ComfyUI (.host) and the small model (.cache). A call that was
interrupted or failed can simply be run again. `--comfyui PATH`, or COMFYUI_PATH, uses a ComfyUI of yours instead, as it
is: nothing is installed into it.
"""

from __future__ import annotations

import argparse
import os
import sys

from workbench.dev.checks import ALIAS, lint, test
from workbench.dev.installation import set_up
from workbench.dev.steps import CALM, MEASURED, ROOT, environment, succeeds

MODULES = {
    "demo": "pack.workbench.demo",
    "ui": "pack.workbench.ui",
    "workflows": "pack.workbench.examples",
    "texts": "pack.workbench.texts",
    **({"bench": "pack.workbench.bench"} if (ROOT / "workbench" / "bench").is_dir() else {}),
    "gpu": "pack.workbench.gpu",
    "compare": "pack.workbench.comparison",
    "rounds": "pack.workbench.rounds",
    "faults": "pack.workbench.faults",
    "sketches": "pack.workbench.sketches",
    "pictures": "pack.workbench.pictures",
}
"""Commands that run a module in the host's Python."""


def run_module(options: argparse.Namespace, rest: list[str]) -> int:
    """Become a part of the repository that runs in the host's Python, so that signals reach it; return its failure."""
    host = set_up(options, can_use_host_python=options.command in ("demo", "ui"))
    rest = [*rest, *(f"--{name}" for name in ("quick", "full") if getattr(options, name))]
    command = [str(host.python), str(ALIAS), MODULES[options.command], *rest]
    if os.name == "posix":
        os.chdir(ROOT)
        os.execve(command[0], command, environment(host.comfyui, MEASURED if options.command == "bench" else CALM))
    return 0 if succeeds(command, host.comfyui) else 1


def pretrain(options: argparse.Namespace, rest: list[str]) -> int:
    """Train the pocket model, or the one of 128 pixels that is to follow it."""
    python = set_up(options, needs_model=False).python
    if rest[:1] == ["128"]:
        return 0 if succeeds([python, ALIAS, "pack.workbench.pocket128", "pretrain", *rest[1:]]) else 1
    return 0 if succeeds([python, ROOT / "workbench" / "pocket", "pretrain", *rest]) else 1


COMMANDS_WITH_HELP = set(MODULES) - {"texts", "sketches"}
"""Commands with options of their own; `-h` after them is theirs."""
COMMANDS = {**dict.fromkeys(MODULES, run_module), "test": test, "lint": lint, "pretrain": pretrain}


def main() -> int:
    """Read the command line and run one command."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form, allow_abbrev=False, add_help=False)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--comfyui", metavar="PATH", help="use this ComfyUI instead of a fresh one")
    parser.add_argument("--torch-index", metavar="URL", help="package index to take PyTorch from, e.g. a CPU-only one")
    parser.add_argument("--quick", action="store_true", help="test: only what needs no ComfyUI; others: only a part")
    parser.add_argument("--full", action="store_true", help="test, faults: every combination too, as nightly")
    parser.add_argument("--fix", action="store_true", help="lint: fix what can be fixed automatically")
    if sys.argv[1:] in ([], ["-h"], ["--help"]):
        parser.print_help()
        return 0
    options, rest = parser.parse_known_args()
    is_help_wanted = bool({"-h", "--help"} & set(rest))
    if is_help_wanted and options.command not in COMMANDS_WITH_HELP:
        parser.print_help()
        return 0
    try:
        return COMMANDS[options.command](options, rest)
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again to continue: what is done already is kept.")
        return 130


if __name__ == "__main__":
    sys.exit(main())

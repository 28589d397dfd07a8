"""Puts faults into a copy of the code, one after the other, and checks that the tests find them: `dev.py faults`.

One line each: the test that found it, or that none did. `--tests COMMIT` uses the tests of a commit, `--full` runs
every combination. Exits with 1 if a fault was not found or no longer fits the code. Needs a system that can fork.
"""

import argparse
import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ...tests.support.paths import ROOT
from .faults import Fault, read_faults

LINKED = (".venv", ".host", ".cache")
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)
SLOW_TO_IMPORT = ("torch", "pytest", "hypothesis", "pytorch_optimizer", "lycoris.functional.general")


def main() -> int:
    """Run all faults, or those whose numbers are given."""
    parser = argparse.ArgumentParser(prog="dev.py faults")
    parser.add_argument("numbers", nargs="*", type=int, help="which, from 1; all if none is given")
    parser.add_argument("--tests", metavar="COMMIT", help="take the tests of this commit")
    parser.add_argument("--full", action="store_true", help="with the tests that run nightly")
    options = parser.parse_args()
    faults = list(enumerate(read_faults(), 1))
    chosen = [(n, fault) for n, fault in faults if not options.numbers or n in options.numbers]
    for name in SLOW_TO_IMPORT:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        copy = copy_repository(Path(folder) / "copy", options.tests)
        for _, fault in chosen:
            fault.file(copy)
        results = [show(number, fault, copy, is_full=options.full) for number, fault in chosen]
    print(f"{sum(results)} of {len(results)} found")
    return 0 if all(results) else 1


def copy_repository(copy: Path, tests: str | None) -> Path:
    """Copy the files that git knows, link what dev.py set up; with the tests of a commit if one is given."""
    names = git("ls-files", "-z", "--cached", "--others", "--exclude-standard").decode().split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for name in LINKED:
        if not (copy / name).exists():
            (copy / name).symlink_to(ROOT / name, target_is_directory=True)
    if tests is not None:
        shutil.rmtree(copy / "tests")
        subprocess.run(["tar", "-x", "-C", str(copy)], input=git("archive", tests, "tests"), check=True)
    return copy


def git(*arguments: str) -> bytes:
    """Return what a git command prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


def show(number: int, fault: Fault, copy: Path, *, is_full: bool) -> bool:
    """Try one fault, print its line; whether a test found it."""
    started = time.monotonic()
    found = try_out(fault, copy, is_full=is_full)
    wrong = fault.wrong.strip().replace("\n", " ")[:60]
    print(f"{number:3} {time.monotonic() - started:4.0f} s  {wrong:60}  {found or 'NOT FOUND'}", flush=True)
    return bool(found)


def try_out(fault: Fault, copy: Path, *, is_full: bool) -> str:
    """Insert the fault, run its tests, remove it again; the test that failed, or an empty string.

    Raises:
        RuntimeError: The tests did not run.
    """
    path = fault.file(copy)
    right = path.read_text(encoding="utf-8")
    path.write_text(right.replace(fault.right, fault.wrong), encoding="utf-8")
    tests = [f"tests/{name}" for name in fault.tests if (copy / "tests" / name).is_file()]
    try:
        code, said = run_pytest(copy, ["-x", "-q", "-p", "no:cacheprovider", *(["--full"] if is_full else []), *tests])
    finally:
        path.write_text(right, encoding="utf-8")
    failed = FAILED.search(said)
    if code and not failed:
        raise RuntimeError(f"the tests did not run ({code}):\n{said[-3000:]}")
    return failed[1] if failed and code else ""


def run_pytest(copy: Path, arguments: list[str]) -> tuple[int, str]:
    """Run pytest on the copy in a fork, which has the slow imports already; (exit code, what it printed)."""
    output = copy.parent / "output.txt"
    child = os.fork()
    if not child:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.chdir(copy)
        sys.dont_write_bytecode = True  # two versions of a file within a second would be one
        for name in [name for name in sys.modules if name == "pack" or name.startswith("pack.")]:
            del sys.modules[name]
        code = 3
        try:
            code = int(importlib.import_module("pytest").main(arguments))
        finally:
            sys.stdout.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), output.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(main())

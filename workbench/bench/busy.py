"""Time of the demo beside programs that keep CPU cores busy, by how its threads wait for each other."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ...tests.support.alias import ROOT
from ..dev.steps import CALM, MEASURED, TESTED
from .rounds import ALIAS

WAYS = {
    "two threads that sleep while they wait, as `dev.py` runs it": CALM,
    "one thread": TESTED,
    "two threads that spin while they wait": {**MEASURED, "OMP_WAIT_POLICY": "ACTIVE"},
}
BUSY_CORES = (0, 1, 2)
TRAINED = re.compile(r"Trained in (\d+) s")


def measure_demo(_: Path) -> dict[str, Any]:
    """Training time of the demo in seconds, by way of waiting and number of busy cores."""
    return {"seconds": {way: [_trained(variables, count) for count in BUSY_CORES] for way, variables in WAYS.items()}}


def _trained(variables: dict[str, str], count: int) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in {**CALM, **MEASURED}}
    with busy_cores(count):
        done = subprocess.run(
            [sys.executable, str(ALIAS), "pack.workbench.demo"], cwd=ROOT, env={**environment, **variables},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    found = TRAINED.search(done.stdout)
    if found is None:
        raise RuntimeError(f"the demo ended early:\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
    return int(found[1])


@contextmanager
def busy_cores(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Context in which `count` programs compute without a pause."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    time.sleep(1)  # until they compute
    try:
        yield programs
    finally:
        for program in programs:
            program.kill()
            program.wait()


def busy_table(result: dict[str, Any]) -> str:
    """One row per way of waiting, with ratios to the same way on an idle machine."""
    heads = ["alone", *(f"beside {count} busy core{'s' * (count > 1)}" for count in BUSY_CORES[1:])]
    rows = [f"| The demo trains | {' | '.join(heads)} |", f"|---{'|---' * len(heads)}|"]
    for way, seconds in result["seconds"].items():
        beside = [f"{each} s ({each / seconds[0]:.1f})" for each in seconds[1:]]
        rows.append(f"| {way} | {seconds[0]} s | {' | '.join(beside)} |")
    return "\n".join(rows)

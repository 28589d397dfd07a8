"""Measure speed and memory: `python dev.py bench [--quick | --full] [--only NAME ...]`.

Results are kept in .cache/bench/results.json, part by part, and docs/performance.md is written from them. `--quick`
takes a small U-Net, a few minutes and writes nothing. By default SD1.5 and the counts of memory; `--full` adds every
algorithm and larger pictures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..host.paths import CACHE
from .contest import Case
from .layouts import LAYOUTS, write_weights
from .plan import Comparison, comparisons
from .report import comparison_table, write_report
from .rounds import ALIAS, ROOT, compare
from .start import prepare_host

RESULTS = CACHE / "bench" / "results.json"
Part = Callable[[Path], Any]


def main() -> int:
    """Measure the chosen parts; what is measured already of the others is kept."""
    parser = argparse.ArgumentParser(prog="dev.py bench")
    parser.add_argument("--quick", action="store_true", help="a small U-Net, a few minutes, nothing is written")
    parser.add_argument("--full", action="store_true", help="also every algorithm and larger pictures")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these parts only (--list names them); none: report")
    parser.add_argument("--list", action="store_true", help="name the parts")
    options = parser.parse_args()
    prepare_host()
    layout_name = "tiny" if options.quick else "sd15"
    parts = all_parts(layout_name, is_full=options.full or options.list or options.only is not None)
    if options.list:
        print("\n".join(parts))
        return 0
    wanted = list(parts) if options.only is None else options.only
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() and not options.quick else {}
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="bench-") as scratch:
        weights = Path(scratch) / "weights.bin"
        if wanted:
            write_weights(LAYOUTS[layout_name], weights)
        for name in wanted:
            print(f"==> {name}", flush=True)
            results[name] = parts[name](weights)
            print(comparison_table(results[name]) if "entries" in results[name] else json.dumps(results[name]))
            if not options.quick:
                RESULTS.parent.mkdir(parents=True, exist_ok=True)
                RESULTS.write_text(json.dumps(results, indent=1))
    if not options.quick:
        write_report(results)
    return 0


def all_parts(layout_name: str, *, is_full: bool) -> dict[str, Part]:
    """What can be measured, by name."""
    case = Case(layout_name=layout_name, latent=32 if layout_name == "sd15" else 12)
    parts: dict[str, Part] = {
        comparison.name: _compared(comparison) for comparison in comparisons(layout_name=layout_name, is_full=is_full)
    }
    for batch in (1, 4):
        parts[f"memory {batch}"] = _started("memory", json.dumps(asdict(Case(**{**asdict(case), "batch": batch}))))
    parts["previews"] = _started("previews", layout_name)
    parts["profile"] = _started("profiled", layout_name)
    if layout_name == "sd15":
        for dtype in ("bf16", "fp8"):
            parts[f"sdxl {dtype}"] = _started("sdxl", dtype, "128")
        parts["tools"] = _started("tools")
    return parts


def _compared(comparison: Comparison) -> Part:
    def measure(weights: Path) -> dict[str, Any]:
        measured = compare(comparison.entries, weights, comparison.num_rounds)
        return {
            "title": comparison.title,
            "batch": comparison.entries[0].case.batch,
            "threads": int(os.environ.get("OMP_NUM_THREADS", "2")),
            "entries": {label: asdict(one) for label, one in measured.items()},
        }

    return measure


def _started(name: str, *arguments: str) -> Part:
    def measure(weights: Path) -> Any:
        command = [sys.executable, str(ALIAS), "pack.tests.bench.start", name, *arguments, str(weights)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name} ended early:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    return measure


if __name__ == "__main__":
    sys.exit(main())

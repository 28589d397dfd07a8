"""Measures speed and memory: `python dev.py bench [--quick | --full] [--only NAME ...] [--list]`.

Results are kept part by part in workbench/bench/results.json, together with the machine's name, and docs/performance.md
is written from them. On another machine both are kept in .cache/bench instead. `--quick` uses a small U-Net, takes a
few minutes and writes nothing: it shows that everything runs, but its ratios are not those of a real model. The default
measures SD1.5 and counts memory (half an hour, 14 GB); `--full` adds every algorithm and larger pictures (an hour).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from ...tests.support.alias import ROOT
from ...tests.support.paths import CACHE
from ..layouts import LAYOUTS, write_weights
from .busy import measure_demo
from .contest import Case
from .page import measure_page
from .plan import Comparison, comparisons
from .report import comparison_table, machine, write_report
from .rounds import ALIAS, compare
from .start import prepare_host

DOCS, KEPT = ROOT / "docs", ROOT / "workbench" / "bench" / "results.json"
OTHER = CACHE / "bench"
"""Page and results of other machines."""
QUICK_NOTE = """
A small U-Net with random weights: this shows that every contestant runs. Adapters and bookkeeping weigh far more than
with a real model, so its ratios say nothing of one. The bound is the frozen model alone; ratios are to it."""
Part = Callable[[Path], Any]
WITHOUT_WEIGHTS = {"launches", "precision", "quantized", "busy", "page"}
"""Parts that do not read the file of a U-Net's random weights."""


def main() -> int:
    """Measure the chosen parts; earlier results of other parts are kept."""
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="dev.py bench", description=__doc__, formatter_class=form)
    parser.add_argument("--quick", action="store_true", help="a small U-Net, a few minutes, nothing is written")
    parser.add_argument("--full", action="store_true", help="also every algorithm and larger pictures")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these parts only; none: only write the page")
    parser.add_argument("--list", action="store_true", help="name the parts")
    options = parser.parse_args()
    prepare_host()
    layout_name = "tiny" if options.quick else "sd15"
    parts = all_parts(layout_name, is_full=options.full or options.list or options.only is not None)
    if options.list:
        print("\n".join(parts))
        return 0
    wanted: list[str] = list(parts) if options.only is None else options.only
    unknown = [name for name in wanted if name not in parts]
    if unknown:
        parser.error(f"--only takes {', '.join(parts)}{' with --quick' * options.quick}, got {', '.join(unknown)}")
    if options.quick:
        measure(wanted, parts, layout_name, {}, None)
        print(QUICK_NOTE)
        return 0
    kept = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    is_other = bool(kept) and kept["machine"] != machine()
    results_file = OTHER / "results.json" if is_other else KEPT
    if is_other:
        kept = json.loads(results_file.read_text()) if results_file.is_file() else {}
        kept = kept if kept.get("machine") == machine() else {}
    results = {**kept, "machine": machine()}
    measure(wanted, parts, layout_name, results, results_file)
    if len(results) == 1:
        parser.error("nothing has been measured on this machine yet")
    page = write_report(results, OTHER if is_other else DOCS)
    print(f"==> written: {page}")
    return 0


def measure(
    wanted: list[str], parts: dict[str, Part], layout_name: str, results: dict[str, Any], results_file: Path | None
) -> None:
    """Measure parts in turn into `results`, saving after each."""
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="bench-") as scratch:
        weights = Path(scratch) / "weights.bin"
        if not set(wanted) <= WITHOUT_WEIGHTS:
            write_weights(LAYOUTS[layout_name], weights)
        for name in wanted:
            print(f"==> {name}", flush=True)
            result = parts[name](weights)
            print(f"{result['title']}\n\n{comparison_table(result)}" if "entries" in result else json.dumps(result))
            results[name] = {**result, "date": date.today().isoformat()}
            if results_file is not None:
                results_file.parent.mkdir(parents=True, exist_ok=True)
                results_file.write_text(json.dumps(results, indent=1) + "\n")


def all_parts(layout_name: str, *, is_full: bool) -> dict[str, Part]:
    """What can be measured, by name."""
    case = Case(layout_name=layout_name, latent=32 if layout_name == "sd15" else 12)
    parts: dict[str, Part] = {
        comparison.name: _compared(comparison) for comparison in comparisons(layout_name=layout_name, is_full=is_full)
    }
    for batch in (1, 4):
        parts[f"memory {batch}"] = _started("memory", json.dumps(asdict(Case(**{**asdict(case), "batch": batch}))))
    parts["tricks"] = _started("tricks", layout_name)
    parts["previews"] = _started("previews", layout_name)
    parts["profile"] = _started("profiled", layout_name)
    if layout_name == "sd15":
        for dtype in ("bf16", "fp8"):
            parts[f"sdxl {dtype}"] = _started("sdxl", dtype, "128")
        parts["quantized"] = _started("quantized")
        parts["both ways"] = _started("both_ways")
        parts["tools"] = _started("tools")
        parts["dataset"] = _started("dataset")
        parts["launches"] = _started("launches")
        parts["precision"] = _started("precision")
        parts["busy"] = measure_demo
        parts["page"] = measure_page
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
        command = [sys.executable, str(ALIAS), "pack.workbench.bench.start", name, *arguments, str(weights)]
        done = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name} ended early:\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    return measure


if __name__ == "__main__":
    sys.exit(main())

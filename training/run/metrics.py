"""`metrics.jsonl`: one line a step, appended; cut back to the state's step when a run goes on."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files.atomic import write_text_atomic
from ..report import StepReport


def append_metrics(path: Path, report: StepReport) -> None:
    """Adds one step's line."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(asdict(report), separators=(",", ":")) + "\n")


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Adds a line that is no step: validation, a changed rate. It must carry `step`."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Lines in order; a last line cut by a crash is left out."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield json.loads(line)
            except ValueError:
                continue


def cut_metrics(path: Path, step: int) -> None:
    """Drops every line behind `step`."""
    lines = [line for line in read_metrics(path) if line["step"] <= step]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    write_text_atomic(path, text)

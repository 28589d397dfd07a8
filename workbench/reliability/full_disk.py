"""Runs toy sessions on real file systems that are too small, of many sizes (Linux, as root: it mounts a tmpfs).

    python workbench/reliability/full_disk.py

On each the session must end with a clear error and whole files; with more room it must go on and end with the bits of
an undisturbed run. Prints the table of docs/reliability.md.
"""

import runpy
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    runpy.run_path(str(ROOT / "tests" / "support" / "alias.py"))["alias_pack"]()

import torch  # noqa: E402
from pack.tests.support.toy_runs import exit_code, final_bits, forked, left_in, session  # noqa: E402

SIZES_KB = tuple(range(4, 132, 4))


@dataclass
class Outcome:
    """Of one size."""

    error: str
    """Kind of the error the session ended with; empty if it fitted."""
    steps_saved: int
    is_whole: bool
    """No broken and no temporary file was left."""
    is_same: bool
    """With more room it reached the end with the same bits."""


def on_small_disk(folder: Path, size_kb: int, whole: dict[str, bytes]) -> Outcome:
    """A session on a file system of this size, then another with room."""
    said = folder.with_suffix(".error")
    said.write_text("")

    def body() -> None:
        try:
            session(folder)()
        except BaseException as error:
            said.write_text(type(error).__name__)

    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", str(folder)], check=True)
    try:
        exit_code(forked(body))
        left = left_in(folder / "run")
        is_whole = not left.broken and not list(folder.rglob(".*bakery-tmp"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)
        is_same = exit_code(forked(session(folder))) == 0 and final_bits(folder / "run") == whole
        return Outcome(said.read_text(), left.steps_saved, is_whole, is_same)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def main() -> None:
    """Prints the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        session(folder / "whole")()
        whole = final_bits(folder / "whole" / "run")
        outcomes = [on_small_disk(folder / str(size), size, whole) for size in SIZES_KB]
    print("| ended with | disks | step saved | files whole | same bits with more room |")
    print("| --- | --- | --- | --- | --- |")
    for error in sorted({outcome.error for outcome in outcomes}):
        these = [outcome for outcome in outcomes if outcome.error == error]
        steps = sorted({outcome.steps_saved for outcome in these})
        print(
            f"| {error or 'all steps done'} | {len(these)} | {', '.join(map(str, steps))} | "
            f"{sum(o.is_whole for o in these)} | {sum(o.is_same for o in these)} |"
        )


if __name__ == "__main__":
    main()

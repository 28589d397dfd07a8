"""Makes a character from one image in rounds, on the pocket model in a real ComfyUI: `python dev.py rounds`.

The example workflow `from_one_image` is queued again and again. Between the rounds good pictures go into the dataset
through the route that "Keep these for training" uses; a measuring tool chooses them, where a person would. Prints the
scores of every round, and of the one picture trained as long without rounds; draws docs/images/rounds.png.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence

from ..demo.scores import prompts_to_score
from ..host.paths import CACHE, ROOT, comfyui_folder
from ..host.server import ComfyServer, end_on_sigterm
from ..workflows.data import add_example_data
from .loop import OC, Loop, Scored
from .sheet import draw_sheet

FOLDER = CACHE / "rounds"
IMAGE = ROOT / "docs" / "images" / "rounds.png"
HEAD = (
    "| | images | steps | kept of drawn | identity | flexibility | prior |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def main() -> int:
    """Go the loop; 0 if everything worked."""
    parser = argparse.ArgumentParser(prog="dev.py rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120, help="steps of a round")
    parser.add_argument("--most", type=int, default=2, help="pictures kept of one node and round, at most")
    parser.add_argument("--quick", action="store_true", help="two rounds of a few steps, nothing is written")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps = 2, 4
    end_on_sigterm()
    shutil.rmtree(FOLDER, ignore_errors=True)
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    server = ComfyServer(comfyui, FOLDER, extra_args=["--use-pytorch-cross-attention"])
    try:
        server.start()
        add_example_data(server.input)
        rows, loop = go(server, options.rounds, options.steps, options.most)
    finally:
        server.stop()
    print("\n".join([*HEAD, *map(table_row, rows)]))
    picture = FOLDER / "rounds.png" if options.quick else IMAGE
    draw_sheet(loop.base, rows, prompts_to_score(OC)).save(picture, optimize=True)
    print(f"\nPicture: {picture}\nLoRAs, datasets, drawn pictures: {FOLDER}")
    return 0


def go(server: ComfyServer, rounds: int, steps: int, most: int) -> tuple[Sequence[Scored], Loop]:
    """All rounds, then the picture alone; a line is printed for each."""
    loop = Loop(server.client(), steps, most)
    rows = []
    for number in range(1, rounds + 2):
        started = time.monotonic()
        rows.append(loop.round(number, number == rounds) if number <= rounds else loop.alone())
        print(f"{table_row(rows[-1])} {time.monotonic() - started:.0f} s", flush=True)
    return rows, loop


def table_row(row: Scored) -> str:
    """A line of the table."""
    kept = f"{row.num_kept} of {row.num_drawn}" if row.num_drawn else "-"
    scores = " | ".join(f"{score:.0%}" for score in (row.identity, row.flexibility, row.prior))
    return f"| {row.title} | {row.num_images} | {row.steps} | {kept} | {scores} |"


if __name__ == "__main__":
    sys.exit(main())

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
from pathlib import Path

from ...tests.support.paths import CACHE, ROOT, comfyui_folder
from ...tests.support.server import ComfyServer, end_on_sigterm
from ..demo.scores import prompts_to_score
from ..examples.data import ONE_IMAGE, ONE_IMAGE_FOLDER, add_example_data, one_image, write_one_image
from ..pocket.characters import CHARACTERS, OriginalCharacter
from .loop import OC, Loop, Scored, Settings
from .sheet import draw_sheet

FOLDER = CACHE / "rounds"
IMAGE = ROOT / "docs" / "images" / "rounds.png"
SHEET = "rounds.png"
HEAD = (
    "| | images | steps | kept of drawn | identity | flexibility | prior | off color |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def main() -> int:
    """Go the loop; 0 if everything worked."""
    parser = argparse.ArgumentParser(prog="dev.py rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=Settings().steps, help="steps of a round")
    parser.add_argument("--most", type=int, default=2, help="pictures kept of one node and round, at most")
    parser.add_argument("--character", choices=CHARACTERS, default=OC.trigger)
    parser.add_argument("--seed", type=int, default=0, help="of training and drawing")
    parser.add_argument("--rate-factor", type=float, metavar="F", help="of Round; left out, as the example has it")
    parser.add_argument("--quick", action="store_true", help="two rounds of a few steps")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.steps = 2, 4
    settings = Settings(
        character=CHARACTERS[options.character], steps=options.steps, most=options.most, seed=options.seed,
        rate_factor=options.rate_factor,
    )  # fmt: skip
    end_on_sigterm()
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    folder = folder_of(settings)
    shutil.rmtree(folder, ignore_errors=True)
    server = ComfyServer(comfyui, folder, extra_args=["--use-pytorch-cross-attention"])
    try:
        server.start()
        add_example_data(server.input)
        if settings.character != OC:
            take_picture_of(settings.character, server.input)
        rows = go(server, settings, options.rounds)
    finally:
        server.stop()
    print("\n".join([*HEAD, *map(table_row, rows)]))
    picture = folder / SHEET
    if settings == Settings():
        picture = shutil.copy(picture, IMAGE)
    print(f"\nPicture: {picture}\nLoRAs, datasets, drawn pictures: {folder}")
    return 0


def folder_of(settings: Settings) -> Path:
    """Where all of a loop is; only one as the example has it is drawn into the documentation."""
    factor = "" if settings.rate_factor is None else f"_{settings.rate_factor:g}"
    return FOLDER / f"{settings.character.trigger}_{settings.seed}{factor}_{settings.steps}"


def take_picture_of(character: OriginalCharacter, inputs: Path) -> None:
    """Puts another character's only picture in place of the example's."""
    shutil.rmtree(inputs / ONE_IMAGE_FOLDER)
    write_one_image(inputs / ONE_IMAGE_FOLDER, character)
    one_image(character).save(inputs / ONE_IMAGE)


def go(server: ComfyServer, settings: Settings, rounds: int) -> Sequence[Scored]:
    """All rounds, then the picture alone; a line is printed for each, and the sheet drawn again."""
    loop = Loop(server.client(), settings)
    rows = []
    for number in range(1, rounds + 2):
        started = time.monotonic()
        rows.append(loop.round(number, number == rounds) if number <= rounds else loop.alone())
        print(f"{table_row(rows[-1])} {time.monotonic() - started:.0f} s", flush=True)
        draw_sheet(loop.base, rows, prompts_to_score(settings.character)).save(server.base / SHEET, optimize=True)
    return rows


def table_row(row: Scored) -> str:
    """A line of the table."""
    kept = f"{row.num_kept} of {row.num_drawn}" if row.num_drawn else "-"
    scores = " | ".join(f"{score:.0%}" for score in (row.identity, row.flexibility, row.prior, row.off_color))
    return f"| {row.title} | {row.num_images} | {row.steps} | {kept} | {scores} |"


if __name__ == "__main__":
    sys.exit(main())

"""Draws the pictures of the guide on the small test model: `python dev.py pictures [--only NAME ...]`.

Every row of a strip is a short training run. Runs and rows are kept in .cache/pictures, so that a call continues where
the last one stopped; complete strips are written into docs/images. `--quick` trains a few steps for two of them and
writes nothing into the repository.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from PIL import Image

from ...tests.support.inprocess import import_comfyui
from ...tests.support.paths import CACHE, ROOT, comfyui_folder
from .darkroom import Album, Darkroom, Scale
from .sheet import draw_sheet
from .strips import CAPTIONS, STRENGTH, STRIPS, Strip

FOLDER = CACHE / "pictures"
IMAGES = ROOT / "docs" / "images"
QUICK = Scale(most_steps=3, sampling_steps=3)


def main() -> int:
    """Draw what is missing."""
    parser = argparse.ArgumentParser(prog="dev.py pictures", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two strips of a few steps, nothing is written")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these strips: " + ", ".join(names(STRIPS)))
    options = parser.parse_args()
    if options.quick:
        with tempfile.TemporaryDirectory(prefix="pictures-", dir=CACHE) as folder:
            for _ in make(
                (CAPTIONS, STRENGTH), lambda: darkroom_in(Path(folder) / "comfyui", QUICK), Path(folder), QUICK
            ):
                pass
        return 0
    scale = Scale()
    for strip, picture in make(chosen(options.only), lambda: darkroom_in(FOLDER / "comfyui", scale), FOLDER, scale):
        picture.save(IMAGES / f"{strip.name}.png", optimize=True)
        print(f"Picture: {IMAGES / strip.name}.png", flush=True)
    return 0


def names(strips: Sequence[Strip]) -> list[str]:
    """Of the strips."""
    return [strip.name for strip in strips]


def chosen(wanted: Sequence[str] | None) -> list[Strip]:
    """Strips by name; all of them for None.

    Raises:
        SystemExit: a name is not known.
    """
    if wrong := set(wanted or ()) - set(names(STRIPS)):
        raise SystemExit(f"There is no {', '.join(sorted(wrong))}; there are {', '.join(names(STRIPS))}.")
    return [strip for strip in STRIPS if wanted is None or strip.name in wanted]


def make(
    strips: Sequence[Strip], open_darkroom: Callable[[], Darkroom], folder: Path, scale: Scale
) -> Iterator[tuple[Strip, Image.Image]]:
    """Draw strip by strip; if all rows exist, ComfyUI is not started."""
    album, darkroom = Album(folder / "rows", scale), None
    for strip in strips:
        prompts = [prompt for _, prompt in strip.columns]
        for row in strip.rows:
            if not album.has(row, prompts):
                darkroom = darkroom or open_darkroom()
                started = time.monotonic()
                album.add(row, prompts, darkroom.draw(row, prompts))
                print(f"{strip.name:14} {row.title:20} {row.detail:24} {time.monotonic() - started:5.0f} s", flush=True)
        yield strip, draw_sheet(strip, [album.take(row, prompts) for row in strip.rows])


def darkroom_in(base: Path, scale: Scale) -> Darkroom:
    """Import ComfyUI with folders of its own; possible once per process."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    return Darkroom(import_comfyui(comfyui, base, [("use_pytorch_cross_attention", True)]), scale)


if __name__ == "__main__":
    sys.exit(main())

"""Samples the held-out captions with ComfyUI, prints how often each attribute is right, and draws a sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from .assemble import CHECKPOINT, assemble
from .captions import NEW_TO_FIRST_WEIGHTS, held_out_creatures
from .characters import CHARACTERS
from .measure import accuracy_by_attribute, identity, parse_caption
from .readers import read_picture
from .sampling import PocketModel, SamplerConfig, load_pocket, sample_captions
from .weights import WEIGHTS_FOLDER
from .world import BACKGROUNDS, describe

SHEET = Path(__file__).resolve().parent / "sheet.png"
LABEL_PX = 40
ZOOM = 2


def main(arguments: list[str]) -> int:
    """The command; 0 when the sheet is written."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    pocket = load_pocket(assemble(options.checkpoint, options.weights))
    captions = [describe(creature) for creature in held_out_creatures()[: options.count]]
    config = SamplerConfig(num_steps=options.steps, cfg=options.cfg, seed=options.seed)
    pictures = sample_captions(pocket, captions, config)
    print(f"{len(captions)} captions that pretraining never used, {config.num_steps} steps, cfg {config.cfg}")
    print_accuracy(pictures, captions)
    write_sheet(options.sheet, pictures[: options.shown], captions[: options.shown])
    for trigger, score in trigger_scores(pocket, config).items():
        print(f"identity of {trigger!r} without a LoRA {score:.2f}", flush=True)
    return 0


def print_accuracy(pictures: np.ndarray, captions: list[str]) -> None:
    """Prints a row for each attribute: all captions, and those that no weights here were ever trained on."""
    new = [index for index in NEW_TO_FIRST_WEIGHTS if index < len(captions)]
    new_accuracy = accuracy_by_attribute(pictures[new], [captions[index] for index in new]) if new else {}
    print(f"{'':12s} {f'all {len(captions)}':>8s} {f'new {len(new)}':>8s}")
    for name, share in accuracy_by_attribute(pictures, captions).items():
        print(f"{name:12s} {share:8.1%} {new_accuracy.get(name, float('nan')):8.1%}", flush=True)


def trigger_scores(pocket: PocketModel, config: SamplerConfig) -> dict[str, float]:
    """How often the model draws each OC when asked for it by name: near 0 unless a LoRA is on it."""
    scores = {}
    for trigger, character in CHARACTERS.items():
        captions = [character.caption(background) for background in BACKGROUNDS]
        scores[trigger] = identity(sample_captions(pocket, captions, config), character)
    return scores


def write_sheet(path: Path, pictures: np.ndarray, captions: list[str], columns: int = 8) -> None:
    """A labeled grid: under each picture its caption, words that the picture does not follow in red."""
    side = pictures.shape[1] * ZOOM
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * side, rows * (side + LABEL_PX)), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for index, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = index % columns * side, index // columns * (side + LABEL_PX)
        sheet.paste(Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST), (x, y))
        _write_label(draw, x + 3, y + side + 2, picture, caption)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.quantize(128).save(path, optimize=True)


def _write_label(draw: ImageDraw.ImageDraw, x: int, y: int, picture: np.ndarray, caption: str) -> None:
    wanted, seen = parse_caption(caption, is_complete=True), read_picture(picture)
    lines = (("color", "body"), ("background", "top"), ("eyes",))
    for row, names in enumerate(lines):
        offset = 0
        for name in names:
            word = str(getattr(wanted, name))
            is_right = getattr(seen, name) == getattr(wanted, name)
            draw.text((x + offset, y + row * 12), word, fill=(30, 30, 30) if is_right else (210, 30, 30))
            offset += int(draw.textlength(word + "  "))


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python workbench/pocket evaluate", description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--sheet", type=Path, default=SHEET)
    parser.add_argument("--count", type=int, default=64, help="how many of the 64 held-out captions")
    parser.add_argument("--shown", type=int, default=32, help="how many of them on the sheet")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)

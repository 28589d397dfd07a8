"""The command-line arguments of the LoRA tools."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from ..networks.block_weights import BLOCK_COUNTS
from .merge import MERGE_METHODS
from .ranks import RANK_METHODS

_BLOCKS_HELP = "ALL, MIDD, IN04:0.5,OUT:-1, or numbers as LBW has them"


def build_parser(dtypes: Iterable[str]) -> argparse.ArgumentParser:
    """A parser whose result has `command` and that command's options."""
    parser = argparse.ArgumentParser(
        prog="python -m training.tools",
        description="LoRA tools for SD1.5 and SDXL; sizes, errors, time and memory are printed.",
        epilog="Run in the pack's folder, with ComfyUI's Python. `COMMAND --help` lists a command's options.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    names = list(dtypes)
    _merge(commands.add_parser("merge", help="several LoRAs into one"), names)
    _resize(commands.add_parser("resize", help="another rank"), names)
    _extract(commands.add_parser("extract", help="a LoRA from the difference of two checkpoints"), names)
    _bake(commands.add_parser("bake", help="a LoRA into a checkpoint file"))
    _convert(commands.add_parser("convert", help="other tools' names to kohya's, or kohya's to diffusers'"), names)
    inspect = commands.add_parser("inspect", help="what is in a LoRA")
    _sources(inspect)
    inspect.add_argument("--json", action="store_true", help="one JSON object a line and file, and nothing else")
    inspect.add_argument("--chart", type=Path, help="write the norms by block as a .png, or into this folder")
    inspect.add_argument("--overwrite", action="store_true", help="replace pictures that are there")
    return parser


def _merge(command: argparse.ArgumentParser, dtypes: list[str]) -> None:
    command.add_argument("loras", nargs="+", type=Path)
    command.add_argument("--strengths", nargs="+", type=float, help="one a LoRA, may be negative; default 1")
    command.add_argument("--blocks", nargs="+", help=f"block weights, one text a LoRA: {_BLOCKS_HELP}")
    command.add_argument("--method", choices=MERGE_METHODS, default="sum")
    command.add_argument("--density", type=float, default=0.5, help="share that ties and dare keep")
    command.add_argument("--seed", type=int, default=0, help="of dare's draws")
    command.add_argument("--base", type=Path, help="checkpoint, for DoRA, GLoRA, OFT, BOFT and IA3")
    _rank(command, default=0, meaning="rank, 0 = exact where it can be")
    _output(command, dtypes, "fp16")


def _resize(command: argparse.ArgumentParser, dtypes: list[str]) -> None:
    _sources(command)
    _rank(command, default=16, meaning="rank, or the most for the other methods")
    _output(command, ["keep", *dtypes], "keep")


def _extract(command: argparse.ArgumentParser, dtypes: list[str]) -> None:
    command.add_argument("original", type=Path)
    command.add_argument("tuned", type=Path)
    command.add_argument("--conv", action="store_true", help="residual blocks and samplers too")
    command.add_argument("--unet-only", action="store_true", help="leave the text encoders out")
    command.add_argument("--min-difference", type=float, default=0.0, help="leave out modules that differ by no more")
    _rank(command, default=32, meaning="rank, or the most for the other methods")
    _output(command, dtypes, "fp16")


def _bake(command: argparse.ArgumentParser) -> None:
    command.add_argument("checkpoint", type=Path)
    command.add_argument("lora", type=Path)
    command.add_argument("--strength", type=float, default=1.0)
    command.add_argument("--blocks", default="", help=f"block weights: {_BLOCKS_HELP}")
    _target(command, "the new checkpoint file")


def _convert(command: argparse.ArgumentParser, dtypes: list[str]) -> None:
    _sources(command)
    command.add_argument("--format", choices=("kohya", "diffusers"), default="kohya")
    _output(command, ["keep", *dtypes], "keep")


def _rank(command: argparse.ArgumentParser, default: int, meaning: str) -> None:
    command.add_argument("--rank", type=int, default=default, help=f"{meaning}; default {default}")
    command.add_argument("--conv-rank", type=int, help="of 3x3 convolutions; default as --rank")
    command.add_argument("--rank-method", choices=RANK_METHODS, default="fixed")
    command.add_argument(
        "--threshold",
        type=float,
        default=0.9,
        help="of the other methods; sv_fro 0.99 leaves an error of up to 14%%, 0.9 of 44%%",
    )


def _output(command: argparse.ArgumentParser, dtypes: list[str], default: str) -> None:
    _target(command, "a .safetensors file, or a folder where the source's name is kept")
    command.add_argument("--dtype", choices=dtypes, default=default, help=f"of the file; default {default}")


def _sources(command: argparse.ArgumentParser) -> None:
    command.add_argument("loras", nargs="+", metavar="LORA", help="files, folders, or patterns such as loras/*")
    command.add_argument(
        "--family", choices=tuple(BLOCK_COUNTS), help="only for files that do not tell which model they are for"
    )


def _target(command: argparse.ArgumentParser, meaning: str) -> None:
    command.add_argument("--output", "-o", type=Path, required=True, help=meaning)
    command.add_argument("--overwrite", action="store_true", help="replace files that are there")

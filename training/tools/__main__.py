"""The LoRA tools on the command line. Run in the pack's folder: `python -m training.tools COMMAND --help`."""

import argparse
import sys
import time
from pathlib import Path

import torch

from ..files.formats import Tensors, detect_family, to_diffusers, to_kohya
from ..files.lora_file import load_lora, save_lora
from .arguments import build_parser
from .bake import bake_checkpoint
from .chart import norm_chart
from .checkpoints import open_checkpoint
from .extract import ExtractSettings, extract_from_files
from .inspection import inspect_lora
from .memory import peak_memory_mib
from .merge import MergeSettings, merge
from .ranks import RankChoice
from .resize import resize
from .result_metadata import extracted_metadata, merged_metadata, resized_metadata
from .strengths import Strengths

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for what the user can put right."""
    options = build_parser(DTYPES).parse_args(arguments)
    started, worked, memory = time.perf_counter(), time.process_time(), peak_memory_mib()
    try:
        _COMMANDS[options.command](options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seconds, cpu, peak = time.perf_counter() - started, time.process_time() - worked, peak_memory_mib()
    used = (
        "" if memory is None or peak is None else f", {peak - memory:.0f} MiB of memory above the start's {memory:.0f}"
    )
    print(f"took {seconds:.1f} s ({cpu:.1f} s of processor time){used}")
    return 0


def _merge(options: argparse.Namespace) -> None:
    loras = [_load(path) for path in options.loras]
    strengths = options.strengths or [1.0] * len(loras)
    blocks = options.blocks or [""] * len(loras)
    if len(strengths) != len(loras) or len(blocks) != len(loras):
        raise ValueError(f"strengths and blocks must be one for each of {len(loras)} LoRAs")
    scaled = [
        Strengths(unet=strength, text_encoder=strength, blocks=lbw)
        for strength, lbw in zip(strengths, blocks, strict=True)
    ]
    family = detect_family({key: tensor for tensors, _ in loras for key, tensor in tensors.items()})
    settings = MergeSettings(
        method=options.method,
        choice=_choice(options) if options.rank else None,
        density=options.density,
        seed=options.seed,
        dtype=DTYPES[options.dtype],
    )
    pairs = [(tensors, scale) for (tensors, _), scale in zip(loras, scaled, strict=True)]
    if options.base is None:
        merged, report = merge(pairs, family, settings)
    else:
        with open_checkpoint(options.base) as base:
            merged, report = merge(pairs, family, settings, base.weight)
    print(report.text())
    sources = [(path.stem, metadata) for path, (_, metadata) in zip(options.loras, loras, strict=True)]
    comment = f"{options.method} at strengths {', '.join(f'{strength:g}' for strength in strengths)}"
    _save(options.output, merged, merged_metadata(sources, merged, family, comment))


def _resize(options: argparse.Namespace) -> None:
    tensors, metadata = _load(options.lora)
    family = detect_family(tensors)
    resized, report = resize(tensors, _choice(options), DTYPES.get(options.dtype))
    print(report.text())
    comment = f"resized to rank {options.rank} ({options.rank_method})"
    _save(options.output, resized, resized_metadata(metadata, resized, family, comment))


def _extract(options: argparse.Namespace) -> None:
    settings = ExtractSettings(
        choice=_choice(options),
        include_conv=options.conv,
        include_text_encoder=not options.unet_only,
        min_difference=options.min_difference,
        dtype=DTYPES[options.dtype],
    )
    tensors, report, family = extract_from_files(options.original, options.tuned, settings)
    print(report.text())
    comment = f"difference of {options.tuned.stem} to {options.original.stem}"
    _save(options.output, tensors, extracted_metadata(tensors, family, options.output.stem, comment))


def _bake(options: argparse.Namespace) -> None:
    tensors, _ = _load(options.lora)
    strengths = Strengths(unet=options.strength, text_encoder=options.strength, blocks=options.blocks)
    missing = bake_checkpoint(options.checkpoint, options.output, tensors, strengths)
    print(f"wrote {options.output.name}" + (f"; the checkpoint lacks {len(missing)} modules" if missing else ""))


def _inspect(options: argparse.Namespace) -> None:
    tensors, metadata = _load(options.lora)
    info = inspect_lora(tensors, detect_family(tensors), metadata)
    print(info.text())
    if options.chart is not None:
        norm_chart(options.lora.stem, info).save(options.chart)


def _convert(options: argparse.Namespace) -> None:
    tensors, metadata = _load(options.lora)
    converted = to_diffusers(tensors) if options.format == "diffusers" else tensors
    _save(options.output, converted, metadata, DTYPES.get(options.dtype))


def _load(path: Path) -> tuple[Tensors, dict[str, str]]:
    file = load_lora(path)
    return to_kohya(file.tensors, metadata=file.metadata), file.metadata


def _save(path: Path, tensors: Tensors, metadata: dict[str, str], dtype: torch.dtype | None = None) -> None:
    save_lora(path, tensors, metadata, dtype)
    print(f"wrote {path.name}")


def _choice(options: argparse.Namespace) -> RankChoice:
    return RankChoice(
        rank=options.rank, conv_rank=options.conv_rank, method=options.rank_method, threshold=options.threshold
    )


_COMMANDS = {
    "merge": _merge,
    "resize": _resize,
    "extract": _extract,
    "bake": _bake,
    "convert": _convert,
    "inspect": _inspect,
}


if __name__ == "__main__":
    sys.exit(main())

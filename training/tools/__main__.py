"""The LoRA tools on the command line. Run in the pack's folder: `python -m training.tools COMMAND --help`."""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from re import compile as regex

import torch

from ..base_model import ModelFamily
from ..files.formats import Tensors, detect_family, to_diffusers
from ..files.lora_file import LoraTensors, save_lora
from ..networks.foreign import load_kohya
from .arguments import build_parser
from .bake import bake_checkpoint
from .bulk import check_distinct, check_free, expand, target
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

_NUMBERS = regex(r"-[\d.]+\s*,|-\.?\d[\d.]*e[+-]?\d+$", re.IGNORECASE)
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code, 2 for errors that the user can fix."""
    words = sys.argv[1:] if arguments is None else arguments
    # A list of numbers that starts with a minus, or -1e-3, is a value: with a space before it, argparse sees that.
    options = build_parser(DTYPES).parse_args([f" {word}" if _NUMBERS.match(word) else word for word in words])
    started, worked, memory = time.perf_counter(), time.process_time(), peak_memory_mib()
    try:
        is_done = _COMMANDS[options.command](options)
    except (ValueError, OSError) as error:
        return _failed(error)
    seconds, cpu, peak = time.perf_counter() - started, time.process_time() - worked, peak_memory_mib()
    used = (
        "" if memory is None or peak is None else f", {peak - memory:.0f} MiB of memory above the start's {memory:.0f}"
    )
    if not getattr(options, "json", False):
        print(f"took {seconds:.1f} s ({cpu:.1f} s of processor time){used}")
    return 0 if is_done else 2


def _failed(error: Exception, path: Path | None = None) -> int:
    name = "" if path is None or path.name in str(error) else f"{path.name}: "
    print(f"error: {name}{error}", file=sys.stderr)
    return 2


def _each(options: argparse.Namespace, work: Callable[[argparse.Namespace, Path, list[Path]], None]) -> bool:
    """Process every file that the options name; failures are reported. True if all succeeded."""
    paths, num_failed = expand(options.loras), 0
    if any(getattr(options, name, None) is not None for name in ("output", "chart")):
        check_distinct(paths)
    for path in paths:
        if len(paths) > 1 and not getattr(options, "json", False):
            print(f"\n{path}")
        try:
            work(options, path, paths)
        except (ValueError, OSError) as error:
            num_failed += 1
            _failed(error, path)
    if num_failed and len(paths) > 1:
        print(f"{num_failed} of {len(paths)} files failed", file=sys.stderr)
    return not num_failed


def _merge(options: argparse.Namespace) -> bool:
    sources = [*options.loras, *([options.base] if options.base is not None else [])]
    output = check_free(target(Path("merged"), options.output, 1), sources, overwrite=options.overwrite)
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
    merged_from = [(path.stem, metadata) for path, (_, metadata) in zip(options.loras, loras, strict=True)]
    comment = f"{options.method} at strengths {', '.join(f'{strength:g}' for strength in strengths)}"
    _save(output, merged, merged_metadata(merged_from, merged, family, comment))
    return True


def _resize(options: argparse.Namespace, path: Path, paths: list[Path]) -> None:
    output = check_free(target(path, options.output, len(paths)), paths, overwrite=options.overwrite)
    tensors, metadata = _load(path, options.family)
    family = options.family or detect_family(tensors)
    resized, report = resize(tensors, _choice(options), DTYPES.get(options.dtype))
    print(report.text())
    comment = f"resized to rank {options.rank} ({options.rank_method})"
    _save(output, resized, resized_metadata(metadata, resized, family, comment))


def _extract(options: argparse.Namespace) -> bool:
    sources = [options.original, options.tuned]
    output = check_free(target(options.tuned, options.output, 1), sources, overwrite=options.overwrite)
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
    _save(output, tensors, extracted_metadata(tensors, family, output.stem, comment))
    return True


def _bake(options: argparse.Namespace) -> bool:
    sources = [options.checkpoint, options.lora]
    output = check_free(target(options.checkpoint, options.output, 1), sources, overwrite=options.overwrite)
    lora = LoraTensors(*_load(options.lora), options.lora.stem)
    strengths = Strengths(unet=options.strength, text_encoder=options.strength, blocks=options.blocks)
    missing = bake_checkpoint(options.checkpoint, output, lora, strengths)
    print(f"wrote {output}" + (f"; the checkpoint lacks {len(missing)} modules" if missing else ""))
    return True


def _inspect(options: argparse.Namespace, path: Path, paths: list[Path]) -> None:
    tensors, metadata = _load(path, options.family)
    info = inspect_lora(tensors, options.family or detect_family(tensors), metadata)
    print(json.dumps({"file": str(path)} | asdict(info), ensure_ascii=False) if options.json else info.text())
    if options.chart is not None:
        output = target(path, options.chart, len(paths), suffix=".png")
        check_free(output, paths, overwrite=options.overwrite)
        output.parent.mkdir(parents=True, exist_ok=True)
        norm_chart(path.stem, info).save(output)


def _convert(options: argparse.Namespace, path: Path, paths: list[Path]) -> None:
    output = check_free(target(path, options.output, len(paths)), paths, overwrite=options.overwrite)
    tensors, metadata = _load(path, options.family)
    converted = to_diffusers(tensors) if options.format == "diffusers" else tensors
    _save(output, converted, metadata, DTYPES.get(options.dtype))


def _load(path: Path, family: ModelFamily | None = None) -> tuple[Tensors, dict[str, str]]:
    file = load_kohya(path, family)
    return file.tensors, file.metadata


def _save(path: Path, tensors: Tensors, metadata: dict[str, str], dtype: torch.dtype | None = None) -> None:
    save_lora(path, tensors, metadata, dtype)
    print(f"wrote {path}")


def _choice(options: argparse.Namespace) -> RankChoice:
    return RankChoice(
        rank=options.rank, conv_rank=options.conv_rank, method=options.rank_method, threshold=options.threshold
    )


_COMMANDS = {
    "merge": _merge,
    "resize": partial(_each, work=_resize),
    "extract": _extract,
    "bake": _bake,
    "convert": partial(_each, work=_convert),
    "inspect": partial(_each, work=_inspect),
}


if __name__ == "__main__":
    sys.exit(main())

"""The section of docs/performance.md on large datasets."""

from collections.abc import Mapping
from typing import Any

PARTS = ("load", "inspect", "encode half, cancel", "encode the rest, begin", "begin again")


def dataset_section(result: Mapping[str, Any]) -> str:
    """Processor time and memory of each part by the number of pictures."""
    rows = [_row(count, found) for count, found in result["counts"].items()]
    titles = " | ".join(f"{part} CPU s | MiB" for part in PARTS)
    return (
        "## Large datasets\n\n`--only dataset`\n\n"
        "Pictures of 512 × 512, all different, each with a caption of its own. A toy model stands in for the VAE and "
        "the text encoders, whose conditioning has SDXL's shape (77 × 2048 and 1280 floats): what is left is the "
        "pack's own work. Load is Load Dataset, inspect is Inspect Dataset; the first encoding is canceled when half "
        "of the pictures are done, the next queue encodes the rest and begins to train, and a run with another seed "
        "finds all of them. MiB is the most memory in use above that of the program itself. Conditioning takes at most "
        f"{result['texts_limit_mib']:.0f} MiB of it; the rest lies in a temporary file.\n\n"
        f"| pictures | {titles} | pictures encoded | latents on disk MiB | conditioning GiB |\n"
        f"|---|{'---|' * (2 * len(PARTS))}---|---|---|\n" + "\n".join(rows)
    )


def _row(count: str, found: Mapping[str, Any]) -> str:
    parts = " | ".join("{:.1f} | {:.0f}".format(*found["parts"][part]) for part in PARTS)
    encoded = " + ".join(str(number) for number in found["encoded"])
    conditioning = int(count) * 4 * (77 * 2048 + 1280) / 2**30
    return f"| {int(count):,} | {parts} | {encoded} | {found['cache_mib']:.0f} | {conditioning:.2f} |"

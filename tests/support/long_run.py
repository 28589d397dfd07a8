"""A long finished run and a large dataset, as they lie on the disk: what a page has to cope with."""

import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from ...training.run.folder import RunFolder

RUN, SET = "0a0b0c0d0e0f", "abcdefabcdef"
PROMPTS = ("fox", "cat")


def metrics_line(step: int, total: int) -> str:
    """A line of `metrics.jsonl`, as training writes it."""
    line: dict[str, Any] = {"step": step, "loss": 1 / step, "total_steps": total, "epoch": 0, "grad_norm": 1.0}
    line |= {"learning_rates": {"unet": 1e-4}, "seconds": 0.1}
    return json.dumps({**line, "samples": [{"image": 0, "timestep": 500, "loss": 0.1}]}) + "\n"


def write_long_run(loras: Path, name: str, num_steps: int, num_previews: int) -> RunFolder:
    """A run of `num_steps` steps with that many preview pictures, two a step."""
    folder = RunFolder(loras / name, RUN)
    place = folder.previews / SET
    place.mkdir(parents=True, exist_ok=True)
    record = {"format": 1, "base": "", "dataset": "", "segments": [], "description": {}}
    folder.record.write_text(json.dumps(record))
    (folder.root / ".run" / "current").write_text(RUN)
    folder.metrics.write_text("".join(metrics_line(step, num_steps) for step in range(1, num_steps + 1)))
    (place / "settings.json").write_text(json.dumps({"prompts": PROMPTS, "width": 64, "height": 64}))
    data, every = picture(), max(1, len(PROMPTS) * num_steps // num_previews)
    for step in range(num_previews // len(PROMPTS)):
        for prompt in range(len(PROMPTS)):
            (place / f"step{step * every:06d}-{prompt:02d}.png").write_bytes(data)
    return folder


def write_large_dataset(folder: Path, num_images: int) -> None:
    """A folder of so many pictures with captions of four tags."""
    folder.mkdir(parents=True, exist_ok=True)
    data = picture()
    for number in range(num_images):
        (folder / f"{number}.png").write_bytes(data)
        (folder / f"{number}.txt").write_text(f"fox, number {number}, day, red hair")


def picture() -> bytes:
    """A small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 90, 160)).save(buffer, "PNG")
    return buffer.getvalue()

"""Large datasets: processor time and memory by the number of pictures, with a toy model, each count in its own process.

The toy model's VAE takes means and its text encoders give noise of SDXL's shape, so that what is left is the pack's own
work. `start.py dataset` prints JSON; `start.py dataset COUNT` one count.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...tests.support.paths import CACHE
from ...tests.support.toy_model import WIDTH, ToyBase, toy_request
from ...training.base_model import TextConditioning
from ...training.data.buckets import BucketSettings
from ...training.data.dataset import with_buckets
from ...training.data.folder import scan_folder
from ...training.data.gallery import draw_gallery
from ...training.data.report import describe
from ...training.loop.job import Callback
from ...training.loop.stages import Stage
from ...training.loop.texts import MEMORY_LIMIT
from ...training.session.request import Hooks, TrainRequest
from ...training.session.session import run_training
from .meters import MIB
from .rounds import ALIAS

COUNTS = (100, 1000, 5000)
SIDE_PX = 512
TAGS = ("red hair", "blue coat", "hat", "smile", "street", "night", "rain", "from behind", "sitting", "lantern")


class WideTexts(ToyBase):
    """The toy model with conditioning of SDXL's shape, of which it looks at the first few numbers."""

    def encode_text(self, captions: Sequence[str]) -> list[TextConditioning]:
        """(77, 2048) and (1280,) of noise for each caption."""
        self.num_texts += len(captions)
        return [TextConditioning(torch.rand(77, 2048), torch.rand(1280)) for _ in captions]

    def denoise(self, noisy_BCHW: Any, timestep_B: Any, texts: Sequence[TextConditioning], sizes: Any) -> Any:
        """Prediction, (B, C, H, W)."""
        narrow = [TextConditioning(text.context_LD[:4, :WIDTH]) for text in texts]
        return super().denoise(noisy_BCHW, timestep_B, narrow, sizes)


def write_pictures(folder: Path, count: int) -> None:
    """`count` different pictures as JPEG, each with a caption of its own."""
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number)
        coarse = Image.fromarray(noise.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
        tags = [TAGS[place] for place in noise.choice(len(TAGS), 5, replace=False)]
        (folder / f"{number}.txt").write_text(", ".join([*tags, f"number {number}"]))


class Stopwatch:
    """Seconds of processor time, and the peak of memory above the beginning, of named parts."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[float, float]] = {}
        self._before = _resident()

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Context that is measured."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again
        start = time.process_time()
        yield
        self.parts[part] = (time.process_time() - start, (_resident("VmHWM") - self._before) / MIB)


def _resident(field: str = "VmRSS") -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(field)))


class Canceled(Exception):
    """Stands for the host's cancel button."""


class FirstStep(Callback):
    """Ends the session where its first step begins."""

    def on_start(self, job: Any, state: Any) -> None:
        """Nothing is trained."""
        raise Canceled


def begin(request: TrainRequest, cancel_at: float = 2.0) -> int:
    """Prepare a run until its first step would begin, or until this share of its pictures is encoded.

    Returns:
        How many pictures the VAE was given.
    """
    base = request.base
    before = base.num_images

    def progress(what: str, done: int, of: int) -> None:
        if what == "encoding images" and done >= cancel_at * of:
            raise Canceled

    hooks = Hooks(
        notify=lambda text: None,
        progress=progress,
        callbacks=lambda session, saver: [FirstStep()],
        metadata=lambda session, state: {},
    )
    with suppress(Canceled):
        run_training(request, hooks)
    return int(base.num_images - before)


def measure(count: int) -> dict[str, Any]:
    """What a dataset of `count` pictures costs, part by part."""
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="bench-") as scratch:
        folder, watch, base = Path(scratch), Stopwatch(), WideTexts()
        write_pictures(folder / "pictures", count)
        with watch.of("load"):
            data = scan_folder(folder / "pictures")
        data = with_buckets(data, BucketSettings(resolution=SIDE_PX, cache="disk"))
        with watch.of("inspect"):
            describe(data, "sd15")
            draw_gallery(data, "sd15")
        request = toy_request(
            folder, base=base, dataset=data, stages=(Stage(steps=4, batch_size=1),), cache_dir=folder / "cache"
        )
        with watch.of("encode half, cancel"):
            first = begin(request, cancel_at=0.5)
        with watch.of("encode the rest, begin"):
            second = begin(request)
        with watch.of("begin again"):
            third = begin(replace(request, seed=request.seed + 1))
        size = sum(path.stat().st_size for path in (folder / "cache").rglob("*") if path.is_file())
    return {"parts": watch.parts, "encoded": [first, second, third], "cache_mib": size / MIB}


def main(arguments: list[str]) -> None:
    """Measure one count, or each in a process of its own."""
    if arguments and arguments[0].isdecimal():
        print(json.dumps(measure(int(arguments[0]))))
        return
    command = [sys.executable, str(ALIAS), "pack.workbench.bench.start", "dataset"]
    found = {}
    for count in COUNTS:
        done = subprocess.run([*command, str(count)], env=os.environ, capture_output=True, text=True, check=True)
        found[count] = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps({"counts": found, "texts_limit_mib": MEMORY_LIMIT / MIB}))

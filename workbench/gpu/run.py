"""Proves the pack on this machine's card, in a ComfyUI that is imported already."""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import comfy.model_management
import torch

from ..layouts import SD15, SDXL, TINY
from . import checks
from .card import Card
from .checks import Check
from .models import Work
from .report import write
from .versions import versions

LEFT_OUT = {
    "several cards": "start headless.py under torchrun",
    "compiled model": "train with ComfyUI's compile node",
    "other trainers": "dev.py bench compares with them",
}
"""What no run of these checks asks, and where it can be asked."""
LEFT_OUT_WHERE_SHORT = ("the other algorithms' gradients", "SD1.5 and SDXL at full size, and the limit of memory")


def run(out: Path, *, is_short: bool, options: list[str]) -> int:
    """Exit status: 0 only if all checks passed; the report is written into `out`.

    `options` are those that ComfyUI runs with.
    """
    started = time.monotonic()
    card = Card(comfy.model_management.get_torch_device())
    found: list[Check] = []
    for check in all_checks(card, is_short=is_short):
        print(check.name, {True: "held", False: "DID NOT HOLD", None: "-"}[check.held], check.figures, flush=True)
        found.append(check)
    minutes = (time.monotonic() - started) / 60
    about = {**card.describe(), **versions(options)}
    print(write(out, about, found, minutes, "short" if is_short else "all"))
    return 1 if any(check.held is False for check in found) else 0


def all_checks(card: Card, *, is_short: bool) -> Iterator[Check]:
    """All checks in order; one that fails does not stop the others."""
    small = Work(layout=TINY, device=card.device)
    half = Work(layout=TINY, device=card.device, dtype=torch.float16, latent=16)
    algorithms = checks.ALGORITHMS[:1] if is_short else checks.ALGORITHMS
    yield from _tried("gradients", partial(checks.check_gradients, small, algorithms))
    yield from _tried("types", partial(checks.check_precision, small))
    yield from _tried("stop and continue", lambda: [checks.check_continuation(small)])
    yield from _tried("preview between steps", lambda: [checks.check_preview(half)])
    yield from _tried("out of memory", lambda: [checks.check_out_of_memory(half, card)])
    real = [Work(layout=SD15, device=card.device, dtype=torch.float16, latent=64, checkpointing="off")]
    halves = (torch.float16, torch.bfloat16)
    real += [Work(layout=SDXL, device=card.device, dtype=dtype, latent=128) for dtype in halves]
    for work in [half] if is_short else [half, *real]:
        yield from _tried(f"training, {work.layout.name}", partial(_speed, work, card, 2 if is_short else 10))
    left_out = LEFT_OUT | ({name: "run it without --short" for name in LEFT_OUT_WHERE_SHORT} if is_short else {})
    yield from (Check(name, None, {"reason": reason}) for name, reason in left_out.items())


def _speed(work: Work, card: Card, steps: int) -> list[Check]:
    return [checks.check_speed(work, card, steps)]


def _tried(name: str, make: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    try:
        yield from make()
    except Exception as error:
        traceback.print_exc()
        first_line = next(iter(str(error).splitlines()), "")
        yield Check(name, False, {"error": f"{type(error).__name__}: {first_line}"})

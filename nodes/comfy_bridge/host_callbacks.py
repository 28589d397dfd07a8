"""What the host adds to a run: its progress bar, its cancel button, previews kept on disk and shown on the node."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm.auto import tqdm

from ...training.files.atomic import write_atomic, write_text_atomic
from ...training.loop.job import Callback, TrainJob, TrainState
from ...training.loop.report import StepReport
from ...training.run.folder import RunFolder
from ...training.run.identity import fingerprint
from ...training.run.saver import Saver
from ...training.watch.previews import PreviewSettings
from .host.spill import spill_warning
from .page.live import RunEvents
from .page.progress import NodeProgress, interrupt_if_cancelled, to_pil

SMOOTHING_STEPS = 20
SPILL_STEPS = 50
"""Steps between looks at the card's memory."""


class HostProgress(Callback):
    """Callback that shows each step on the node and in the terminal, and obeys the host's cancel button."""

    def __init__(self, progress: NodeProgress, events: RunEvents, opening: str, saver: Saver) -> None:
        """`opening` says whether the run is new or goes on; it stays beside the figures."""
        self._saver = saver
        self._progress = progress
        self._opening = opening
        self._events = events
        self._losses: list[float] = []
        self._seconds: list[float] = []
        self._bar: tqdm | None = None
        self._spill: str | None = None
        self.picture: Tensor | None = None
        """Shown with the next step, then cleared."""

    @property
    def has_stepped(self) -> bool:
        """True once a step was trained now."""
        return bool(self._losses)

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Opens the bars."""
        self._bar = tqdm(total=job.total_steps, initial=state.step, unit="step", desc="LoRA Bakery")
        self._progress.update(state.step, job.total_steps, self.picture)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Shows the step; raises the host's exception if the user cancelled."""
        self._losses = [*self._losses[1 - SMOOTHING_STEPS :], report.loss]
        self._seconds = [*self._seconds[1 - SMOOTHING_STEPS :], report.seconds]
        smoothed = sum(self._losses) / len(self._losses)
        assert self._bar is not None
        self._bar.update(1)
        self._bar.set_postfix(loss=f"{smoothed:.4f}", refresh=False)
        # Of steps alone: previews, pauses and saves in between would make the time left jump.
        rate = len(self._seconds) / sum(self._seconds)
        left_s = (job.total_steps - report.step) / rate
        if report.step % SPILL_STEPS == 2 and self._spill is None:
            self._spill = spill_warning(job.base.device)
            if self._spill:
                logging.warning("[LoRA Bakery] %s", self._spill)
        line = f"step {report.step}/{job.total_steps} · loss {smoothed:.4f} · {rate:.2f} it/s · {clock(left_s)} left"
        self._progress.text(" · ".join([line, self._opening, *([self._spill] if self._spill else [])]))
        self._events.step(report, smoothed, rate, left_s, self._saver.saved_step)
        picture, self.picture = self.picture, None
        self._progress.update(report.step, job.total_steps, picture)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Closes the terminal's bar."""
        if self._bar is not None:
            self._bar.close()


class PreviewStore:
    """Previews of a run on disk: one PNG a prompt and step, in a folder named by what was asked for."""

    def __init__(self, folder: RunFolder, settings: PreviewSettings) -> None:
        shown = {key: value for key, value in asdict(settings).items() if key not in ("every", "at_start")}
        self.key = fingerprint(shown)[:12]
        self.folder = folder.previews / self.key
        self.settings = settings
        self._shown = shown

    def done(self) -> list[int]:
        """Steps whose pictures are all there."""
        last = len(self.settings.prompts) - 1
        return sorted(int(path.stem.split("-")[0][4:]) for path in self.folder.glob(f"step*-{last:02d}.png"))

    def path(self, step: int, prompt: int) -> Path:
        """File of one picture."""
        return self.folder / f"step{step:06d}-{prompt:02d}.png"

    def save(self, step: int, pictures: Sequence[Tensor]) -> None:
        """Writes one step's pictures, the last prompt last, so that `done` never names half a step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = self.folder / "settings.json"
        if not about.exists():
            write_text_atomic(about, json.dumps(self._shown, ensure_ascii=False))
        for index, picture in enumerate(pictures):
            image = to_pil(picture)
            write_atomic(self.path(step, index), lambda temporary, image=image: image.save(temporary, "PNG"))

    def load(self, step: int) -> list[Tensor]:
        """(H, W, 3) floats of one step, one a prompt."""
        pictures = []
        for index in range(len(self.settings.prompts)):
            with Image.open(self.path(step, index)) as image:
                pictures.append(torch.from_numpy(np.array(image.convert("RGB"))).float() / 255.0)
        return pictures


class SaveShown(Callback):
    """Callback behind the previewer: a step with pictures gets a LoRA file too, so that it can be picked."""

    def __init__(self, saver: Saver) -> None:
        self._saver = saver
        self.step = -1
        """The step drawn last."""

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Saves unless that was done at this step."""
        if self.step == state.step != self._saver.saved_step:
            self._saver.save(job, state)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def idle() -> None:
    """Called while a run is paused: cancelling works there too."""
    interrupt_if_cancelled()

"""Pictures while training: what to sample and when. The sampler is the host's, behind a Protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from .report import StepReport
from .run.saver import final_weights
from .trainer import TrainJob, TrainState


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewSettings:
    """What is sampled. Never part of a run's identity."""

    prompts: tuple[str, ...]
    """One picture each, at least one."""
    negative: str = ""
    seed: int = 0
    """The same for every step, so that only the training differs."""
    width: int = 512
    """Pixels, a multiple of 8."""
    height: int = 512
    steps: int = 20
    """Sampling steps."""
    cfg: float = 7.0
    sampler: str = "euler"
    scheduler: str = "normal"
    every: int = 100
    """Training steps between previews; 0 = only at the start and the end."""
    at_start: bool = True
    """Also at step 0: the base model as it is."""

    def __post_init__(self) -> None:
        if not self.prompts:
            raise ValueError("prompts is empty: write at least one prompt, one a line")
        for name, pixels in (("width", self.width), ("height", self.height)):
            if pixels < 16 or pixels % 8:
                raise ValueError(f"{name} must be a multiple of 8 of at least 16 pixels, got {pixels}")
        if self.every < 0:
            raise ValueError(f"every must be 0 or more steps, got {self.every}")


class PreviewSampler(Protocol):
    """Draws one prompt with the network as it is attached now."""

    def __call__(self, prompt: str, settings: PreviewSettings) -> Tensor:
        """(H, W, 3) float32 in 0..1 on the CPU."""
        ...


OnPreview = Callable[[int, Sequence[Tensor]], None]
"""Called with step and pictures, one a prompt."""


class Previewer:
    """Callback that samples previews; training goes on with the same bits as without it."""

    def __init__(
        self, settings: PreviewSettings, sample: PreviewSampler, on_preview: OnPreview, done: Sequence[int]
    ) -> None:
        self.settings = settings
        self._sample = sample
        self._on_preview = on_preview
        self._done = set(done)

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        if state.step == 0 and self.settings.at_start:
            self.draw(job, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        is_last = report.step == job.total_steps
        if is_last or (self.settings.every and report.step % self.settings.every == 0):
            self.draw(job, state)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Nothing: a cancelled run must end at once."""

    def draw(self, job: TrainJob, state: TrainState) -> None:
        """Samples all prompts once for the current step."""
        if state.step in self._done:
            return
        job.network.train(False)
        with torch.no_grad(), final_weights(job, state):
            pictures = [self._sample(prompt, self.settings) for prompt in self.settings.prompts]
        self._done.add(state.step)
        self._on_preview(state.step, pictures)

    def try_prompt(self, job: TrainJob, state: TrainState, prompt: str, seed: int, strength: float) -> Tensor:
        """One picture of a typed prompt with the network as it is now; (H, W, 3) in 0..1."""
        job.network.train(False)
        before = job.network.strength
        job.network.strength = strength
        try:
            with torch.no_grad(), final_weights(job, state):
                return self._sample(prompt, replace(self.settings, seed=seed))
        finally:
            job.network.strength = before

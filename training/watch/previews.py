"""Pictures while training: what to sample and when. The sampler is the host's, behind a Protocol."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from ..loop.job import Callback, TrainJob, TrainState
from ..loop.report import StepReport
from ..run.saver import final_weights


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
        """Refuses what cannot be.

        Raises:
            ValueError: With the name, the range and the value of the field.
        """
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


class Previewer(Callback):
    """Callback that samples previews; training goes on with the same bits as without it."""

    def __init__(
        self,
        settings: PreviewSettings,
        sample: PreviewSampler,
        on_preview: OnPreview,
        done: Sequence[int],
        end: int | None = None,
    ) -> None:
        """`done` are the steps that were drawn before with these settings; `end` of a run that ends before its plan."""
        self.settings = settings
        self._sample = sample
        self._on_preview = on_preview
        self._done = set(done)
        self._end = end

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Draws the base model, and the current step if it is its turn and was not drawn with these settings."""
        if self.settings.at_start and 0 not in self._done:
            with job.network.disabled():
                self._on_preview(0, self._pictures())
            self._done.add(0)
        if state.step and self._is_due(job, state):
            self.draw(job, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Draws every n steps and at the end."""
        if self._is_due(job, state):
            self.draw(job, state)

    def _is_due(self, job: TrainJob, state: TrainState) -> bool:
        every = self.settings.every
        return state.step in (job.total_steps, self._end) or (every > 0 and state.step % every == 0)

    def draw(self, job: TrainJob, state: TrainState) -> None:
        """Samples all prompts once for the current step."""
        if state.step in self._done:
            return
        job.network.train(False)
        with final_weights(job, state):
            pictures = self._pictures()
        self._done.add(state.step)
        self._on_preview(state.step, pictures)

    @torch.no_grad()
    def _pictures(self) -> list[Tensor]:
        return [self._sample(prompt, self.settings) for prompt in self.settings.prompts]

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

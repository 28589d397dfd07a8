"""Preview pictures during training: what to sample and when. The host provides the sampler."""

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Protocol

import torch
from torch import Tensor

from ..loop.final_weights import final_weights
from ..loop.job import Callback, StopTraining, TrainJob, TrainState
from ..loop.out_of_memory import release
from ..loop.report import StepReport
from .control import RunControl, TryPrompt

SHORT_RUN = 8
"""Runs with fewer steps are trials: pictures in between would take longer than the training."""
AS_MODEL_SIZE, AS_MODEL_CFG, AS_MODEL_SAMPLER = 0, -1.0, "auto"
"""Values that leave a setting to the model; `model_pictures.for_model` fills them in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PreviewSettings:
    """What to sample. Never part of a run's identity."""

    prompts: tuple[str, ...]
    """One picture each at every strength, at least one."""
    negative: str = ""
    seed: int = 0
    """The same for every step, so that pictures differ by the training alone."""
    width: int = AS_MODEL_SIZE
    """Pixels, a multiple of 8; 0 = the model's."""
    height: int = AS_MODEL_SIZE
    steps: int = 20
    """Sampling steps."""
    cfg: float = AS_MODEL_CFG
    """-1 = the model's."""
    sampler: str = AS_MODEL_SAMPLER
    """`auto` = the model's."""
    scheduler: str = "normal"
    every: int | None = 100
    """Training steps between previews; 0 = only at the start and the end. None = a quarter of the run."""
    at_start: bool = True
    """Also at step 0: the base model."""
    strengths: tuple[float, ...] = (1.0,)
    """Strengths of the network for each prompt, at least one."""

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ValueError: With field, allowed range and value.
        """
        if not self.prompts:
            raise ValueError("prompts is empty: write at least one prompt, one a line")
        for name, pixels in (("width", self.width), ("height", self.height)):
            if pixels != AS_MODEL_SIZE and (pixels < 16 or pixels % 8):
                raise ValueError(f"{name} must be 0 (the model's) or a multiple of 8 from 16 pixels on, got {pixels}")
        if self.cfg < 0 and self.cfg != AS_MODEL_CFG:
            raise ValueError(f"cfg must be -1 (the model's) or 0 and more, got {self.cfg:g}")
        if not self.strengths:
            raise ValueError("strengths is empty: write at least one number, 1 is usual")
        if self.every is not None and self.every < 0:
            raise ValueError(f"every must be 0 or more steps, got {self.every}")

    def rows(self) -> list[tuple[str, float]]:
        """(prompt, strength) of each picture of a step, in their order."""
        return list(product(self.prompts, self.strengths))


class PreviewSampler(Protocol):
    """Draws one prompt with the currently attached network."""

    def __call__(self, prompt: str, settings: PreviewSettings) -> Tensor:
        """(H, W, 3) float32 in 0..1 on the CPU."""
        ...


OnPreview = Callable[[int, Sequence[Tensor]], None]
"""Called with the step and the pictures, one for each of `PreviewSettings.rows`."""
OnPicture = Callable[[TryPrompt, int, Tensor], None]
"""Called with a requested picture: request, step, (H, W, 3) in 0..1."""
OnFailure = Callable[[int, Exception], None]
"""Called with step and what went wrong."""


def _log_failure(step: int, error: Exception) -> None:
    logging.warning("[LoRA Bakery] no preview at step %d: %s", step, error)


class Previewer(Callback):
    """Samples previews without affecting training: it continues with the same bits as without them."""

    def __init__(
        self,
        settings: PreviewSettings,
        sample: PreviewSampler,
        on_preview: OnPreview,
        control: RunControl,
        *,
        done: Iterable[int] = (),
        end: int | None = None,
    ) -> None:
        """`done` are the steps already drawn with these settings.

        `end` is the last step of a run that ends before its plan.
        """
        self.settings = settings
        self._sample = sample
        self._on_preview = on_preview
        self._control = control
        self._done = set(done)
        self._end = end
        self.on_failure: OnFailure = _log_failure
        """Called when pictures cannot be drawn or kept; the run continues without them."""

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Draw the base model, and the current step if it is due and not drawn with these settings yet."""
        if self.settings.at_start and 0 not in self._done:
            with job.network.disabled():
                self._draw(0, job, state, is_base=True)
        if state.step and self._is_due(job, state):
            self.draw(job, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Draw every n steps and at the end."""
        if self._is_due(job, state):
            self.draw(job, state)

    def draw(self, job: TrainJob, state: TrainState) -> None:
        """Sample all prompts once at the current step."""
        if state.step in self._done:
            return
        job.network.train(False)
        with final_weights(job, state):
            self._draw(state.step, job, state)

    def try_prompt(self, job: TrainJob, state: TrainState, wanted: TryPrompt, show: OnPicture) -> None:
        """Draw one picture of a typed prompt with the current network, (H, W, 3) in 0..1, and show it."""
        job.network.train(False)
        rows, settings = [(wanted.prompt, wanted.strength)], replace(self.settings, seed=wanted.seed)
        with final_weights(job, state), self._survived(state.step):
            show(wanted, state.step, self._pictures(rows, settings, job, state)[0])

    def _is_due(self, job: TrainJob, state: TrainState) -> bool:
        every = self.settings.every
        if every is None:
            every = job.total_steps // 4 if job.total_steps >= SHORT_RUN else 0
        return state.step in (job.total_steps, self._end) or (every > 0 and state.step % every == 0)

    def _draw(self, step: int, job: TrainJob, state: TrainState, is_base: bool = False) -> None:
        """`is_base`: the network is off, so one picture per prompt serves for all strengths."""
        with self._control.busy("previews"), self._survived(step):
            self._done.add(step)
            times = len(self.settings.strengths)
            rows = self.settings.rows()[:: times if is_base else 1]
            pictures = self._pictures(rows, self.settings, job, state)
            self._on_preview(step, [picture for picture in pictures for _ in range(times if is_base else 1)])

    @contextmanager
    def _survived(self, step: int) -> Generator[None]:
        """Report what fails, instead of ending the run: a full GPU while sampling, a full disk while saving."""
        try:
            yield
        except StopTraining:
            raise
        except Exception as error:
            release(error)
            self.on_failure(step, error)

    def _pictures(
        self, rows: Sequence[tuple[str, float]], settings: PreviewSettings, job: TrainJob, state: TrainState
    ) -> list[Tensor]:
        before = job.network.strength
        try:
            return [self._picture(prompt, strength, settings, job, state) for prompt, strength in rows]
        finally:
            job.network.strength = before

    @torch.no_grad()
    def _picture(
        self, prompt: str, strength: float, settings: PreviewSettings, job: TrainJob, state: TrainState
    ) -> Tensor:
        # A stop should not wait for the remaining pictures, unless the run has no step to keep.
        if self._control.is_stopped and state.step:
            raise StopTraining
        job.network.strength = strength
        return self._sample(prompt, settings)

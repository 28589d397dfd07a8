"""The request and result of a training session, and what it needs from its host."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor

from ..base_model import BaseModel, Checkpointing, PartName
from ..data.dataset import Dataset
from ..data.prepared import PreparedDataset
from ..loop.job import Callback, TrainJob, TrainState
from ..loop.parallel import ALONE, Ranks
from ..loop.stages import Stage
from ..networks.settings import NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.settings import OptimizerSettings
from ..run.folder import RunFolder
from ..run.found import AfterStop, FindSettings, FoundRun, OnDatasetChange
from ..run.identity import OnMoreSteps
from ..run.saver import Saver, SaveSettings
from ..watch.diagnosis import Diagnosis


class TrainableBase(BaseModel, Protocol):
    """A base model that can be switched to training."""

    @property
    def gradient_checkpointing(self) -> Checkpointing:
        """How activations are kept for the backward pass."""
        ...

    def device_of(self, part: PartName) -> torch.device:
        """Device of a part; text encoders may be on another device than the U-Net."""
        ...

    def training(self, is_text_trained: bool) -> AbstractContextManager[None]:
        """Context in which gradients flow through the loaded weights."""
        ...


@dataclass(frozen=True, kw_only=True)
class LoraStart:
    """Start weights: another LoRA's tensors under kohya names."""

    tensors: Mapping[str, Tensor]
    key: str
    """Digest of the tensors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ValidationSettings:
    """Images that are measured, but never trained."""

    dataset: Dataset | None = None
    """A validation set. None = see `share`."""
    share: float = 0.0
    """Share of the training images to hold out if there is no set, 0 to below 1. 0 off."""
    every: int = 0
    """Steps between measurements; 0 = at every save."""

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ValueError: With field, allowed range and value.
        """
        if not 0 <= self.share < 1:
            raise ValueError(f"validation_share must be 0 (off) or more and below 1, got {self.share}")
        if self.every < 0:
            raise ValueError(f"validate_every must be 0 (at every save) or more steps, got {self.every}")


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What the user requests."""

    base: TrainableBase
    base_key: str
    """Digest of the weights of MODEL and CLIP."""
    encoder_key: str
    """Digest of the VAE; identifies cached latents."""
    dataset: Dataset
    """For every stage without its own."""
    network: NetworkSettings
    objective: ObjectiveSettings
    optimizer: OptimizerSettings
    """For every stage without its own."""
    stages: tuple[Stage, ...]
    seed: int
    root: Path
    """`<loras>/<name>`."""
    saving: SaveSettings = field(default_factory=SaveSettings)
    start: LoraStart | None = None
    on_dataset_change: OnDatasetChange = "start over"
    on_more_steps: OnMoreSteps = "add"
    after_stop: AfterStop = "go on"
    cache_dir: Path | None = None
    """Folder of latents on disk; None keeps them in RAM."""
    validation: ValidationSettings = field(default_factory=ValidationSettings)
    is_diagnosed: bool = True
    """Measure at the end which images and tags were learned; costs at most a tenth of the training time."""

    @property
    def finding(self) -> FindSettings:
        """What to do when a run on disk almost matches this one."""
        return FindSettings(
            on_dataset_change=self.on_dataset_change, on_more_steps=self.on_more_steps, after_stop=self.after_stop
        )


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """Result of a run."""

    tensors: dict[str, Tensor]
    """The LoRA, float32, kohya names."""
    folder: RunFolder
    step: int
    losses: tuple[float, ...]
    """Loss of every step of this session."""
    message: str
    """What happened, in a sentence for the node."""
    diagnosis: Diagnosis | None = None
    """Which images and tags were learned; None for a run that has not finished or was not measured."""


Measure = Literal["validation", "report"]


@dataclass(kw_only=True)
class Session:
    """A run on disk, new or continued, ready to train."""

    request: TrainRequest
    job: TrainJob
    found: FoundRun
    data: PreparedDataset
    """The training images of all stages, at their datasets' own resolution."""
    validation: PreparedDataset | None
    """Held-out images, without draws."""
    started_at: datetime
    owed: frozenset[Measure] = frozenset()
    """What an earlier session should have measured at the end but did not."""
    notes: tuple[str, ...] = ()
    """What has no effect in the request, a line each."""

    @property
    def is_settled(self) -> bool:
        """True if nothing is left to train or measure."""
        return self.found.is_finished and not self.owed

    def is_to_measure(self, measure: Measure) -> bool:
        """True if this session trains, or an earlier one ended before it measured."""
        return not self.found.is_finished or measure in self.owed


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the host adds to a session."""

    notify: Callable[[str], None]
    """Shows a short line on the node."""
    progress: Callable[[str, int, int], None]
    """(what, done, of) while preparing."""
    callbacks: Callable[[Session, Saver], Sequence[Callback]]
    """They run after the saver, so an exception in one cannot lose the current step."""
    metadata: Callable[[Session, TrainState], dict[str, str]]
    """Makes the metadata of a LoRA file."""
    ranks: Ranks = ALONE
    """The processes that run this session together, each with the same request."""

    def counting(self, what: str) -> Callable[[int, int], None]:
        """`progress` for one preparation, as a function of (done, of)."""
        return lambda done, of: self.progress(what, done, of)

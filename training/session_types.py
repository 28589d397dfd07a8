"""What a training session takes, gives back, and asks of its host."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

from torch import Tensor

from .base_model import BaseModel
from .data.dataset import Dataset
from .data.prepared import PreparedDataset
from .networks.settings import NetworkSettings
from .objective.settings import ObjectiveSettings
from .optimizers.settings import OptimizerSettings
from .run.find import FoundRun, OnDatasetChange
from .run.folder import RunFolder
from .run.saver import Saver, SaveSettings
from .stages import Stage
from .trainer import Callback, TrainJob, TrainState


class TrainableBase(BaseModel, Protocol):
    """A base model that can be opened for training."""

    def training(self, is_text_trained: bool) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, kw_only=True)
class LoraStart:
    """Weights to begin from: another LoRA's tensors under kohya names."""

    tensors: Mapping[str, Tensor]
    key: str
    """Digest of the tensors."""


@dataclass(frozen=True, kw_only=True)
class TrainRequest:
    """What a user asks for."""

    base: TrainableBase
    base_key: str
    """Digest of the weights of MODEL and CLIP."""
    encoder_key: str
    """Digest of the VAE; names cached latents."""
    dataset: Dataset
    network: NetworkSettings
    objective: ObjectiveSettings
    optimizer: OptimizerSettings
    """Of every stage that has none of its own."""
    stages: tuple[Stage, ...]
    seed: int
    root: Path
    """`<loras>/<name>`."""
    saving: SaveSettings = field(default_factory=SaveSettings)
    start: LoraStart | None = None
    on_dataset_change: OnDatasetChange = "start over"
    cache_dir: Path | None = None
    """Folder for latents on disk; None keeps them in RAM."""


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a run gives back."""

    tensors: dict[str, Tensor]
    """The LoRA, float32, kohya names."""
    folder: RunFolder
    step: int
    losses: tuple[float, ...]
    """Loss of every step done now."""
    message: str
    """What happened, in a sentence for the node."""


@dataclass(kw_only=True)
class Session:
    """A run found or begun, ready to train."""

    request: TrainRequest
    job: TrainJob
    found: FoundRun
    data: PreparedDataset
    started_at: datetime


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What the host adds to a session."""

    notify: Callable[[str], None]
    """A short line for the node."""
    progress: Callable[[str, int, int], None]
    """(what, done, of) while preparing."""
    callbacks: Callable[[Session, Saver], Sequence[Callback]]
    """They run before the saver."""
    metadata: Callable[[Session, TrainState, int], dict[str, str]]
    """Metadata of a LoRA file, from session, state and epoch."""

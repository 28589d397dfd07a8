"""A base model of some thousand parameters, and everything around it, for whole training sessions within a second."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from pack.tests.support.pictures import dataset
from pack.tests.support.tiny_networks import TinyTextEncoder, TinyUNet
from pack.training.base_model import ImageSize, ModelFamily, PartName, PredictionType, TextConditioning
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_buckets, with_captions
from pack.training.files.metadata import FINGERPRINT_KEY
from pack.training.loop.batches import epoch_at
from pack.training.loop.job import Callback, TrainJob, TrainState
from pack.training.loop.report import StepReport
from pack.training.loop.stages import Stage
from pack.training.networks.layer import own_tensor
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.saver import Saver, SaveSettings
from pack.training.session.request import Hooks, Session, TrainRequest, TrainResult
from pack.training.session.session import run_training
from torch import Tensor, nn

WIDTH = 16
NUM_TOKENS = 4
VOCABULARY = 64


class ToyTextEncoder(TinyTextEncoder):
    """Two CLIP-like layers over hashed words."""

    def __init__(self) -> None:
        super().__init__(WIDTH)
        self.register_buffer("words", torch.randn(VOCABULARY, WIDTH))

    def forward(self, tokens_L: Tensor) -> Tensor:
        """(L, D) states."""
        x = self.words[tokens_L]
        for layer in self.text_model.encoder.layers:
            query, key, value = (layer.self_attn[name](x) for name in ("q_proj", "k_proj", "v_proj"))
            x = x + layer.self_attn["out_proj"]((query @ key.mT / WIDTH**0.5).softmax(-1) @ value)
            x = x + layer.mlp["fc2"](torch.nn.functional.gelu(layer.mlp["fc1"](x)))
        return x


class ToyBase:
    """Implements `training.session_types.TrainableBase`; counts what it is asked to encode."""

    family: ModelFamily = "sd15"
    prediction_type: PredictionType = "epsilon"
    gradient_checkpointing = "off"
    device = torch.device("cpu")
    loss_scale = 1.0

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.unet = TinyUNet(WIDTH, WIDTH)
            self.text_encoder = ToyTextEncoder()
        self.unet.requires_grad_(False)
        self.text_encoder.requires_grad_(False)
        betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64).square()
        self.alphas_cumprod = (1.0 - betas).cumprod(0)
        self.num_images = self.num_texts = self.num_opened = 0
        self.on_denoise: Callable[[], None] = lambda: None

    def parts(self) -> Mapping[PartName, nn.Module]:
        """U-Net and text encoder."""
        return {"unet": self.unet, "text_encoder": self.text_encoder}

    def device_of(self, part: PartName) -> torch.device:
        """The same for all."""
        return self.device

    def frozen_tensor(self, module: nn.Module, name: str) -> Tensor:
        """The module's own."""
        return own_tensor(module, name)

    def token_ids(self, part: PartName, text: str) -> list[int]:
        """One for each word."""
        return [int(token) for token in _tokens(text)[: len(text.split())]]

    def denoise(
        self, noisy_BCHW: Tensor, timestep_B: Tensor, texts: Sequence[TextConditioning], sizes: Sequence[ImageSize]
    ) -> Tensor:
        """Prediction, (B, C, H, W)."""
        self.on_denoise()
        phases = timestep_B[:, None].float() * torch.logspace(0, -3, 8)
        emb = torch.cat([phases.sin(), phases.cos()], 1)
        return self.unet(noisy_BCHW, emb, torch.stack([text.context_LD for text in texts]))

    def encode_text(self, captions: Sequence[str]) -> list[TextConditioning]:
        """States of the first words, padded."""
        self.num_texts += len(captions)
        return [TextConditioning(self.text_encoder(_tokens(caption))) for caption in captions]

    def encode_images(self, pixels_BHWC: Tensor) -> Tensor:
        """Means of 8 x 8 pixels and a fourth channel."""
        self.num_images += len(pixels_BHWC)
        colors = torch.nn.functional.avg_pool2d(pixels_BHWC.movedim(-1, 1), 8) * 2 - 1
        return torch.cat([colors, colors.mean(1, keepdim=True)], 1)

    @contextmanager
    def training(self, is_text_trained: bool) -> Iterator[None]:
        """Nothing to prepare."""
        self.num_opened += 1
        yield


def _tokens(caption: str) -> Tensor:
    words = [*caption.replace(",", " ").split(), *[""] * NUM_TOKENS][:NUM_TOKENS]
    return torch.tensor([zlib.crc32(word.encode()) % VOCABULARY for word in words])


@cache
def toy_dataset(**captions: object) -> Dataset:
    """Five pictures in buckets of two sizes."""
    found = dataset([(64, 64), (64, 64), (128, 64), (64, 64), (128, 64)], caption="creature, red, big, number")
    found = with_buckets(found, BucketSettings(resolution=64, bucket_step=32, min_bucket_size=32, flip=True))
    return with_captions(found, CaptionSettings(**captions))


@cache
def other_dataset() -> Dataset:
    """Three pictures that `toy_dataset` does not have, in one bucket."""
    found = dataset([(64, 64)] * 3, caption="landscape, green, number", first=20)
    return with_buckets(found, BucketSettings(resolution=64, bucket_step=32, min_bucket_size=32))


def toy_request(root: Path, steps: int = 8, **changes: object) -> TrainRequest:
    """AdamW under a cosine, saved every three steps, in `root/run`."""
    settings: dict[str, object] = {
        "base_key": "toy",
        "encoder_key": "means",
        "network": NetworkSettings(rank=4, alpha=4, include=("*middle_block*",)),
        "objective": ObjectiveSettings(),
        "optimizer": OptimizerSettings(learning_rate=1e-2, schedule=ScheduleSettings(schedule="cosine")),
        "stages": (Stage(steps=steps, batch_size=2),),
        "seed": 5,
        "root": root / "run",
        "saving": SaveSettings(save_every=3, save_dtype="float32"),
        "is_diagnosed": False,
        **changes,
    }
    return TrainRequest(
        **{
            **settings,
            "base": settings["base"] if "base" in settings else ToyBase(),
            "dataset": settings["dataset"] if "dataset" in settings else toy_dataset(),
        }
    )


@dataclass
class ToyHooks:
    """Hooks that remember what they hear."""

    callbacks: tuple[Callback | Callable[[Saver], Callback], ...] = ()
    messages: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)

    def hooks(self) -> Hooks:
        """For `run_training`."""

        def add(session: Session, saver: Saver) -> Sequence[Callback]:
            self.sessions.append(session)
            return [one if isinstance(one, Callback) else one(saver) for one in self.callbacks]

        return Hooks(
            notify=self.messages.append,
            progress=lambda what, done, of: self.progress.append(what),
            callbacks=add,
            metadata=_toy_metadata,
        )


def _toy_metadata(session: Session, state: TrainState) -> dict[str, str]:
    folder, epoch = session.found.folder, epoch_at(session.job, state.step)
    record = replace(session.found.record, rate_changes=state.rate_changes)
    return {
        FINGERPRINT_KEY: record.fingerprint(state.step),
        "ss_steps": str(state.step),
        "ss_epoch": str(epoch),
        "ss_session_id": folder.run_id,
        "ss_output_name": folder.name,
    }


class SteeredHooks(ToyHooks):
    """Hooks whose callbacks can reach the saver of the session, as those of a host do."""

    saver: Saver

    def hooks(self) -> Hooks:
        """For `run_training`."""
        plain = super().hooks()

        def add(session: Session, saver: Saver) -> Sequence[Callback]:
            self.saver = saver
            return plain.callbacks(session, saver)

        return replace(plain, callbacks=add)


class At(Callback):
    """Callback that does something at one step."""

    def __init__(self, step: int, action: Callable[[TrainJob, TrainState], None]) -> None:
        self.step, self.action = step, action

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """The action, at its step."""
        if report.step == self.step:
            self.action(job, state)


def raising(step: int, error: BaseException) -> At:
    """Callback that raises at a step."""

    def action(job: TrainJob, state: TrainState) -> None:
        raise error

    return At(step, action)


def run(request: TrainRequest, *callbacks: Callback) -> TrainResult:
    """A session."""
    return run_training(request, ToyHooks(callbacks).hooks())


def with_steps(request: TrainRequest, steps: int) -> TrainRequest:
    """The request with another length of its only stage."""
    return replace(request, stages=(replace(request.stages[0], steps=steps),))

"""This pack's trainer and its lower bound, on the host's U-Net.

Shapes: B batch, C latent channels, H W latent rows and columns, L tokens, D text width.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ...nodes.comfy_bridge.model.base_model import ComfyBaseModel
from ...training.base_model import ImageSize, TextConditioning
from ...training.data.buckets import BucketSettings
from ...training.data.dataset import Dataset, with_buckets
from ...training.data.from_images import subset_from_images
from ...training.data.prepare import prepare
from ...training.data.prepared import PreparedDataset
from ...training.loop.job import Callback, TrainJob, TrainState
from ...training.loop.report import StepReport
from ...training.loop.stages import Stage, planned_stages
from ...training.loop.trainer import train
from ...training.networks.network import Network
from ...training.networks.targets import select_targets
from ...training.objective.settings import ObjectiveSettings
from ...training.optimizers.settings import OptimizerSettings
from .contest import STEPS, Case, Gate, stacked

POOLED_WIDTH = 1280


class GateCallback(Callback):
    """Takes the place of saving and previews."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Wait until the next step may start."""
        self._gate()


def train_with_pack(case: Case, model: Any, gate: Gate) -> None:
    """The pack's own loop with its default objective and AdamW."""
    base = base_model(case, model)
    job = make_job(case, base)
    with base.training(is_text_trained=False):
        job.network.attach()
        train(job, TrainState(), [GateCallback(gate)])


def train_without_model(case: Case, model: Any, gate: Gate) -> None:
    """The same loop with a free denoiser: the cost of a step outside the model."""
    base = base_model(case, model)
    job = make_job(case, base)
    parameters = [parameter for _, parameter in job.network.named_parameters()]

    def denoise(noisy_BCHW: Tensor, *_: object) -> Tensor:
        return _GivenGradients.apply(noisy_BCHW, *parameters)

    base.denoise = denoise
    train(job, TrainState(), [GateCallback(gate)])


class _GivenGradients(torch.autograd.Function):
    """Returns its noise, and small gradients for every parameter without computing them."""

    @staticmethod
    def forward(ctx: Any, noisy_BCHW: Tensor, *parameters: Tensor) -> Tensor:
        ctx.shapes = [parameter.shape for parameter in parameters]
        return noisy_BCHW.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        return None, *(grads[0].new_full(shape, 1e-3) for shape in ctx.shapes)


def base_model(case: Case, model: Any) -> ComfyBaseModel:
    """The bridge over a MODEL without text encoders and VAE, which a step does not need."""
    return ComfyBaseModel(model, None, None, case.checkpointing)


def make_job(case: Case, base: ComfyBaseModel) -> TrainJob:
    """Everything that decides a run."""
    optimizer = OptimizerSettings(optimizer=case.optimizer, learning_rate=1e-4)
    return TrainJob(
        base=base,
        network=Network.create(base.parts(), base.family, case.network(), seed=0),
        objective=ObjectiveSettings(),
        stages=planned_stages([Stage(steps=STEPS, batch_size=case.batch)], optimizer, [STEPS]),
        data=(_prepared(case),),
        texts=_Texts(case),
        seed=0,
    )


class _Texts:
    """Cached conditioning."""

    def __init__(self, case: Case) -> None:
        pooled = torch.zeros(POOLED_WIDTH) if case.layout.family == "sdxl" else None
        self._texts = [TextConditioning(context[0], pooled) for context in case.contexts()]

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]:
        """Conditioning by number, which is the caption."""
        return [self._texts[int(caption)] for caption in captions]


def _prepared(case: Case) -> PreparedDataset:
    """Pictures whose latents are drawn instead of encoded."""
    latents = case.images()
    side = 8 * case.latent
    pictures = [torch.full((side, side, 3), index / len(latents)) for index in range(len(latents))]
    subset = subset_from_images(pictures, [str(index) for index in range(len(latents))])
    dataset = with_buckets(Dataset((subset,)), BucketSettings(resolution=side, cache="ram"))
    return prepare(dataset, lambda pixels: torch.cat(latents)[: len(pixels)], case.layout.family)


def run_bound(case: Case, model: Any, gate: Gate, *, is_products_own: bool) -> None:
    """Only the frozen U-Net's forward pass and its backward pass to the first adapted layer's input.

    As the host computes it, or with this pack's products of linear layers.
    """
    base = base_model(case, model)
    root = base.parts()["unet"]
    texts, images = _Texts(case), case.images()
    timestep_B = torch.full((case.batch,), 500)
    with ExitStack() as stack:
        stack.enter_context(base.training(is_text_trained=False))
        if not is_products_own:
            _give_back_forwards(root)
        first = _first_called(case, base, root)
        stack.callback(first.register_forward_pre_hook(_begin_graph).remove)
        step = 0
        while True:
            latents_BCHW = stacked(images, step, case.batch)
            captions = [str((step * case.batch + index) % len(images)) for index in range(case.batch)]
            prediction_BCHW = base.denoise(latents_BCHW, timestep_B, texts(captions), sizes(case))
            prediction_BCHW.backward(latents_BCHW)
            del prediction_BCHW
            step += 1
            gate()


def sizes(case: Case) -> list[ImageSize]:
    """Size conditioning of a batch."""
    side = 8 * case.latent
    return [ImageSize((side, side), (0, 0), (side, side))] * case.batch


def _give_back_forwards(root: nn.Module) -> None:
    for module in root.modules():
        module.__dict__.pop("forward", None)


def _begin_graph(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return (args[0].detach().requires_grad_(), *args[1:])


def _first_called(case: Case, base: ComfyBaseModel, root: nn.Module) -> nn.Module:
    """The first adapted layer of a forward pass."""
    called: list[nn.Module] = []
    targets = select_targets({"unet": root}, base.family, case.network())
    hooks = [t.module.register_forward_pre_hook(lambda module, args: called.append(module)) for t in targets]
    with torch.no_grad():
        base.denoise(torch.zeros(1, 4, 8, 8), torch.zeros(1, dtype=torch.int64), _Texts(case)(["0"]), sizes(case)[:1])
    for hook in hooks:
        hook.remove()
    return called[0]

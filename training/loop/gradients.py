"""Losses and gradients of one optimizer step, with the loss scale that float16 needs.

Gradients that overflow are computed again with a smaller scale, which the next steps start with. The scale is part of
the saved state, so a resumed run computes the same bits.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ..data.batch import Batch
from ..devices import by_device, send, upload
from ..objective.objective import Draws, LossResult, captions_to_encode, diffusion_loss
from ..objective.timesteps import draw_timesteps
from .batches import batch_at
from .job import TrainJob, TrainState
from .parallel import Part, add_up_gradients, joined, rows_of, share_of, to_list
from .stages import PlannedStage

RESCALE = 16.0
"""Divisor of the loss scale when gradients overflow."""
FULL_SCALE_EVERY = 200
"""Steps after which the full scale is tried again, since a single image may have lowered it."""


def loss_scale(job: TrainJob, state: TrainState) -> float:
    """The scale that the next step begins with: what the last ones needed, now and then the full one."""
    full = job.base.loss_scale
    return full if state.loss_scale is None or state.step % FULL_SCALE_EVERY == 0 else min(state.loss_scale, full)


def gradients(job: TrainJob, state: TrainState, planned: PlannedStage) -> tuple[list[tuple[LossResult, Batch]], float]:
    """Losses of a step's batches and the norm of their gradients, which are clipped.

    If the base model computes in float16, the loss is scaled up; the scale that was needed is kept in the state.
    """
    micro_steps = range(planned.stage.grad_accumulation_steps)
    scale = loss_scale(job, state)
    while True:
        parts = [_backward(job, state.step, micro, scale / len(micro_steps)) for micro in micro_steps]
        add_up_gradients(job.ranks, [p for _, p in job.network.named_parameters() if p.requires_grad])
        parameters = [p for _, p in job.network.named_parameters() if p.grad is not None]
        _scale(parameters, 1.0 / scale)
        limit = planned.optimizer.max_grad_norm or math.inf
        parts, grad_norm = clip_and_read(parts, parameters, limit, job.base.device)
        results = joined(job.ranks, parts)
        if math.isfinite(grad_norm):
            state.loss_scale = None if scale == job.base.loss_scale else scale
            return results, grad_norm
        if scale <= 1.0 or not _are_finite(results):  # no scale would help
            return results, grad_norm
        for parameter in parameters:
            parameter.grad = None
        scale = max(1.0, scale / RESCALE)


def _scale(parameters: Sequence[nn.Parameter], factor: float) -> None:
    """Multiply the gradients by a number, in one kernel per device."""
    if factor == 1.0 or not math.isfinite(factor):
        return
    for together in by_device(p.grad for p in parameters if p.grad is not None).values():
        torch._foreach_mul_(together, factor)  # pyright: ignore


def clip_and_read(
    parts: Sequence[Part], parameters: Sequence[nn.Parameter], limit: float, device: torch.device
) -> tuple[list[Part], float]:
    """The losses, and the norm of the gradients, which are scaled down to a limit; the device is waited for once.

    torch clips where one device has all gradients. Where several have them, it would wait once a parameter.
    """
    groups = by_device(p.grad for p in parameters if p.grad is not None)
    if len(groups) <= 1:
        return _read(parts, [clip_grad_norm_(parameters, limit)], device)
    norms = [torch.stack(torch._foreach_norm(together)).square().sum().sqrt() for together in groups.values()]  # pyright: ignore
    parts, grad_norm = _read(parts, norms, device)
    _scale(parameters, min(1.0, limit / (grad_norm + 1e-6)))
    return parts, grad_norm


def _are_finite(results: Sequence[tuple[LossResult, Batch]]) -> bool:
    return all(bool(result.loss_B.isfinite().all()) for result, _ in results)


def _read(parts: Sequence[Part], norms: Sequence[Tensor], device: torch.device) -> tuple[list[Part], float]:
    """Read the losses and the norm in the only synchronization with the device per step."""
    results = [part.result for part in parts if part.result is not None]
    wanted = [loss.detach() for result in results for loss in (result.loss_B, result.unweighted_B)]
    wanted += [norm.reshape(1) for norm in norms]
    there = [send(tensor, device) if tensor.device.type == "cpu" else tensor.to(device) for tensor in wanted]
    numbers = iter(to_list(torch.cat(there)))
    read = iter([torch.tensor([next(numbers) for _ in range(len(loss))]) for loss in wanted[: -len(norms)]])
    parts = [part if part.result is None else part.with_losses(next(read), next(read)) for part in parts]
    return parts, math.hypot(*numbers)


def _backward(job: TrainJob, step: int, micro: int, scale: float) -> Part:
    whole = batch_at(job, step, micro)
    share = share_of(job.ranks, len(whole.captions))
    if not share.count:
        return Part(None, share, whole)
    batch = rows_of(whole, share)
    job.network.begin(job.seed, step, micro, share)
    texts = job.texts(captions_to_encode(batch.captions, job.objective))
    draws = Draws(seed=job.seed, step=step, micro_step=micro, sample_offset=share.first)
    num_timesteps = len(job.base.alphas_cumprod)
    timestep_B = draw_timesteps(job.objective, draws, len(batch.captions), num_timesteps)
    job.network.see_noise(upload([timestep_B / num_timesteps], job.base.device)[0])
    result = diffusion_loss(job.base, job.network, batch, texts, job.objective, draws)
    loss: Tensor = result.loss_B.mean() * (scale * share.weight)
    loss.backward()  # pyright: ignore[reportUnknownMemberType]
    return Part(result, share, whole)

"""One call that trains: prepares the data, finds or begins the run on disk, trains, returns the LoRA.

It knows no host: what a host adds (progress, previews, cancelling) comes in as hooks.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from .data.prepared import PreparedDataset
from .ema import Ema
from .networks.network import Network
from .report import StepReport
from .run.find import FoundRun, find_run
from .run.folder import check_name
from .run.metrics import cut_metrics
from .run.saver import Saver, final_tensors
from .run.state import restore
from .run_plan import prepare_data, run_key, stage_plans
from .session_types import Hooks, Session, TrainRequest, TrainResult
from .texts import FrozenTexts, TrainedTexts
from .trainer import StagePlan, TextSource, TrainJob, TrainState, train


def run_training(request: TrainRequest, hooks: Hooks) -> TrainResult:
    """Trains what is not trained yet and returns the LoRA.

    Raises ValueError for settings that cannot work and RuntimeError if the run's folder is in use,
    both before anything long begins.
    """
    check_name(request.root.name)
    request.root.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode(False), _locked(request.root):
        network = _network(request)
        data = prepare_data(request, hooks)
        plans = stage_plans(request, data)
        found = find_run(request.root, run_key(request, plans), request.on_dataset_change, _description(request))
        texts = _texts(request, hooks, data, network, is_needed=found.step < found.total_steps)
        with request.base.training(_is_text_trained(network)):
            network.attach()
            try:
                return _train_attached(request, hooks, data[None], plans, network, found, texts)
            finally:
                network.detach()


def _train_attached(
    request: TrainRequest,
    hooks: Hooks,
    data: PreparedDataset,
    plans: Sequence[StagePlan],
    network: Network,
    found: FoundRun,
    texts: TextSource,
) -> TrainResult:
    job = TrainJob(
        base=request.base,
        network=network,
        objective=request.objective,
        stages=tuple(_with_steps(plans[segment.stage], segment.steps) for segment in found.record.segments),
        texts=texts,
        seed=request.seed,
    )
    ema_decay = max(plan.optimizer.ema_decay for plan in plans)
    state = TrainState(ema=Ema(network.named_parameters(), ema_decay) if ema_decay else None)
    _load_weights(found, job, state)
    session = Session(request=request, job=job, found=found, data=data, started_at=datetime.now(UTC))
    message = opening_message(found)
    hooks.notify(message)
    saver = Saver(
        found.folder, request.saving, lambda now, epoch: hooks.metadata(session, now, epoch), found.is_switched
    )
    losses = _Losses()
    train(job, state, [losses, *hooks.callbacks(session, saver), saver])
    return TrainResult(
        tensors=final_tensors(job, state),
        folder=found.folder,
        step=state.step,
        losses=tuple(losses.values),
        message=message,
    )


def _load_weights(found: FoundRun, job: TrainJob, state: TrainState) -> None:
    if found.saved is not None:
        restore(found.saved, job, state)
        cut_metrics(found.folder.metrics, state.step)
    elif found.start is not None:
        for name, parameter in job.network.named_parameters():
            parameter.data.copy_(found.start.tensors[f"network/{name}"])


def opening_message(found: FoundRun) -> str:
    """What the run does, for the node."""
    step, total = found.step, found.total_steps
    if step >= total > 0:
        return f"already trained: {step} steps, nothing to do"
    if step:
        return f"continued from step {step} of {total}"
    if found.record.parent:
        return f"new run of {total} steps from the weights of run {found.record.parent} (the dataset changed)"
    return f"new run of {total} steps"


class _Losses:
    """Keeps the loss of every step, for the LOSS_MAP output."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Nothing yet."""

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        self.values.append(report.loss)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Nothing to close."""


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    (root / ".run").mkdir(exist_ok=True)
    lock = FileLock(root / ".run" / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise RuntimeError(
            f"run {root.name!r} is being trained by another ComfyUI or prompt right now. Wait for it, or give this "
            "one another name."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _network(request: TrainRequest) -> Network:
    parts = request.base.parts()
    if request.start is None:
        return Network.create(parts, request.base.family, request.network, request.seed)
    return Network.from_tensors(parts, request.base.family, dict(request.start.tensors), request.network)


def _is_text_trained(network: Network) -> bool:
    return any(group.part != "unet" for group in network.parameter_groups())


def _texts(
    request: TrainRequest, hooks: Hooks, data: dict[int | None, PreparedDataset], network: Network, is_needed: bool
) -> TextSource:
    if _is_text_trained(network):
        return TrainedTexts(request.base)
    texts = FrozenTexts(request.base)
    for prepared in data.values() if is_needed else ():
        texts.prepare(
            prepared.distinct_captions() or (), lambda done, of: hooks.progress("encoding captions", done, of)
        )
    return texts


def _with_steps(plan: StagePlan, steps: int) -> StagePlan:
    return StagePlan(stage=plan.stage, steps=steps, data=plan.data, optimizer=plan.optimizer)


def _description(request: TrainRequest) -> dict[str, object]:
    return {
        "network": repr(request.network),
        "objective": repr(request.objective),
        "stages": [repr(stage) for stage in request.stages],
        "seed": request.seed,
    }

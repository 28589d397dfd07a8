"""The start of a session: check the request, find or create its run, create its network."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..files.lora_file import load_lora
from ..files.words import remedy
from ..loop.job import TrainJob
from ..loop.parallel import Ranks, check_batch_size
from ..loop.stages import planned_stages
from ..loop.texts import FrozenTexts, TrainedTexts, is_text_trained
from ..networks.build import Attachment
from ..networks.network import Network
from ..networks.trigger import carried_by, trigger_attachments
from ..run.find import find_run, known_key
from ..run.folder import check_names_fit
from ..run.found import FoundRun
from ..run.lock import locked
from ..run.naming import check_name
from ..run.saver import SaveFailed
from .plan import PlacedData, earlier_key, hold_out, run_key, trained_dataset
from .request import TrainRequest
from .trained_network import check_fits, without_frozen_parts
from .trigger import objective_with_trigger


def checked(request: TrainRequest, ranks: Ranks) -> TrainRequest:
    """Check the request, hold out its validation images, fill in the trigger word. Creates the folder of its name.

    Raises:
        ValueError: Invalid settings.
        SaveFailed: The folder is read-only.
    """
    check_name(request.root.name)
    request = hold_out(request)
    request = replace(request, objective=objective_with_trigger(request.objective, trained_dataset(request)))
    with explained(request.root):
        check_names_fit(request.root)
    check_batch_size(ranks, (stage.batch_size for stage in request.stages))
    check_fits(request.network, request.saving.dtype)
    return request


@contextmanager
def held(root: Path) -> Generator[None]:
    """Context in which no other process trains under this name.

    Raises:
        RuntimeError: Another one does.
        SaveFailed: The folder is read-only.
    """
    with ExitStack() as stack:
        with explained(root):
            stack.enter_context(locked(root))
        yield


def continued_or_new(request: TrainRequest, data: PlacedData, ranks: Ranks) -> FoundRun:
    """The run on disk that a checked request continues, or a new one. The caller holds the lock.

    Raises:
        SaveFailed: The folder is read-only.
        Unreadable: A file of the run cannot be read now.
    """
    keys = run_key(request, data), earlier_key(request, data)
    description: dict[str, object] = {
        "network": repr(request.network),
        "objective": repr(request.objective),
        "stages": [repr(stage) for stage in request.stages],
        "seed": request.seed,
    }
    with explained(request.root):
        return ranks.from_first(
            lambda: find_run(request.root, known_key(request.root, keys), request.finding, description)
        )


def job_of(request: TrainRequest, found: FoundRun, data: PlacedData, ranks: Ranks) -> TrainJob:
    """What the run trains, with the network created, or loaded from the LoRA that is trained further."""
    network = _network(request, found)
    segments = found.record.segments
    return TrainJob(
        base=request.base,
        network=network,
        objective=request.objective,
        stages=planned_stages(
            [request.stages[segment.stage] for segment in segments],
            request.optimizer,
            [segment.steps for segment in segments],
        ),
        data=tuple(data.stages[segment.stage] for segment in segments),
        texts=TrainedTexts(request.base) if is_text_trained(network) else FrozenTexts(request.base, request.cache_dir),
        seed=request.seed,
        ranks=ranks,
    )


def _network(request: TrainRequest, found: FoundRun) -> Network:
    base, tensors = request.base, _given_weights(request, found)
    word, attachments = request.network.trigger_embedding.strip(), _attachments(request, tensors)
    if word:
        attachments = [*attachments, *trigger_attachments(base, word, tensors)]
    return Network(attachments, without_frozen_parts(request).network).to_parts(base.device_of)


def _attachments(request: TrainRequest, tensors: dict[str, Tensor] | None) -> list[Attachment]:
    """Of the modules that are adapted, fresh or from a LoRA's tensors."""
    base, trained = request.base, without_frozen_parts(request).network
    if tensors is not None:
        tensors = {key: tensor for key, tensor in tensors.items() if key not in carried_by(tensors)}
    if tensors:
        return Network.from_tensors(base.parts(), base.family, tensors, trained, read=base.frozen_tensor).attachments
    if not request.network.parts:
        return []
    # Chosen by what was asked, whose patterns may name frozen parts.
    network = Network.create(base.parts(), base.family, request.network, request.seed, base.frozen_tensor)
    return network.of_parts(trained.parts).attachments


def _given_weights(request: TrainRequest, found: FoundRun) -> dict[str, Tensor] | None:
    """Weights of a LoRA to train further, or of a kept step without a state; None for a new network."""
    if found.is_kept_step and found.saved is None:
        return load_lora(found.folder.step_loras()[found.step]).tensors
    return None if request.start is None else dict(request.start.tensors)


@contextmanager
def explained(root: Path) -> Generator[None]:
    """Inside, an error of the disk says what to do.

    Raises:
        SaveFailed: In place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise SaveFailed(
            f"nothing can be written for {root.name!r}: {error.strerror or error}. What was saved is safe. "
            f"{remedy(error, root)}, then queue again."
        ) from error

"""Runs a training session inside the host: what it shows, how it is canceled, what its files say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from ...training.files.facts import Description, GraphFacts, ModelFacts
from ...training.files.metadata import build_metadata
from ...training.loop.job import Callback, TrainState
from ...training.loop.rate_changes import described
from ...training.loop.texts import is_text_trained
from ...training.networks.network import Network
from ...training.run.saver import Saver
from ...training.session.messages import opening_text
from ...training.session.metadata import dataset_facts, facts_of_network, timestep_range, training_facts, trigger_phrase
from ...training.session.pace import Pace
from ...training.session.request import Hooks, Session, TrainRequest, TrainResult
from ...training.session.session import run_training
from ...training.watch.control_callback import ControlCallback
from ...training.watch.previews import Previewer, PreviewSampler, PreviewSettings
from .host.ranks import current_ranks
from .host.terminate import SaveOnTerminate
from .host_callbacks import HostProgress, SaveShown, ShownPreviews
from .model.base_model import ComfyBaseModel
from .model.layer_checks import checkpoint_name
from .model.model_facts import clip_skip, ends_in_noise
from .page import live
from .page.progress import NodeProgress, interrupt_if_canceled
from .preview_store import PreviewStore
from .previews import HostSampler


@dataclass(frozen=True, kw_only=True)
class GraphContext:
    """The host's information about the running node."""

    node_id: str | None
    prompt: Mapping[str, object] | None
    extra_pnginfo: Mapping[str, object] | None
    note: str = ""
    """The node's notes on its own inputs; shown beside the metrics."""

    @property
    def workflow(self) -> Mapping[str, object] | None:
        """The canvas, if the prompt came from one."""
        found = (self.extra_pnginfo or {}).get("workflow")
        return found if isinstance(found, Mapping) else None


MAX_PROMPT_SHOWN = 60


def shortened(text: str) -> str:
    """The beginning of a text that is too long for a line on a node."""
    return text if len(text) <= MAX_PROMPT_SHOWN else text[: MAX_PROMPT_SHOWN - 1] + "…"


class HostSession:
    """One BakeryTrain execution."""

    def __init__(self, base: ComfyBaseModel, preview: PreviewSettings, context: GraphContext) -> None:
        self._base = base
        self._preview = preview
        self._context = context
        self._progress = NodeProgress(context.node_id, 1)
        self._pace = Pace()
        self._shown: ShownPreviews | None = None

    def run(self, request: TrainRequest) -> TrainResult:
        """Train; the host's cancel exception is raised after everything is saved."""
        hooks = Hooks(
            notify=self._progress.text,
            progress=self._preparing,
            callbacks=self._callbacks,
            metadata=self._metadata,
            ranks=current_ranks(),
        )
        result = run_training(request, hooks)
        if self._shown is not None and self._shown.failure:
            result = replace(result, message=f"{result.message}; {self._shown.failure}")
        self._progress.text(result.message)
        return result

    def _preparing(self, what: str, done: int, of: int) -> None:
        if line := self._pace.words(what, done, of):
            self._progress.text(line)
        self._progress.update(done, of)

    def _callbacks(self, session: Session, saver: Saver) -> Sequence[Callback]:
        found, node = session.found, self._progress
        control = live.open_run(found.folder, self._context.node_id)
        events = live.RunEvents(node, found.folder)
        control.listen(lambda: events.send("state", live.status(control)))
        store = PreviewStore(found.folder, self._preview)
        shown = ShownPreviews(store, node, events, session.job.total_steps)
        previewer = Previewer(
            self._preview, self._sampler(session.job.network), shown, control,
            done=[step for step in store.done() if step <= found.step],  # later ones are trained again
            end=found.step if found.stays else None,
        )  # fmt: skip
        previewer.on_failure = shown.fail
        self._shown = shown
        opening = " · ".join(filter(None, [opening_text(session), self._context.note]))
        terminate = SaveOnTerminate()

        def idle() -> None:
            interrupt_if_canceled()
            terminate.check()

        return [
            HostProgress(node, events, opening, saver, shown),
            previewer,
            SaveShown(saver, shown),
            ControlCallback(control, saver, previewer, on_picture=events.picture, idle=idle),
            live.CloseRun(found.folder, events),
            terminate,
        ]

    def _sampler(self, network: Network) -> PreviewSampler:
        base = self._base
        sampler = HostSampler(base.model, base.clip, base.vae, is_text_trained(network), base.reclaim)

        def sample(prompt: str, settings: PreviewSettings) -> Tensor:
            self._progress.text(f'drawing "{shortened(prompt)}"')
            return sampler(prompt, settings)

        return sample

    def _metadata(self, session: Session, state: TrainState) -> dict[str, str]:
        model = ModelFacts(
            family=self._base.family,
            prediction_type=self._base.prediction_type,
            name=checkpoint_name(self._base.model),
            zero_terminal_snr=session.request.objective.zero_terminal_snr
            or ends_in_noise(self._base.prediction_type, self._base.alphas_cumprod),
            precision=self._base.precision,
            clip_skip=clip_skip(self._base.clip, self._base.family),
        )
        return build_metadata(
            model,
            facts_of_network(session),
            Description(
                title=session.found.folder.name,
                comment=described(state.rate_changes) or None,
                trigger_phrase=trigger_phrase(session),
                timestep_range=timestep_range(session),
            ),
            training_facts(session, state),
            dataset_facts(session),
            GraphFacts(workflow=self._context.workflow, prompt=self._context.prompt),
        )

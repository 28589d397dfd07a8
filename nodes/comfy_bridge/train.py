"""Runs a training session inside the host: what it shows, how it is cancelled, what its files say."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ...training.files.facts import Description, GraphFacts, ModelFacts
from ...training.files.metadata import build_metadata
from ...training.loop.job import Callback, StopTraining, TrainJob, TrainState
from ...training.loop.rate_changes import described
from ...training.run.saver import Saver
from ...training.session.metadata import dataset_facts, network_facts, training_facts
from ...training.session.plan import trained_dataset
from ...training.session.request import Hooks, Session, TrainRequest, TrainResult
from ...training.session.session import opening_message, run_training
from ...training.watch.control import ControlCallback, RunControl, TryPrompt
from ...training.watch.previews import Previewer, PreviewSettings
from .host.ranks import current_ranks
from .host.terminate import SaveOnTerminate
from .host_callbacks import HostProgress, PreviewStore, SaveShown, idle
from .model.base_model import ComfyBaseModel
from .page import live
from .page.progress import NodeProgress, sheet
from .previews import HostSampler


@dataclass(frozen=True, kw_only=True)
class GraphContext:
    """What the host says of the node that runs."""

    node_id: str | None
    prompt: Mapping[str, object] | None
    extra_pnginfo: Mapping[str, object] | None
    note: str = ""
    """What the node has to say of its own inputs; shown beside the figures."""

    @property
    def workflow(self) -> Mapping[str, object] | None:
        """The canvas, if the prompt came from one."""
        found = (self.extra_pnginfo or {}).get("workflow")
        return found if isinstance(found, Mapping) else None


def checkpoint_name(model: Any) -> str | None:
    """File name of the checkpoint a MODEL was loaded from, where the host knows it."""
    init = getattr(model, "cached_patcher_init", None)  # hosts older than this attribute do not know
    path = init[1][0] if init and init[1] and isinstance(init[1][0], str) else None
    return Path(path).name if path else None


MAX_PROMPT_SHOWN = 60
MAX_COLUMNS = 16
"""Steps on the sheet of previews."""
MAX_SHEET_WIDTH_PX = 8192


def spread(steps: Sequence[int], count: int) -> list[int]:
    """At most `count`, at least 2, of the steps, evenly spread, the first and the last among them."""
    if len(steps) <= count:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (count - 1))] for place in range(count)]


def narrowed(picture: Tensor, max_width: int) -> Tensor:
    """A (H, W, 3) picture scaled down to a width, or as it is where it is no wider."""
    height, width, _ = picture.shape
    if width <= max_width:
        return picture
    size = (max(1, round(height * max_width / width)), max_width)
    scaled_1CHW = interpolate(picture.movedim(-1, 0)[None], size, mode="bilinear", antialias=True)
    return scaled_1CHW[0].movedim(0, -1)


def shortened(text: str) -> str:
    """The beginning of a text that is long for a line on a node."""
    return text if len(text) <= MAX_PROMPT_SHOWN else text[: MAX_PROMPT_SHOWN - 1] + "…"


class HostSession:
    """One BakeryTrain execution."""

    def __init__(self, base: ComfyBaseModel, preview: PreviewSettings | None, context: GraphContext) -> None:
        self._base = base
        self._preview = preview
        self._context = context
        self._progress = NodeProgress(context.node_id, 1)
        self.previews: PreviewStore | None = None

    def run(self, request: TrainRequest) -> TrainResult:
        """Trains; the host's cancel exception passes through after everything is saved."""
        hooks = Hooks(
            notify=self._progress.text,
            progress=self._preparing,
            callbacks=self._callbacks,
            metadata=self._metadata,
            ranks=current_ranks(),
        )
        result = run_training(request, hooks)
        self._progress.text(result.message)
        return result

    def preview_sheet(self) -> Tensor:
        """(1, H, W, 3): a row a prompt, a column a step; one grey pixel block where nothing was drawn.

        Of many steps some are shown, evenly spread, with the first and the last.
        """
        if self.previews is None or not self.previews.done():
            return torch.full((1, 64, 64, 3), 0.5)
        steps = spread(self.previews.done(), MAX_COLUMNS)
        columns = [
            [narrowed(picture, MAX_SHEET_WIDTH_PX // len(steps)) for picture in self.previews.load(step)]
            for step in steps
        ]
        return sheet([list(row) for row in zip(*columns, strict=True)])

    def _preparing(self, what: str, done: int, of: int) -> None:
        self._progress.text(f"{what} {done}/{of}")
        self._progress.update(done, of)

    def _callbacks(self, session: Session, saver: Saver) -> Sequence[Callback]:
        folder = session.found.folder
        events = live.RunEvents(self._progress, folder)
        opening = [opening_message(session.found), self._context.note]
        progress = HostProgress(self._progress, events, " · ".join(filter(None, opening)), saver)
        callbacks: list[Callback] = [progress]
        shown = SaveShown(saver)
        control = live.open_run(folder, self._context.node_id)
        previewer = self._previewer(session, progress, shown, events, control) if self._preview else None
        if previewer is not None:
            callbacks += [previewer, shown]
        controls = self._control(control, saver, previewer, events)
        return [*callbacks, controls, live.CloseRun(folder, events), SaveOnTerminate()]

    def _previewer(
        self,
        session: Session,
        progress: HostProgress,
        shown: SaveShown,
        events: live.RunEvents,
        control: RunControl,
    ) -> Previewer:
        assert self._preview is not None
        is_text_trained = any(group.part != "unet" for group in session.job.network.parameter_groups())
        base = self._base
        sampler = HostSampler(base.model, base.clip, base.vae, is_text_trained, base.refresh)
        store = PreviewStore(session.found.folder, self._preview)
        self.previews = store

        def sample(prompt: str, settings: PreviewSettings) -> Tensor:
            # The pictures still to come would hold it up; but a run without any step has nothing to keep.
            if control.is_stopped and (progress.has_stepped or session.found.step):
                raise StopTraining
            if not control.doing:
                control.doing = "previews"
                events.send("state", live.status(control))
            self._progress.text(f'drawing "{shortened(prompt)}"')
            return sampler(prompt, settings)

        def on_preview(step: int, pictures: Sequence[Tensor]) -> None:
            store.save(step, pictures)
            shown.step = step
            progress.picture = sheet([list(pictures)])[0]
            self._progress.update(step, session.job.total_steps, progress.picture)
            events.send("sample", {"step": step, "set": store.key})
            if control.doing == "previews":
                control.doing = ""
                events.send("state", live.status(control))

        end = session.found.step if session.found.stays else None
        done = [step for step in store.done() if step <= session.found.step]  # later ones are trained again
        return Previewer(self._preview, sample, on_preview, done, end)

    def _control(
        self, control: RunControl, saver: Saver, previewer: Previewer | None, events: live.RunEvents
    ) -> ControlCallback:
        def save(job: TrainJob, state: TrainState) -> None:
            saver.save(job, state)

        def sample(job: TrainJob, state: TrainState) -> None:
            if previewer is not None:
                previewer.draw(job, state)
                save(job, state)

        def try_prompt(job: TrainJob, state: TrainState, wanted: TryPrompt) -> None:
            if previewer is not None:
                picture = previewer.try_prompt(job, state, wanted.prompt, wanted.seed, wanted.strength)
                events.send("try", {**asdict(wanted), "step": state.step, "picture": live.data_url(picture)})

        return ControlCallback(
            control=control,
            save=save,
            sample=sample,
            try_prompt=try_prompt,
            idle=idle,
            on_state=lambda _: events.send("state", live.status(control)),
            on_rate=saver.keep_rates,
            on_wish=lambda: events.send("state", live.status(control)),
        )

    def _metadata(self, session: Session, state: TrainState) -> dict[str, str]:
        model = ModelFacts(
            family=self._base.family,
            prediction_type=self._base.prediction_type,
            name=checkpoint_name(self._base.model),
            zero_terminal_snr=bool(self._base.alphas_cumprod[-1] < 1e-6),
        )
        return build_metadata(
            model,
            network_facts(session.request.network),
            Description(title=session.found.folder.name, comment=described(state.rate_changes) or None),
            training_facts(session, state),
            dataset_facts(trained_dataset(session.request), session.data),
            GraphFacts(workflow=self._context.workflow, prompt=self._context.prompt),
        )

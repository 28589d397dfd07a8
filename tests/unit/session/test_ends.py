"""Every way a run can end inside one process: what is saved, the message, what the next queue does."""

import gc
import json
import weakref
from contextlib import suppress
from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import At, ToyBase, ToyHooks, raising, run, toy_request
from pack.training.loop.job import Callback, StopTraining, TrainingDiverged
from pack.training.loop.out_of_memory import OutOfMemory, advice
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.run.saver import SaveFailed
from pack.training.run.stops import note_stop, stops_state
from pack.training.session import session
from pack.training.session.session import run_training
from pack.training.watch.control import RunControl
from pack.training.watch.control_callback import ControlCallback
from pack.training.watch.previews import Previewer, PreviewSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


@pytest.fixture
def request_(tmp_path):
    BASE.on_denoise = lambda: None
    return toy_request(tmp_path, base=BASE, stages=(Stage(steps=5, batch_size=2),))


def is_attached(base: ToyBase) -> bool:
    return any("forward" in vars(module) for module in base.unet.modules())


def test_done(request_):
    hooks = ToyHooks()
    result = run_training(request_, hooks.hooks())
    assert result.step == len(result.losses) == 5
    assert [text.split(";")[0] for text in hooks.messages] == ["new run of 5 steps"]
    assert list(result.folder.step_loras()) == [3, 5]
    assert list(result.folder.states()) == [3, 5]
    assert not is_attached(BASE)
    assert not result.folder.report.exists()


@pytest.mark.parametrize("error", [StopTraining(), RuntimeError("a fault"), KeyboardInterrupt()])
def test_what_was_trained_is_saved_and_the_base_is_as_before(error, request_):
    hooks = ToyHooks((raising(4, error),))
    if isinstance(error, StopTraining):
        assert run_training(request_, hooks.hooks()).step == 4
    else:
        with pytest.raises(type(error)) as caught:
            run_training(request_, hooks.hooks())
        assert caught.value is error
    folder = hooks.sessions[0].found.folder
    assert list(folder.states()) == [3, 4]
    assert [json.loads(line)["step"] for line in folder.metrics.read_text().splitlines()] == [1, 2, 3, 4]
    assert not is_attached(BASE)
    assert run(request_).message == "continued from step 4 of 5"


def test_stop_and_keep_returns_the_lora_of_the_step(request_):
    control, states = RunControl(), []
    control.listen(lambda: states.append(control.state))
    stop = At(2, lambda job, state: control.command("stop"))

    class Hooks(ToyHooks):
        def hooks(self):
            def callbacks(session, saver):
                settings = PreviewSettings(prompts=("red",), at_start=False)
                previewer = Previewer(settings, lambda *asked: torch.zeros(8, 8, 3), lambda *drawn: None, control)
                return [stop, ControlCallback(control, saver, previewer, lambda *shown: None, lambda: None)]

            return replace(super().hooks(), callbacks=callbacks)

    result = run_training(request_, Hooks().hooks())
    assert result.step == 2
    assert states == ["running", "stopping"]
    assert list(result.folder.states()) == [2]


def test_stopped_run_stays_where_that_is_wanted(request_):
    """Noted as the host notes it; nothing is encoded or trained, and the callbacks see the run begin and end."""
    stopped = run(request_, raising(2, StopTraining()))
    assert stopped.message.startswith("new run of 5 steps; stopped at step 2 and kept. Queueing again trains the rest")
    note_stop(stopped.folder, 2)
    noted = stops_state(request_.root)
    stay = replace(request_, after_stop="stay")
    num_images, heard = BASE.num_images, []
    begun = At(0, lambda job, state: heard.append(state.step))
    begun.on_start = lambda job, state: heard.append(state.step)
    kept = run(stay, begun)
    assert kept.message == "stopped at step 2 of 5 and kept (after_stop 'go on' trains the rest)"
    assert (kept.step, kept.losses, heard, BASE.num_images) == (2, (), [2], num_images)
    assert all(torch.equal(tensor, kept.tensors[name]) for name, tensor in stopped.tensors.items())
    note_stop(kept.folder, 2)
    assert stops_state(request_.root) != noted
    assert run(request_).message == "continued from step 2 of 5"
    assert run(stay).message == "already trained: 5 steps, nothing to do"


def full_memory(base: ToyBase, step: int) -> None:
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    base.on_denoise = fail


def test_out_of_memory_saves_and_says_what_would_fit(request_):
    full_memory(BASE, 3)
    request = replace(request_, network=NetworkSettings(rank=8))
    with pytest.raises(torch.OutOfMemoryError) as caught:
        run(request)
    text = str(caught.value)
    assert text.startswith("the device's memory is full at step 3. 2 steps are saved.")
    assert "gradient_checkpointing on" in text
    assert "batch_size 1 with grad_accumulation_steps 2 (now batch_size 2)" in text
    assert "a rank of 4 (now 8)" in text
    BASE.on_denoise = lambda: None
    assert run(request).message == "continued from step 2 of 5"


def full(*_):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_out_of_memory_while_encoding_says_so(request_, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OutOfMemory, match="encoded, before a step.*lower resolution"):
        patch.setattr(BASE, "encode_text", full)
        run(request_)
    assert run(request_).step == 5


def test_out_of_memory_before_the_first_step_says_so(request_, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(OutOfMemory, match="loaded, before a step.*lower rank"):
        patch.setattr(BASE, "training", lambda is_text_trained: full())
        run(request_)
    assert run(request_).step == 5


def test_out_of_memory_at_the_end_costs_the_report_alone(request_, monkeypatch):
    monkeypatch.setattr(session, "diagnosis_at_end", full)
    result = run(request_)
    assert result.step == 5 and result.diagnosis is None
    assert "no report" in result.message and "memory was full" in result.message


def test_out_of_memory_lets_go_of_the_step(request_):
    """Saving needs the memory that the failed step still holds."""
    full_memory(BASE, 3)
    seen = []

    class Look(Callback):
        def on_end(self, job, state, error):
            frames, trace = [], error.__traceback__
            while trace is not None:
                frames.append(trace.tb_frame)
                trace = trace.tb_next
            held = {name for frame in frames if frame.f_code.co_name == "_backward" for name in frame.f_locals}
            gradients = [p.grad for _, p in job.network.named_parameters() if p.grad is not None]
            seen.append((held, gradients))

    with pytest.raises(torch.OutOfMemoryError):
        run(request_, Look())
    assert seen == [(set(), [])]


def test_advice_names_only_what_is_left_to_do():
    text = advice(Stage(steps=1, batch_size=1), rank=4, gradient_checkpointing="finer")
    assert text == "a lower resolution on the buckets node"


def test_no_number_keeps_the_last_good_state(request_):
    def poison(job, state):
        with torch.no_grad():
            for _, parameter in job.network.named_parameters():
                parameter.fill_(float("nan"))

    with pytest.raises(TrainingDiverged, match=r"step 5.*loss nan.*learning rate"):
        run(request_, At(4, poison))
    again = run(request_, raising(4, StopTraining()))
    assert again.message.startswith("continued from step 3 of 5; stopped at step 4")
    assert all(bool(tensor.isfinite().all()) for tensor in again.tensors.values())


@pytest.mark.parametrize(
    ("scale", "cause"), [(1.0, "the checkpoint, a LoRA applied"), (2.0**16, "computes in float16, which overflows: ")]
)
def test_a_model_that_gives_no_numbers_is_told_from_a_high_rate(request_, scale, cause):
    base = ToyBase()
    base.loss_scale = scale
    with torch.no_grad():
        base.unet.out[2].weight.fill_(float("inf"))
    with pytest.raises(TrainingDiverged, match=rf"loss is nan.*{cause}"):
        run(replace(request_, base=base))
    assert not list(request_.root.rglob("*.state")) and not list(request_.root.rglob("*.safetensors"))


def test_exploding_loss_stops_before_it_is_saved(request_, monkeypatch):
    """Judged from step 4 on, where anything is an excess."""
    for name, value in {"MIN_SAMPLES": 6, "MIN_STEPS": 4, "WORSE": -10.0}.items():
        monkeypatch.setattr(f"pack.training.watch.judge.{name}", value)
    errors = []
    for _ in range(2):
        with pytest.raises(TrainingDiverged, match="step 4.*last 7 samples") as caught:
            run(request_)
        errors.append(str(caught.value))
    assert errors[0] == errors[1]
    assert not list(request_.root.rglob("*.state")), "that of step 3 is worth nothing either"


def full_disk(monkeypatch, after: int) -> list[str]:
    """Writes fail as on a full disk after so many files."""
    written: list[str] = []

    def sync(descriptor: int) -> None:
        written.append("file")
        if len(written) > after:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pack.training.files.atomic._sync_file", lambda path: sync(0))
    return written


BEFORE_TRAINING = 3
"""Files that are written before the first step: the name, the record, the pictures."""


@pytest.mark.parametrize("after", range(BEFORE_TRAINING + 8))
def test_full_disk_keeps_the_last_good_state(after, request_, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises((SaveFailed, OSError)) as caught:
        full_disk(patch, after)
        run(request_)
    if isinstance(caught.value, SaveFailed):
        if after >= BEFORE_TRAINING:
            assert "could not be saved: No space left on device." in str(caught.value)
            assert "queue again: the run continues from there" in str(caught.value)
        else:
            assert "nothing can be written for 'run': No space left on device." in str(caught.value)
    assert not list(request_.root.rglob(".*bakery-tmp"))
    assert run(request_).step == 5


def test_a_failing_callback_does_not_keep_others_from_their_end(request_):
    heard = []

    class Ends(Callback):
        def __init__(self, name, error=None):
            self.name, self.error = name, error

        def on_end(self, job, state, error):
            heard.append((self.name, error))
            if self.error:
                raise self.error

    fault, cancel = RuntimeError("cannot end"), KeyboardInterrupt()
    with pytest.raises(RuntimeError, match="cannot end") as caught:
        run(request_, raising(2, cancel), Ends("first", fault), Ends("second"))
    assert [name for name, _ in heard] == ["first", "second"]
    assert caught.value.__cause__ is cancel
    assert run(request_).message == "continued from step 2 of 5"


class Failing(Callback):
    """Callback whose step or end fails."""

    def __init__(self, place):
        self.place = place

    def on_step(self, job, state, report):
        if self.place == "step":
            raise RuntimeError("cannot go on")

    def on_end(self, job, state, error):
        if self.place == "end":
            raise RuntimeError("cannot end")


@pytest.mark.parametrize("place", ["step", "end"])
def test_a_failed_run_leaves_nothing_in_memory(place, request_):
    alive = []
    look = At(1, lambda job, state: alive.extend([weakref.ref(job.network), weakref.ref(state.optimizer)]))
    gc.collect()
    gc.disable()
    try:
        with suppress(RuntimeError):
            run(request_, look, Failing(place))
        assert [thing() for thing in alive] == [None, None]
    finally:
        gc.enable()


def test_name_that_cannot_be_a_folder_is_refused_before_anything(tmp_path):
    with pytest.raises(ValueError, match="name must not contain"):
        run(replace(toy_request(tmp_path), root=tmp_path / "a:b"))
    assert not list(tmp_path.iterdir())

"""A run steered from another thread: obeyed between steps, in the state it is in."""

import threading

import pytest
import torch
from pack.tests.support.toy_model import At, SteeredHooks, ToyBase, run, toy_request
from pack.training.loop.job import Callback
from pack.training.loop.stages import Stage
from pack.training.run.saver import SaveSettings
from pack.training.session.session import run_training
from pack.training.watch.control import RunControl, TryPrompt
from pack.training.watch.control_callback import ControlCallback

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


class Heard:
    """A control callback and all it was made to do."""

    def __init__(self, idle=lambda: None):
        self.log = []
        self.control = RunControl()
        self.callback = ControlCallback(
            control=self.control,
            saver=self,
            previewer=self,
            on_picture=lambda wanted, step, picture: self.log.append((wanted.prompt, step)),
            idle=idle,
        )
        self.control.listen(self.note_state)

    def note_state(self):
        if not self.log or self.control.state != next((one for one in self.log[::-1] if isinstance(one, str)), ""):
            self.log.append(self.control.state)

    def save(self, job, state):
        self.log.append(("save", state.step))

    def draw(self, job, state):
        self.log.append(("sample", state.step))

    def keep_rates(self, state):
        self.log.append(state.rate_changes)

    def try_prompt(self, job, state, wanted, show):
        """Black."""
        show(wanted, state.step, torch.zeros(8, 8, 3))

    def command_at(self, step, *command):
        return At(step, lambda job, state: self.control.command(*command))


def request_of(root):
    return toy_request(root, base=BASE, stages=(Stage(steps=5, batch_size=2),), saving=SaveSettings(save_every=100))


def test_commands_are_obeyed_once_and_in_order(tmp_path):
    heard = Heard()
    wanted = At(3, lambda job, state: heard.control.try_prompt(TryPrompt("a hat", 1)))
    run(request_of(tmp_path), heard.command_at(2, "save"), heard.command_at(2, "sample"), wanted, heard.callback)
    assert heard.log == ["running", ("save", 2), ("sample", 2), ("save", 2), ("a hat", 3)]


def test_changed_rate_holds_also_after_going_on(tmp_path):
    heard, hooks = Heard(), SteeredHooks()
    heard.keep_rates = lambda state: hooks.saver.keep_rates(state)
    rates = {}

    class Rates(Callback):
        def on_step(self, job, state, report):
            rates[report.step] = report.learning_rates["unet"]

    run(request_of(tmp_path / "plain"), Rates())
    plain = dict(rates)
    half = heard.command_at(2, "rate", 0.5)
    stop = Heard()
    hooks.callbacks = (Rates(), half, heard.callback, stop.command_at(3, "stop"), stop.callback)
    run_training(request_of(tmp_path / "a"), hooks.hooks())
    run(request_of(tmp_path / "a"), Rates())
    assert rates == {step: plain[step] * (0.5 if step > 2 else 1.0) for step in plain}


def test_pause_waits_until_resumed(tmp_path):
    rounds = []

    def idle():
        rounds.append(1)
        if len(rounds) == 2:
            threading.Thread(target=heard.control.command, args=("resume",)).start()

    heard = Heard(idle)
    result = run(request_of(tmp_path), heard.command_at(2, "pause"), heard.callback)
    assert heard.log == ["running", "paused", "running"]
    assert len(rounds) >= 2
    assert result.step == 5


def test_canceling_and_stopping_work_while_paused(tmp_path):
    class Canceled(BaseException): ...

    def cancel():
        raise Canceled

    heard = Heard(cancel)
    with pytest.raises(Canceled):
        run(request_of(tmp_path), heard.command_at(2, "pause"), heard.callback)
    stopping = Heard(lambda: stopping.control.command("stop"))
    result = run(request_of(tmp_path), stopping.command_at(3, "pause"), stopping.callback)
    assert result.message.startswith("continued from step 2 of 5; stopped at step 3 and kept")
    assert result.step == 3


def test_saving_now_and_sampling_now_change_no_bit(tmp_path):
    plain = run(request_of(tmp_path / "a"))
    heard = Heard()
    steered = run(
        request_of(tmp_path / "b"), heard.command_at(2, "save"), heard.command_at(3, "sample"), heard.callback
    )
    assert all(torch.equal(plain.tensors[name], steered.tensors[name]) for name in plain.tensors)


@pytest.mark.parametrize("command", [("explode",), ("rate", 0.0), ("rate", float("nan")), ("rate", 1e4)])
def test_what_makes_no_sense_is_refused(command):
    with pytest.raises(ValueError, match=r"unknown command|factor must be"):
        RunControl().command(*command)


def test_what_is_wanted_waits_until_it_is_done(tmp_path):
    """A step or a picture may take long: until it ends, the page shows the pending command and the current activity."""
    seen = []

    def look():
        seen.append((control.state, control.waiting, control.doing))

    heard = Heard(lambda: control.command("resume") if control.waiting == () else None)
    control = heard.control
    control.listen(look)
    wanted = At(2, lambda job, state: [control.command(name) for name in ("save", "pause")])
    wanted_look = At(2, lambda job, state: look())
    run(request_of(tmp_path), wanted, wanted_look, heard.callback)
    assert seen == [
        ("running", (), ""),
        ("running", ("pause", "save"), ""),
        ("running", ("pause", "save"), "save"),
        ("running", ("pause",), ""),
        ("paused", (), ""),
        ("running", (), ""),
    ]
    assert (control.state, control.waiting) == ("running", ())
    assert heard.log == [("save", 2)]


def test_every_command_waits_until_it_is_taken():
    control = RunControl()
    for name in ("pause", "stop", "save", "sample"):
        control.command(name)
    control.command("rate", 0.5)
    control.try_prompt(TryPrompt("a hat", 1))
    assert control.waiting == ("pause", "stop", "save", "sample", "rate", "try")
    control.take(), control.take_prompts()
    assert control.waiting == ("pause", "stop")
    control.state = "paused"
    control.command("resume")
    assert control.waiting == ("resume", "stop")

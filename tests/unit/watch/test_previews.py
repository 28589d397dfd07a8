"""When pictures are drawn, with which weights, and that the same is never drawn twice."""

import errno
from functools import partial

import pytest
import torch
from pack.tests.support.toy_model import ToyBase, raising, run, toy_request
from pack.training.loop.job import Callback, StopTraining
from pack.training.loop.stages import Stage
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.session.request import ValidationSettings
from pack.training.watch.control import RunControl, TryPrompt
from pack.training.watch.previews import Previewer, PreviewSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


def request_of(root, **changes):
    return toy_request(root, base=BASE, stages=(Stage(steps=5, batch_size=2),), **changes)


class Drawn:
    """Previewers of one set of settings, and their pictures by step."""

    def __init__(self, **settings):
        self.settings = PreviewSettings(prompts=("red", "big"), **settings)
        self.pictures = {}

    def sample(self, prompt, settings):
        assert not torch.is_grad_enabled()
        text = BASE.encode_text([prompt])
        return BASE.denoise(torch.ones(1, 4, 8, 8), torch.tensor([500]), text, [])[0]

    def previewer(self):
        return Previewer(self.settings, self.sample, self.pictures.__setitem__, RunControl(), done=self.pictures)


@pytest.mark.parametrize(
    ("settings", "steps"),
    [({"every": 2}, [0, 2, 4, 5]), ({"every": 0}, [0, 5]), ({"every": 2, "at_start": False}, [2, 4, 5])],
)
def test_steps(settings, steps, tmp_path):
    drawn = Drawn(**settings)
    run(request_of(tmp_path), drawn.previewer())
    assert list(drawn.pictures) == steps


@pytest.mark.parametrize(
    ("stages", "changes", "steps"),
    [
        ((Stage(steps=8),), {}, [0, 2, 4, 6, 8]),
        ((Stage(steps=7),), {}, [0, 7]),
        # 5 images in two buckets of 3 and 2: an epoch is 5 batches of one image, or 3 of two.
        ((Stage(epochs=2, batch_size=2), Stage(epochs=2)), {}, [0, 4, 8, 12, 16]),
        ((Stage(epochs=4),), {"validation": ValidationSettings(share=0.4)}, [0, 3, 6, 9, 12]),
    ],
)
def test_a_quarter_of_the_run_where_nothing_is_said(stages, changes, steps, tmp_path):
    drawn = Drawn(every=None)
    run(toy_request(tmp_path, base=BASE, stages=stages, **changes), drawn.previewer())
    assert list(drawn.pictures) == steps


@pytest.mark.parametrize(
    ("call", "every"), [(1, 1), (3, 3)], ids=["before the first step", "at the first picture of step 3"]
)
def test_a_stop_is_not_held_up_by_pictures(call, every, tmp_path):
    """But a run without any step has nothing to keep, so it trains one."""
    drawn, control, asked = Drawn(every=every), RunControl(), []

    def sample(prompt, settings):
        asked.append(prompt)
        if len(asked) == call:
            control.command("stop")
        return drawn.sample(prompt, settings)

    previewer = Previewer(drawn.settings, sample, drawn.pictures.__setitem__, control)
    result = run(request_of(tmp_path), previewer)
    assert (result.step, list(drawn.pictures), len(asked)) == (every, [0], max(2, call))
    assert control.doing == ""


def test_a_run_that_goes_on_draws_what_is_missing(tmp_path):
    drawn = Drawn(every=2)
    run(request_of(tmp_path), drawn.previewer(), raising(4, StopTraining()))
    pictures = dict(drawn.pictures)
    del drawn.pictures[4]
    run(request_of(tmp_path), drawn.previewer())
    assert sorted(drawn.pictures) == [0, 2, 4, 5]
    assert all(torch.equal(*pair) for pair in zip(drawn.pictures[4], pictures[4], strict=True))


def test_new_prompts_on_a_finished_run_draw_the_base_and_the_end(tmp_path):
    during = Drawn(every=0)
    run(request_of(tmp_path), during.previewer())
    after = Drawn(every=2)
    run(request_of(tmp_path), after.previewer())
    assert list(after.pictures) == [0, 5]
    for step in (0, 5):
        assert all(torch.equal(*pair) for pair in zip(during.pictures[step], after.pictures[step], strict=True))


@pytest.mark.parametrize("optimizer", [OptimizerSettings(learning_rate=1e-2, ema_decay=0.9), None])
def test_pictures_are_those_of_the_weights_returned(optimizer, tmp_path):
    """EMA and the evaluation weights of schedule-free are what is drawn and what is returned."""
    optimizer = optimizer or OptimizerSettings(optimizer="ScheduleFreeAdamW", learning_rate=1e-2)
    drawn = Drawn(every=0)
    result = run(request_of(tmp_path, optimizer=optimizer), drawn.previewer())
    from pack.training.networks.network import Network

    network = Network.from_tensors(BASE.parts(), "sd15", dict(result.tensors))
    network.attach()
    with torch.no_grad():
        expected = [drawn.sample(prompt, drawn.settings) for prompt in drawn.settings.prompts]
    network.detach()
    for picture, wanted in zip(drawn.pictures[5], expected, strict=True):
        assert torch.allclose(picture, wanted, atol=1e-6)


def test_every_prompt_is_drawn_at_every_strength_and_the_base_once(tmp_path):
    drawn, asked = Drawn(every=0, strengths=(0.5, 1.0)), []

    def sample(prompt, settings):
        asked.append(prompt)
        return drawn.sample(prompt, settings)

    result = run(request_of(tmp_path), Previewer(drawn.settings, sample, drawn.pictures.__setitem__, RunControl()))
    plain = Drawn(every=0)
    other = run(request_of(tmp_path / "plain"), plain.previewer())
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in result.tensors.items())
    num_prompts = len(drawn.settings.prompts)
    assert len(asked) == num_prompts + 2 * num_prompts
    assert [len(pictures) for pictures in drawn.pictures.values()] == [2 * num_prompts] * 2
    for half, full, wanted in zip(drawn.pictures[5][::2], drawn.pictures[5][1::2], plain.pictures[5], strict=True):
        assert torch.equal(full, wanted) and not torch.equal(half, full)
    assert all(torch.equal(a, b) for a, b in zip(drawn.pictures[0][::2], drawn.pictures[0][1::2], strict=True))


def test_a_typed_prompt_is_drawn_at_its_strength(tmp_path):
    drawn, seen = Drawn(every=0), {}

    def keep(strength, wanted, step, picture):
        seen[strength] = picture

    class Try(Callback):
        def on_step(self, job, state, report):
            if report.step == 3:
                for strength in (0.0, 0.5, 1.0):
                    show = partial(keep, strength)
                    previewer.try_prompt(job, state, TryPrompt("red", 1, strength), show)
                assert job.network.strength == 1.0

    previewer = drawn.previewer()
    run(request_of(tmp_path), previewer, Try())
    assert torch.allclose(seen[0.0], drawn.pictures[0][0])
    assert not torch.allclose(seen[0.5], seen[1.0])


@pytest.mark.parametrize(
    "values", [{"prompts": ()}, {"width": 8}, {"height": 65}, {"every": -1}], ids=lambda values: next(iter(values))
)
def test_settings_refused_by_name(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        PreviewSettings(**{"prompts": ("a",), **values})


@pytest.mark.parametrize("bad", [0, 2, 5])
def test_a_picture_that_fails_is_left_out_and_the_run_goes_on(bad, tmp_path):
    drawn, failures = Drawn(every=2), []
    previewer = drawn.previewer()
    sample = drawn.sample

    def failing(prompt, settings):
        if len(drawn.pictures) == [0, 2, 4, 5].index(bad) and not failures:
            raise RuntimeError("the card is full")
        return sample(prompt, settings)

    previewer._sample = failing
    previewer.on_failure = lambda step, error: failures.append((step, str(error)))
    assert run(request_of(tmp_path), previewer).step == 5
    assert failures == [(bad, "the card is full")]
    assert list(drawn.pictures) == [step for step in (0, 2, 4, 5) if step != bad]


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("bad", [0, 2, 5])
def test_pictures_that_cannot_be_kept_are_left_out_and_the_run_goes_on(bad, tmp_path):
    drawn, failures = Drawn(every=2), []

    def keep(step, pictures):
        if step == bad:
            full_disk()
        drawn.pictures[step] = pictures

    previewer = Previewer(drawn.settings, drawn.sample, keep, RunControl())
    previewer.on_failure = lambda step, error: failures.append((step, error.errno))
    assert run(request_of(tmp_path), previewer).step == 5
    assert failures == [(bad, errno.ENOSPC)]
    assert list(drawn.pictures) == [step for step in (0, 2, 4, 5) if step != bad]


def test_a_typed_prompt_that_cannot_be_shown_ends_no_run(tmp_path):
    drawn, failures = Drawn(every=0), []
    previewer = drawn.previewer()
    previewer.on_failure = lambda step, error: failures.append((step, error.errno))

    class Try(Callback):
        def on_step(self, job, state, report):
            if report.step == 3:
                previewer.try_prompt(job, state, TryPrompt("red", 1, 0.5), full_disk)

    assert run(request_of(tmp_path), previewer, Try()).step == 5
    assert failures == [(3, errno.ENOSPC)]

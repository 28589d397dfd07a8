"""A run that was interrupted and continued has the bits of one that never was: weights, optimizer, files, losses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.tests.support.toy_model import ToyBase, other_dataset, raising, run, toy_dataset, toy_request
from pack.training.files.lora_file import load_lora
from pack.training.loop.job import StopTraining
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.lines import read_lines
from pack.training.session.request import ValidationSettings
from pack.training.watch.control import RunControl
from pack.training.watch.previews import Previewer, PreviewSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

STEPS = 7
ADAMW = OptimizerSettings(learning_rate=1e-2, schedule=ScheduleSettings(schedule="cosine", warmup_steps=2))
PRODIGY = OptimizerSettings(optimizer="Prodigy", learning_rate=1.0)
SCHEDULE_FREE = OptimizerSettings(optimizer="ScheduleFreeAdamW", learning_rate=1e-2)
BOTH_PARTS = NetworkSettings(rank=2, alpha=2, parts=("unet", "text_encoder"))

CASES = {
    "adamw": {"optimizer": ADAMW},
    "prodigy": {"optimizer": PRODIGY},
    "schedule-free": {"optimizer": SCHEDULE_FREE},
    "schedule-free with ema": {"optimizer": replace(SCHEDULE_FREE, ema_decay=0.9)},
    "dylora": {"network": NetworkSettings(algorithm="dylora", rank=4, block_size=2)},
    "tlora": {"network": NetworkSettings(algorithm="tlora", rank=4)},
    "dropout": {"network": NetworkSettings(rank=4, dropout=0.3, rank_dropout=0.2, module_dropout=0.2)},
    "accumulation": {"stages": (Stage(steps=STEPS, batch_size=1, grad_accumulation_steps=3),)},
    "stages": {
        "stages": (
            Stage(steps=3, batch_size=2),
            Stage(steps=2, optimizer=replace(ADAMW, learning_rate=3e-3, schedule=ScheduleSettings(schedule="linear"))),
            Stage(steps=2, optimizer=PRODIGY),
        )
    },
    "datasets": {
        "stages": (
            Stage(steps=2, batch_size=2, dataset=other_dataset()),
            Stage(steps=2, batch_size=2),
            Stage(steps=3, batch_size=2, dataset=other_dataset(), resolution=128),
        ),
        "validation": ValidationSettings(share=0.2, every=2),
    },
    "text encoder, then frozen": {
        "network": BOTH_PARTS,
        "stages": (Stage(steps=4), Stage(steps=3, optimizer=replace(ADAMW, text_encoder_lr=0.0))),
    },
    "ema": {"optimizer": replace(ADAMW, ema_decay=0.9)},
    "caption draws": {"dataset": toy_dataset(shuffle_tags=True, tag_dropout=0.3, caption_dropout=0.2)},
    "norms": {"objective": ObjectiveSettings(scale_weight_norms=0.05, noise_offset=0.1, input_perturbation=0.1)},
    "validation": {"validation": ValidationSettings(share=0.3, every=2)},
}


class Canceled(BaseException):
    """As a host cancels: no ordinary exception."""


BASE = ToyBase()


def request_of(root: Path, case: str):
    changes = CASES[case]
    return toy_request(root, **{"base": BASE, "stages": (Stage(steps=STEPS, batch_size=2),), **changes})


def bits(root: Path) -> dict[str, bytes]:
    """All that must be equal: the last state (network, optimizer, EMA), every LoRA file, the figures of every step."""
    folder = next((root / "run" / ".run").glob("*/run.json")).parent
    state = max(folder.glob("*.state"))
    loras = {path.name: path.read_bytes() for path in (root / "run").glob("*.safetensors")}
    lines = [{**line, "seconds": 0} for line in read_lines(folder / "metrics.jsonl")]
    return {state.name: state.read_bytes(), "metrics": json.dumps(lines).encode(), **loras}


def assert_same(interrupted: dict[str, bytes], whole: dict[str, bytes]) -> None:
    """Everything of the whole run is there, equal; an interruption adds the LoRA of its own step only."""
    assert set(whole) <= set(interrupted)
    differing = [name for name in whole if whole[name] != interrupted[name]]
    assert not differing


def assert_same_weights(a: Path, b: Path) -> None:
    """The LoRAs of two runs, whose headers name these."""
    one, other = load_lora(a).tensors, load_lora(b).tensors
    assert set(one) == set(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("case", CASES)
def test_interrupted_after_every_step(case, tmp_path):
    whole = run(request_of(tmp_path / "whole", case))
    errors = [StopTraining(), RuntimeError("a fault"), Canceled()]
    for step in range(1, STEPS):
        error = errors[step % 3]
        try:
            run(request_of(tmp_path / "parts", case), raising(step, error))
        except (RuntimeError, Canceled) as caught:
            assert caught is error
    parts = run(request_of(tmp_path / "parts", case))
    assert parts.message == f"continued from step {STEPS - 1} of {STEPS}"
    assert_same(bits(tmp_path / "parts"), bits(tmp_path / "whole"))
    for name, tensor in whole.tensors.items():
        assert torch.equal(tensor, parts.tensors[name])


@pytest.mark.parametrize("failing_step", range(1, 6))
def test_exception_inside_a_step(failing_step, tmp_path):
    whole = request_of(tmp_path / "whole", "accumulation")
    run(whole)
    base = ToyBase()
    calls = 0

    def fail() -> None:
        nonlocal calls
        calls += 1
        if calls == 3 * failing_step - 1:
            raise RuntimeError("inside a step")

    base.on_denoise = fail
    with pytest.raises(RuntimeError, match="inside a step"):
        run(replace(request_of(tmp_path / "parts", "accumulation"), base=base))
    base.on_denoise = lambda: None
    result = run(replace(request_of(tmp_path / "parts", "accumulation"), base=base))
    assert result.message.startswith(f"continued from step {failing_step - 1} of" if failing_step > 1 else "new run")
    assert_same(bits(tmp_path / "parts"), bits(tmp_path / "whole"))


@pytest.mark.parametrize("case", ["adamw", "schedule-free with ema", "dylora", "text encoder, then frozen"])
def test_previews_change_nothing(case, tmp_path):
    run(request_of(tmp_path / "without", case))
    drawn: list[int] = []

    def sample(prompt: str, settings: PreviewSettings) -> torch.Tensor:
        text = BASE.encode_text([prompt])
        return BASE.denoise(torch.ones(1, 4, 8, 8), torch.tensor([500]), text, [])[0].movedim(0, -1)[..., :3]

    settings = PreviewSettings(prompts=("red", "big"), every=2)
    for step in (3, 5, STEPS):
        previewer = Previewer(settings, sample, lambda step, pictures: drawn.append(step), RunControl(), done=drawn)
        run(request_of(tmp_path / "with", case), previewer, raising(step, StopTraining()))
    assert drawn == [0, 2, 4, 6, STEPS]
    assert_same(bits(tmp_path / "with"), bits(tmp_path / "without"))


def test_validation_changes_nothing(tmp_path):
    request = request_of(tmp_path / "with", "validation")
    run(request)
    run(replace(request, root=tmp_path / "without" / "run", validation=ValidationSettings(share=0.3, every=100)))
    with_it, without = bits(tmp_path / "with"), bits(tmp_path / "without")
    assert with_it.pop("metrics") != without.pop("metrics")
    assert with_it == without


WARMED = {"dataset": toy_dataset(tag_warmup_steps=0.9)}
"""Tags that come one by one over most of the first stage."""


@pytest.mark.parametrize("more", [(10,), (STEPS, 3)], ids=["steps", "a stage"])
@pytest.mark.parametrize("stopped_at", [3, STEPS])
def test_what_is_added_changes_nothing_before_it(more, stopped_at, tmp_path):
    """A share of the run is settled with its first stage: stopped and lengthened as if it had been finished first."""

    def wanted(name: str, *steps: int):
        stages = tuple(Stage(steps=count, batch_size=2) for count in steps)
        return toy_request(tmp_path / name, **{"base": BASE, "stages": stages, **WARMED})

    run(wanted("whole", STEPS))
    first = bits(tmp_path / "whole")
    run(wanted("whole", *more))
    run(wanted("parts", STEPS), raising(stopped_at, StopTraining()))
    assert run(wanted("parts", *more)).message.startswith(f"continued from step {stopped_at} of 10")
    whole, parts = ({**bits(tmp_path / name), "metrics": losses(tmp_path / name)} for name in ("whole", "parts"))
    assert_same(parts, {**whole, LAST: first[LAST]})
    run(wanted("other", 10))
    assert bits(tmp_path / "other")[LAST_OF_10] != whole[LAST_OF_10]  # a warmup over ten steps is another run


LAST, LAST_OF_10 = "run-step000007.safetensors", "run-step000010.safetensors"


def losses(root: Path) -> bytes:
    """Of every step; how many steps were planned when it was trained does not matter."""
    folder = next((root / "run" / ".run").glob("*/run.json")).parent
    return json.dumps([line["loss"] for line in read_lines(folder / "metrics.jsonl")]).encode()


def test_a_stage_with_an_average_is_alike_added_or_planned(tmp_path):
    """The average begins with its stage, from the weights as they are then."""
    averaged = Stage(steps=3, batch_size=2, optimizer=replace(ADAMW, ema_decay=0.99))

    def wanted(name: str, *stages: Stage):
        return toy_request(tmp_path / name, base=BASE, stages=stages, optimizer=ADAMW)

    first = Stage(steps=STEPS, batch_size=2)
    run(wanted("added", first))
    added = run(wanted("added", first, averaged))
    assert added.message.startswith(f"continued from step {STEPS} of")
    planned = run(wanted("planned", first, averaged))
    without = run(wanted("without", first, replace(averaged, optimizer=ADAMW)))
    assert all(torch.equal(tensor, planned.tensors[name]) for name, tensor in added.tensors.items())
    assert any(not torch.equal(tensor, without.tensors[name]) for name, tensor in added.tensors.items())
    kept = f"run/run-step{STEPS - 1:06d}.safetensors"
    assert_same_weights(tmp_path / "planned" / kept, tmp_path / "without" / kept)


def test_an_average_kept_later_changes_nothing_before_it(tmp_path):
    """A schedule-free stage without one gives the weights it is judged by, not those it steps from."""
    first = Stage(steps=3, batch_size=2, optimizer=SCHEDULE_FREE)
    averaged = Stage(steps=2, batch_size=2, optimizer=replace(ADAMW, ema_decay=0.9))
    loras: list[Path] = []
    for name, stages in (("alone", (first,)), ("planned", (first, averaged))):
        result = run(toy_request(tmp_path / name, base=BASE, stages=stages))
        loras.append(result.folder.step_lora(3))
    assert_same_weights(*loras)

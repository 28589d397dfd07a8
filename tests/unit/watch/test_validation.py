"""Measured on held-out images at fixed noise, without disturbing anything; what was not learned is named."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import ToyBase, ToyHooks, other_dataset, raising, run, toy_dataset, toy_request
from pack.training.data.dataset import split
from pack.training.loop.job import StopTraining
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.lines import read_lines
from pack.training.session.request import ValidationSettings
from pack.training.session.session import run_training
from pack.training.watch.diagnosis import Diagnosis, Learned, load_diagnosis
from pack.training.watch.measure import fixed_timesteps, image_losses

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


@pytest.fixture
def request_(tmp_path):
    return toy_request(
        tmp_path,
        base=BASE,
        stages=(Stage(steps=4, batch_size=2),),
        validation=ValidationSettings(share=0.4, every=2),
    )


def validated(folder):
    return {line["step"]: line["validation_loss"] for line in read_lines(folder.metrics) if "validation_loss" in line}


def test_share_is_held_out_and_measured_every_n_steps(request_):
    hooks = ToyHooks()
    result = run_training(request_, hooks.hooks())
    session = hooks.sessions[0]
    assert list(validated(result.folder)) == [0, 2, 4]
    assert session.data.num_images == 3
    assert session.validation.num_images == 2
    trained = {sample["image_id"] for line in read_lines(result.folder.metrics) for sample in line.get("samples", ())}
    assert trained == {0, 1, 2}


def test_given_set_is_measured_at_every_save(request_):
    train, held_out = split(toy_dataset(), 0.4, 1)
    given = replace(request_, dataset=train, validation=ValidationSettings(dataset=held_out))
    assert list(validated(run(given).folder)) == [0, 3, 4]


def test_images_in_both_sets_are_refused(request_):
    both = replace(request_, validation=ValidationSettings(dataset=toy_dataset()))
    with pytest.raises(ValueError, match="validation_dataset.*5"):
        run(both)


def test_figures_depend_on_the_weights_alone(request_, tmp_path):
    """The same in a run with another objective, seed and batch size, as long as nothing is trained."""
    train, held_out = split(toy_dataset(), 0.4, 1)
    request = replace(request_, dataset=train, validation=ValidationSettings(dataset=held_out))
    other = replace(
        request,
        root=tmp_path / "other" / "run",
        seed=9,
        objective=ObjectiveSettings(loss_type="huber", noise_offset=0.1),
        stages=(Stage(steps=1),),
    )
    first, second = (validated(run(each).folder) for each in (request, other))
    assert first[0] == second[0]
    assert first[4] != first[0]


def test_cut_off_before_it_was_measured(request_):
    whole = validated(run(request_).folder)
    folder = run(replace(request_, root=request_.root.parent / "b" / "run"), raising(2, StopTraining())).folder
    lines = folder.metrics.read_text().splitlines(keepends=True)
    folder.metrics.write_text(
        "".join(line for line in lines if '"validation_loss"' not in line or '"step":2' not in line)
    )
    run(replace(request_, root=request_.root.parent / "b" / "run"))
    assert validated(folder) == whole


def test_timesteps_spread_over_the_trained_range():
    assert fixed_timesteps(ObjectiveSettings()) == [125, 375, 625, 875]
    assert fixed_timesteps(ObjectiveSettings(min_timestep=400, max_timestep=600), 2) == [450, 550]


def test_losses_are_those_of_the_definition(request_):
    """Mean squared error of the predicted noise, against a direct computation."""
    hooks = ToyHooks()
    run_training(request_, hooks.hooks())
    session = hooks.sessions[0]
    with session.job.network.disabled():
        measured = image_losses(session.job, session.validation)
    from pack.training.rng import generator
    from pack.training.watch.measure import NOISE_SEED

    plans = session.validation.epoch(4, NOISE_SEED, 0)
    for image in measured:
        index, place, batch = next(
            (index, batch.image_ids.index(image.image_id), batch)
            for index, batch in ((i, session.validation.load(p, NOISE_SEED, 0, 0, 1)) for i, p in enumerate(plans))
            if image.image_id in batch.image_ids
        )
        for number, timestep in enumerate(fixed_timesteps(session.job.objective)):
            clean = batch.latents_BCHW[place]
            noise = torch.randn(clean.shape, generator=generator(NOISE_SEED, "noise", index, number, place))
            signal = BASE.alphas_cumprod[timestep]
            noisy = (signal.sqrt() * clean + (1 - signal).sqrt() * noise).float()
            with torch.no_grad():
                text = BASE.encode_text([image.caption])
                predicted = BASE.denoise(noisy[None], torch.tensor([timestep]), text, [])[0]
            expected = float((predicted - noise).square().mean())
            assert image.loss_by_timestep[number] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("parts", [("unet",), ("unet", "text_encoder")])
def test_diagnosis_compares_with_the_base_model(parts, request_):
    request = replace(
        request_,
        is_diagnosed=True,
        validation=ValidationSettings(),
        network=NetworkSettings(rank=4, parts=parts),
        optimizer=OptimizerSettings(learning_rate=1e-2),
        stages=(Stage(steps=40, batch_size=4),),
    )
    result = run(request)
    diagnosis = result.diagnosis
    assert diagnosis.step == 40
    assert len(diagnosis.images) == 5
    assert diagnosis.overall < 1
    assert {tag.name: tag.num_images for tag in diagnosis.tags}["red"] == 5
    assert load_diagnosis(result.folder.report) == diagnosis
    assert run(request).diagnosis == diagnosis


def test_bad_image_and_missed_tag_are_named():
    good = [Learned(name=f"{n}.png", loss=0.8 + n / 1000, base_loss=1.0) for n in range(8)]
    diagnosis = Diagnosis(
        step=100,
        images=(*good, Learned(name="bad.png", loss=1.1, base_loss=1.0)),
        tags=(
            Learned(name="crown", loss=0.8, base_loss=1.0, num_images=4),
            Learned(name="stripes", loss=0.99, base_loss=1.0, num_images=3),
            Learned(name="everywhere", loss=0.99, base_loss=1.0, num_images=9),
            Learned(name="once", loss=0.99, base_loss=1.0, num_images=1),
        ),
    )
    assert [image.name for image in diagnosis.bad_images] == ["bad.png"]
    assert [tag.name for tag in diagnosis.missed_tags] == ["stripes"]
    assert "bad.png (110.0%)" in diagnosis.text()
    assert "stripes (99.0%)" in diagnosis.text()


def test_nothing_stands_out():
    alike = tuple(Learned(name=str(n), loss=0.8 + n / 1000, base_loss=1.0) for n in range(8))
    diagnosis = Diagnosis(step=1, images=alike, tags=(replace(alike[0], num_images=8),))
    assert diagnosis.text().count("\n") == 0


@pytest.mark.parametrize("values", [{"share": 1.0}, {"share": -0.1}, {"every": -1}])
def test_settings_refused_by_name(values):
    with pytest.raises(ValueError, match="validat"):
        ValidationSettings(**values)


def test_marked_images_are_measured_and_never_trained(request_):
    """Alone, with a given set, and in place of a share."""
    train, marked = split(toy_dataset(), 0.4, 1)
    dataset = replace(train, held_out=marked.subsets)
    given = ValidationSettings(dataset=other_dataset())
    for validation in (ValidationSettings(), ValidationSettings(share=0.4), given):
        hooks = ToyHooks()
        result = run_training(replace(request_, dataset=dataset, validation=validation), hooks.hooks())
        session = hooks.sessions[0]
        assert session.validation.num_images == 2 + (validation.dataset is not None) * 3
        assert session.data.num_images == 3
        assert 0 in validated(result.folder)


def test_a_marked_picture_that_lies_unmarked_elsewhere_is_not_trained_either(request_):
    _, marked = split(toy_dataset(), 0.4, 1)
    hooks = ToyHooks()
    run_training(replace(request_, dataset=replace(toy_dataset(), held_out=marked.subsets)), hooks.hooks())
    assert hooks.sessions[0].data.num_images == 3


def test_a_mark_makes_another_run(request_):
    first = run(replace(request_, validation=ValidationSettings()))
    _, marked = split(toy_dataset(), 0.4, 1)
    dataset = replace(toy_dataset(), held_out=marked.subsets)
    second = run(replace(request_, dataset=dataset, validation=ValidationSettings()))
    assert first.folder.run_id != second.folder.run_id


@pytest.mark.parametrize("masked_out", [1, 3])
def test_images_without_anything_in_their_mask_are_not_judged(masked_out, tmp_path):
    """As a mask file that is black all over makes them: their loss is 0, with the network and without."""
    data = other_dataset()
    items = data.subsets[0].items
    black = torch.zeros(64, 64, dtype=torch.uint8)
    items = tuple(
        replace(item, mask=black, mask_hash="black") if n < masked_out else item for n, item in enumerate(items)
    )
    data = replace(data, subsets=(replace(data.subsets[0], items=items),))
    stages = (Stage(steps=40, batch_size=3),)
    result = run(toy_request(tmp_path, base=BASE, dataset=data, is_diagnosed=True, stages=stages))
    names = {item.name for item in items[masked_out:]}
    assert {image.name for image in result.diagnosis.images} == names if names else result.diagnosis is None

"""Which run on disk a request continues, what starts a new one, and what damaged files do."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.pictures import dataset
from pack.tests.support.toy_model import At, ToyBase, other_dataset, raising, run, toy_dataset, toy_request, with_steps
from pack.training.data.buckets import BucketSettings
from pack.training.data.dataset import combine
from pack.training.files.lora_file import load_lora
from pack.training.loop.job import Callback, StopTraining
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.folder import run_ids
from pack.training.run.identity import fingerprint
from pack.training.run.record import load_record
from pack.training.run.saver import SaveSettings
from pack.training.session.plan import hold_out, place_data, run_key
from pack.training.session.request import LoraStart, ValidationSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()
CONSTANT = OptimizerSettings(learning_rate=1e-2)


@pytest.fixture
def request_(tmp_path):
    return toy_request(tmp_path, base=BASE, stages=(Stage(steps=4, batch_size=2),))


def edited(old: str, new: str):
    found = toy_dataset()

    def change(subset):
        items = (replace(i, captions=tuple(c.replace(old, new) for c in i.captions)) for i in subset.items)
        return replace(subset, items=tuple(items))

    return found.map(change)


def assert_equal(a, b):
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


SAME_RUN = {
    "save interval": {"saving": SaveSettings(save_every=2)},
    "format of the files": {"saving": SaveSettings(save_every=3, save_dtype="float16", keep_last=1)},
    "where latents are kept": {
        "dataset": toy_dataset().map(lambda s: replace(s, buckets=replace(s.buckets, cache="disk")))
    },
    "names of pictures": {
        "dataset": toy_dataset().map(
            lambda s: replace(s, name="renamed", items=tuple(replace(i, name="x") for i in s.items))
        )
    },
    "measuring": {"is_diagnosed": True, "validation": ValidationSettings(dataset=dataset([(64, 64)], first=50))},
    "the run's dataset as a stage's own": {"stages": (Stage(steps=4, batch_size=2, dataset=edited("a", "a")),)},
    "what a change would do": {"on_dataset_change": "continue", "on_more_steps": "stretch"},
}
OTHER_RUN = {
    "base model": {"base_key": "other"},
    "VAE": {"encoder_key": "other"},
    "rank": {"network": NetworkSettings(rank=2, alpha=4)},
    "alpha": {"network": NetworkSettings(rank=4, alpha=2)},
    "objective": {"objective": ObjectiveSettings(min_snr_gamma=None)},
    "learning rate": {"optimizer": OptimizerSettings(learning_rate=2e-2)},
    "optimizer": {"optimizer": OptimizerSettings(optimizer="Lion", learning_rate=1e-4)},
    "schedule": {"optimizer": replace(CONSTANT, schedule=ScheduleSettings(schedule="linear"))},
    "ema": {"optimizer": replace(CONSTANT, ema_decay=0.9)},
    "batch size": {"stages": (Stage(steps=4, batch_size=1),)},
    "accumulation": {"stages": (Stage(steps=4, batch_size=2, grad_accumulation_steps=2),)},
    "seed": {"seed": 6},
    "a caption": {"dataset": edited("red", "blue")},
    "caption draws": {"dataset": toy_dataset(shuffle_tags=True)},
    "one more image": {"dataset": combine([toy_dataset(), dataset([(64, 64)], first=9)])},
    "repeats": {"dataset": toy_dataset().map(lambda s: replace(s, repeats=2))},
    "buckets": {
        "dataset": toy_dataset().map(lambda s: replace(s, buckets=BucketSettings(resolution=64, bucket_step=32)))
    },
    "dataset of a stage": {"stages": (Stage(steps=4, batch_size=2, dataset=other_dataset()),)},
    "held-out share": {"validation": ValidationSettings(share=0.3)},
}


def key_of(request):
    request = hold_out(request)
    return run_key(request, place_data(request))


@pytest.mark.parametrize("change", SAME_RUN)
def test_what_changes_no_weight_is_the_same_run(change, request_):
    request = replace(request_, optimizer=CONSTANT)
    assert key_of(replace(request, **SAME_RUN[change])) == key_of(request)


@pytest.mark.parametrize("change", OTHER_RUN)
def test_what_changes_weights_is_another_run(change, request_):
    request = replace(request_, optimizer=CONSTANT)
    assert key_of(replace(request, **OTHER_RUN[change])).run_id != key_of(request).run_id


def test_a_finished_run_is_returned_without_encoding_or_opening_anything(request_, tmp_path):
    first = run(request_)
    encoded = BASE.num_images, BASE.num_texts, BASE.num_opened
    unimportant = {name: value for change in SAME_RUN.values() for name, value in change.items()}
    second = run(replace(request_, cache_dir=tmp_path / "cache", **unimportant))
    assert second.message == "already trained: 4 steps, nothing to do"
    assert second.losses == ()
    assert (BASE.num_images, BASE.num_texts, BASE.num_opened) == encoded
    assert_equal(first.tensors, second.tensors)


def test_a_replaced_run_is_kept_and_gone_back_to(request_):
    first = run(request_)
    files = {path.name: path.read_bytes() for path in request_.root.glob("*-step*.safetensors")}
    second = run(replace(request_, **OTHER_RUN["learning rate"]))
    assert second.message.startswith("new run of 4 steps")
    assert second.folder.run_id != first.folder.run_id
    assert list(first.folder.step_loras()) == [3, 4]

    back = run(request_)
    assert back.message.startswith("already trained: 4 steps, nothing to do")
    assert back.folder == first.folder
    assert_equal(back.tensors, first.tensors)
    assert {path.name: path.read_bytes() for path in request_.root.glob("*-step*.safetensors")} == files
    assert_equal(load_lora(request_.root / "run.safetensors").tensors, first.tensors)
    assert list(second.folder.step_loras()) == [3, 4]


def test_more_steps_without_an_end_of_the_schedule_are_those_of_a_longer_run(request_, tmp_path):
    request = replace(request_, optimizer=CONSTANT)
    run(request)
    longer = run(with_steps(request, 7))
    assert longer.message == "continued from step 4 of 7"
    whole = run(with_steps(replace(request, root=tmp_path / "whole" / "run"), 7))
    assert_equal(longer.tensors, whole.tensors)


def test_more_steps_after_a_cosine_keep_it(request_):
    first = run(request_)
    longer = run(with_steps(request_, 7))
    assert "the first 4 are kept as they are and the 3 added have a schedule of their own" in longer.message
    assert_equal(load_lora(longer.folder.step_lora(4)).tensors, first.tensors)
    assert run(with_steps(request_, 7)).message == "already trained: 7 steps, nothing to do"


def test_a_stretched_schedule_is_trained_from_the_start(request_, tmp_path):
    run(request_)
    run(with_steps(request_, 7))
    stretched = replace(with_steps(request_, 7), on_more_steps="stretch")
    result = run(stretched)
    assert result.message.startswith("new run of 7 steps")
    assert_equal(result.tensors, run(replace(stretched, root=tmp_path / "whole" / "run")).tensors)
    assert run(stretched).message == "already trained: 7 steps, nothing to do"


def test_tags_warmed_up_over_a_share_of_the_run_depend_on_its_length(request_, tmp_path):
    warming = replace(request_, optimizer=CONSTANT, dataset=toy_dataset(tag_warmup_steps=0.9))
    run(warming)
    stretched = replace(with_steps(warming, 7), on_more_steps="stretch")
    assert run(stretched).message.startswith("new run of 7 steps")
    in_steps = replace(stretched, dataset=toy_dataset(tag_warmup_steps=3.0), root=tmp_path / "steps" / "run")
    run(with_steps(in_steps, 4))
    assert run(in_steps).message == "continued from step 4 of 7"


def test_one_more_stage_goes_on_from_the_end(request_):
    first = run(request_)
    more = run(replace(request_, stages=(*request_.stages, Stage(steps=3, optimizer=CONSTANT))))
    assert more.message == "continued from step 4 of 7"
    assert more.folder == first.folder
    assert len(more.losses) == 3


def with_own_data(*steps):
    return tuple(Stage(steps=number, batch_size=2, dataset=other_dataset()) for number in steps)


def test_a_dataset_that_no_stage_trains_decides_nothing(request_):
    request = replace(request_, optimizer=CONSTANT, stages=with_own_data(4))
    first = run(request)
    elsewhere = replace(request, dataset=edited("red", "blue"))
    assert key_of(elsewhere) == key_of(request)
    more = run(replace(elsewhere, stages=(*request.stages, Stage(steps=2, batch_size=2))))
    assert more.message == "continued from step 4 of 6"
    assert more.folder == first.folder
    again = run(replace(request, stages=with_own_data(4, 3)))
    assert again.message.startswith("continued from step 4 of 7")  # the second stage was trained on other images
    assert first.folder.run_id in again.message and again.folder != first.folder


def test_one_more_stage_with_its_own_images_goes_on_and_encodes_no_others(request_):
    run(request_)
    encoded = BASE.num_images
    more = run(replace(request_, stages=(*request_.stages, *with_own_data(3))))
    assert more.message == "continued from step 4 of 7"
    assert BASE.num_images - encoded == other_dataset().num_images


def test_another_dataset_of_a_stage_starts_over_or_goes_on_from_the_weights(request_):
    plan = replace(request_, stages=(*request_.stages, *with_own_data(3)))
    before = run(plan)
    blue = edited("red", "blue")
    changed = replace(plan, stages=(plan.stages[0], replace(plan.stages[1], dataset=blue)))
    assert run(replace(changed, on_dataset_change="continue"), raising(1, StopTraining())).message.startswith(
        f"new run of 7 steps from the weights of run {before.folder.run_id}@7 (the dataset changed); stopped at step 1"
    )
    assert run(changed).message.startswith("continued from step 4 of 7; its first 4 steps are those of run")
    assert run(plan).message.startswith("already trained: 7 steps, nothing to do")


def test_dataset_change_starts_over_or_goes_on_from_the_weights(request_):
    before = run(request_)
    changed = replace(request_, dataset=edited("red", "blue"))
    going_on = replace(changed, on_dataset_change="continue")
    stopped = run(going_on, raising(1, StopTraining()))
    assert stopped.message.startswith(
        f"new run of 4 steps from the weights of run {before.folder.run_id}@4 (the dataset changed); stopped at step 1"
    )
    assert run(going_on).message.startswith("continued from step 1 of 4")
    start = run(changed)
    assert start.message.startswith("new run of 4 steps")
    again = run(going_on)
    assert again.message.startswith("already trained: 4 steps, nothing to do")
    assert not torch.equal(next(iter(again.tensors.values())), next(iter(start.tensors.values())))


def test_weights_taken_over_are_those_of_the_run_before(request_):
    before = run(request_)
    seen = []

    class Look(Callback):
        def on_start(self, job, state):
            seen.append({name: tensor.clone() for name, tensor in job.network.state_dict().items()})
            assert state.optimizer is None

        def on_step(self, job, state, report):
            raise StopTraining

    run(replace(request_, dataset=edited("red", "blue"), on_dataset_change="continue"), Look())
    assert_equal(seen[0], before.tensors)


def test_a_run_whose_first_weights_are_gone_is_not_gone_on_with_from_others(request_):
    """It began from step 4; the run before was trained further since, and that state removed."""
    request = replace(request_, optimizer=CONSTANT)
    before = run(request)
    changed = replace(request, dataset=edited("red", "blue"), on_dataset_change="continue")
    with pytest.raises(RuntimeError, match="a fault"):
        run(replace(changed, saving=SaveSettings(save_every=100)), At(1, dies_before_saving))
    run(with_steps(request, 10))
    assert 4 not in before.folder.states()
    again = run(changed)
    assert again.message.startswith(f"new run of 4 steps from the weights of run {before.folder.run_id}@10 ")


def dies_before_saving(job, state):
    state.is_consistent = False
    raise RuntimeError("a fault")


def test_branch_from_a_saved_step(request_):
    first = run(request_)
    saved = load_lora(first.folder.step_lora(3)).tensors
    branch = replace(
        request_, start=LoraStart(tensors=saved, key="step 3"), optimizer=OptimizerSettings(learning_rate=3e-3)
    )
    result = run(branch)
    assert result.message.startswith("new run of 4 steps")
    assert result.folder != first.folder
    assert {name: t.shape for name, t in result.tensors.items()} == {name: t.shape for name, t in saved.items()}
    assert run(request_).message.startswith("already trained: 4 steps, nothing to do")


def test_the_record_describes_what_is_wanted_now(request_):
    run(request_)
    result = run(with_steps(request_, 7))
    assert "steps=7" in str(load_record(result.folder.record).description["stages"])


def test_runs_are_listed_newest_first(request_):
    first = run(request_)
    second = run(replace(request_, seed=6))
    assert run_ids(request_.root) == [second.folder.run_id, first.folder.run_id]
    run(request_)
    assert run_ids(request_.root) == [first.folder.run_id, second.folder.run_id]


def test_convolutions_that_an_earlier_version_passed_over_make_another_run(tmp_path):
    """Their size was read and not used; now it brings them in, which no run on disk has trained."""
    request = toy_request(tmp_path)
    network = NetworkSettings(algorithm="loha", rank=4, conv_rank=2)
    wide = replace(network, targets="blocks")
    plain, named = (run_key(one, place_data(one)) for one in (request, replace(request, network=network)))
    assert plain.base == fingerprint(
        request.base_key, request.encoder_key, request.network, request.objective, request.seed, None
    )
    assert named.base != fingerprint(
        request.base_key, request.encoder_key, network, request.objective, request.seed, None
    )
    explicit = replace(request, network=wide)
    assert run_key(explicit, place_data(explicit)).base == fingerprint(
        request.base_key, request.encoder_key, wide, request.objective, request.seed, None
    )

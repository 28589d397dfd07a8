"""The header of a file says what was trained: every field, over all options, against the run."""

import json
from dataclasses import replace

import pytest
from pack.tests.support.person import Person
from pack.tests.support.pictures import subset
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_buckets, with_captions
from pack.training.files.facts import Description, ModelFacts
from pack.training.files.metadata import build_metadata
from pack.training.loop.job import TrainState
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.settings import OptimizerSettings, ScheduleSettings
from pack.training.session.metadata import (
    dataset_facts,
    facts_of_network,
    timestep_range,
    training_facts,
    trigger_phrase,
)

TEXTS = ["mia, Red Hair ||| sky, tree;;;leaf", "red hair, sky", "sky"]
OBJECTIVES = {
    "loss_type": "huber", "huber_schedule": "exponential", "huber_c": 0.2, "huber_scale": 2.0, "min_snr_gamma": 3.0,
    "soft_min_snr": True, "debiased_estimation": True, "v_pred_like_loss": 0.1, "noise_offset": 0.05,
    "noise_offset_random": True, "adaptive_noise_scale": 0.01, "multires_noise_iterations": 4,
    "multires_noise_discount": 0.2, "input_perturbation": 0.1, "input_perturbation_random": True, "min_timestep": 100,
    "max_timestep": 900, "timestep_distribution": "logit_normal", "logit_mean": 0.5, "logit_std": 2.0,
    "unmasked_weight": 0.1, "scale_weight_norms": 1.0, "prior_loss_weight": 0.5,
}  # fmt: skip
"""A value of each that is not the default, tried one by one."""


NEEDED: dict[str, dict[str, object]] = {
    "huber_schedule": {"loss_type": "huber"},
    "huber_c": {"loss_type": "huber"},
    "huber_scale": {"loss_type": "huber"},
    "noise_offset_random": {"noise_offset": 0.1},
    "adaptive_noise_scale": {"noise_offset": 0.1},
    "multires_noise_discount": {"multires_noise_iterations": 4},
    "input_perturbation_random": {"input_perturbation": 0.1},
    "logit_mean": {"timestep_distribution": "logit_normal"},
    "logit_std": {"timestep_distribution": "logit_normal"},
}
"""What must be on for a field to have an effect."""
OF_EACH_RUN = {
    "ss_session_id",
    "ss_training_started_at",
    "ss_training_finished_at",
    "modelspec.date",
    "bakery.fingerprint",
}


def dataset(**changes: object) -> Dataset:
    one = subset([(64, 64), (96, 64), (64, 64)])
    items = tuple(replace(item, captions=(text,)) for item, text in zip(one.items, TEXTS, strict=True))
    return Dataset((replace(one, items=items, name="mia", **changes),))


def header(person: Person) -> dict[str, str]:
    """As `HostSession` puts it together, without what only a host knows."""
    session = person.session
    assert session is not None
    return build_metadata(
        ModelFacts(family="sd15"),
        facts_of_network(session),
        Description(title="mira", trigger_phrase=trigger_phrase(session), timestep_range=timestep_range(session)),
        training_facts(session, TrainState(step=session.job.total_steps)),
        dataset_facts(session),
    )


def trained(tmp_path, data: Dataset, **changes: object) -> dict[str, str]:
    person = Person(tmp_path)
    person.queue(steps=2, dataset=data, **changes)
    return header(person)


def test_counts_sizes_and_buckets_are_those_of_the_run(tmp_path):
    buckets = BucketSettings(resolution=64, bucket_step=8, upscale=False, min_bucket_size=32, max_bucket_size=128)
    told = trained(tmp_path, with_buckets(dataset(repeats=3), buckets))
    assert (told["ss_num_train_images"], told["ss_num_reg_images"]) == ("9", "0")
    assert told["ss_bucket_no_upscale"] == "True"
    assert (told["ss_min_bucket_reso"], told["ss_max_bucket_reso"]) == ("32", "128")
    assert (told["ss_resolution"], told["modelspec.resolution"]) == ("(64, 64)", "64x64")
    counts = [bucket["count"] for bucket in json.loads(told["ss_bucket_info"])["buckets"].values()]
    assert sum(counts) == 9


def test_limits_and_resolution_are_filled_in_where_none_are_given(tmp_path):
    told = trained(tmp_path, with_buckets(dataset(), BucketSettings(bucket_step=8)))
    assert told["ss_resolution"] == "(64, 64)"  # the images' own
    assert (told["ss_min_bucket_reso"], told["ss_max_bucket_reso"]) == ("32", "128")
    assert told["ss_bucket_no_upscale"] == "False"


def test_more_resolutions_count_every_image_once(tmp_path):
    told = trained(tmp_path, with_buckets(dataset(repeats=2), BucketSettings(resolution=64, bucket_step=8), [32]))
    assert told["ss_num_train_images"] == "6"
    assert json.loads(told["ss_dataset_dirs"]) == {"mia": {"n_repeats": 2, "img_count": 3}}
    assert json.loads(told["ss_tag_frequency"])["mia"]["sky"] == 2
    assert [one["resolution"] for one in json.loads(told["ss_datasets"])] == [[64, 64], [32, 32]]


def test_tags_are_counted_as_they_are_trained(tmp_path):
    settings = CaptionSettings(
        trigger="mia", keep_tags_separator="|||", secondary_separator=";;;", replacements=(("tree", "oak"),)
    )
    told = trained(tmp_path, with_captions(dataset(), settings))
    assert json.loads(told["ss_tag_frequency"])["mia"] == {"mia": 3, "sky": 3, "red hair": 2, "oak": 1, "leaf": 1}
    assert told["modelspec.trigger_phrase"] == "mia"
    (one,) = json.loads(told["ss_datasets"])[0]["subsets"]
    assert (one["keep_tokens_separator"], one["secondary_separator"]) == ("|||", ";;;")


def test_another_separator_is_that_of_the_tags(tmp_path):
    data = dataset()
    items = tuple(replace(item, captions=("red, dark; sky",)) for item in data.subsets[0].items)
    data = Dataset((replace(data.subsets[0], items=items),))
    told = trained(tmp_path, with_captions(data, CaptionSettings(separator=";")))
    assert json.loads(told["ss_tag_frequency"])["mia"] == {"red, dark": 3, "sky": 3}


@pytest.mark.parametrize(
    ("settings", "entry", "value"),
    [
        ({"shuffle_tags": True, "keep_tags": 1}, "ss_shuffle_caption", "True"),
        ({"shuffle_tags": True, "keep_tags": 1}, "ss_keep_tokens", "1"),
        ({"caption_dropout": 0.1}, "ss_caption_dropout_rate", "0.1"),
        ({"caption_dropout_every_n_epochs": 3}, "ss_caption_dropout_every_n_epochs", "3"),
        ({"tag_dropout": 0.2}, "ss_caption_tag_dropout_rate", "0.2"),
    ],
)
def test_what_is_drawn_of_captions_is_told(tmp_path, settings, entry, value):
    assert trained(tmp_path, dataset())[entry] != value
    assert trained(tmp_path, with_captions(dataset(), CaptionSettings(**settings)))[entry] == value


@pytest.mark.parametrize(
    ("settings", "entry"), [({"flip": True}, "ss_flip_aug"), ({"random_crop": True}, "ss_random_crop")]
)
def test_what_is_drawn_of_pictures_is_told(tmp_path, settings, entry):
    told = trained(tmp_path, with_buckets(dataset(), BucketSettings(**settings)))
    assert told[entry] == "True"
    assert told["ss_cache_latents"] == str("random_crop" not in settings)


@pytest.mark.parametrize(("name", "value"), OBJECTIVES.items())
def test_every_field_of_the_objective_is_told(tmp_path, name, value):
    needed = NEEDED.get(name, {})
    before = trained(tmp_path / "a", dataset(), objective=ObjectiveSettings(**needed))
    after = trained(tmp_path / "b", dataset(), objective=ObjectiveSettings(**{**needed, name: value}))
    told = {key for key in after if after[key] != before.get(key) and key not in OF_EACH_RUN}
    assert told
    assert any(str(value) in after[key] for key in told)


def test_rates_steps_and_schedule_are_those_of_the_run(tmp_path):
    optimizer = OptimizerSettings(
        learning_rate=1e-3, optimizer="AdamW", weight_decay=0.02,
        schedule=ScheduleSettings(schedule="cosine", warmup_steps=1),
    )  # fmt: skip
    told = trained(tmp_path, dataset(repeats=2), optimizer=optimizer, seed=7)
    assert (told["ss_steps"], told["ss_max_train_steps"], told["ss_seed"]) == ("2", "2", "7")
    assert (told["ss_learning_rate"], told["ss_lr_scheduler"], told["ss_lr_warmup_steps"]) == ("0.001", "cosine", "1")
    assert "weight_decay=0.02" in told["ss_optimizer"]
    assert told["ss_total_batch_size"] == "2"

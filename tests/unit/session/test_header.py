"""The header of a file says what was trained: every field, over all options, against the run."""

import json
from dataclasses import fields, is_dataclass, replace

import pytest
from pack.tests.support.person import Person
from pack.tests.support.pictures import subset
from pack.training.data.buckets import BucketSettings
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_buckets, with_captions
from pack.training.files.facts import Description, ModelFacts
from pack.training.files.metadata import build_metadata
from pack.training.loop.job import TrainState
from pack.training.loop.stages import Stage
from pack.training.networks.block_weights import BlockWeights
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.settings import OptimizerSettings, ScheduleSettings
from pack.training.session.metadata import (
    dataset_facts,
    facts_of_network,
    timestep_range,
    training_facts,
    trigger_phrase,
)
from pack.training.session.request import LoraStart, Session
from pack.training.session.settings_told import changed

TEXTS = ["mia, Red Hair ||| sky, tree;;;leaf", "red hair, sky", "sky"]
OBJECTIVES = {
    "loss_type": "huber", "huber_schedule": "exponential", "huber_c": 0.2, "huber_scale": 2.0, "min_snr_gamma": 3.0,
    "soft_min_snr": True, "debiased_estimation": True, "v_pred_like_loss": 0.1, "noise_offset": 0.05,
    "noise_offset_random": True, "adaptive_noise_scale": 0.01, "multires_noise_iterations": 4,
    "multires_noise_discount": 0.2, "input_perturbation": 0.1, "input_perturbation_random": True, "min_timestep": 100,
    "max_timestep": 900, "timestep_distribution": "logit_normal", "logit_mean": 0.5, "logit_std": 2.0,
    "unmasked_weight": 0.1, "scale_weight_norms": 1.0, "prior_loss_weight": 0.5,
    "unmasked_prior_weight": 0.5, "is_mask_area_normalized": False, "p2_gamma": 0.7, "zero_terminal_snr": True,
    "scale_v_pred_loss_like_noise_pred": True, "prior_preservation": "regularization_images",
    "prior_preservation_weight": 0.3, "trigger": "mia", "trigger_class": "woman",
}  # fmt: skip
"""A value of each that is not the default, tried one by one."""


NEEDED: dict[str, dict[str, object]] = {
    "huber_schedule": {"loss_type": "huber"},
    "huber_c": {"loss_type": "huber"},
    "huber_scale": {"loss_type": "huber"},
    "p2_gamma": {"min_snr_gamma": None},
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
    return Dataset((replace(one, items=items, **{"name": "mia", **changes}),))


def header(session: Session, step: int | None = None) -> dict[str, str]:
    """As `HostSession` puts it together, without what only a host knows."""
    return build_metadata(
        ModelFacts(family="sd15"),
        facts_of_network(session),
        Description(title="mira", trigger_phrase=trigger_phrase(session), timestep_range=timestep_range(session)),
        training_facts(session, TrainState(step=step or session.job.total_steps)),
        dataset_facts(session),
    )


def trained(tmp_path, data: Dataset, **changes: object) -> dict[str, str]:
    person = Person(tmp_path)
    person.queue(steps=2, dataset=data, **changes)
    assert person.session is not None
    return header(person.session)


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


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    """A run whose settings are then said to be others: its header needs no further training."""
    person = Person(tmp_path_factory.mktemp("header"))
    person.queue(steps=2, dataset=dataset())
    return person.session


def asked(session, **request):
    return replace(session, request=replace(session.request, **request))


@pytest.mark.parametrize(("name", "value"), OBJECTIVES.items())
def test_every_field_of_the_objective_is_told(session, name, value):
    needed = NEEDED.get(name, {})
    before = header(asked(session, objective=ObjectiveSettings(**needed)))
    after = header(asked(session, objective=ObjectiveSettings(**{**needed, name: value})))
    told = {key for key in after if after[key] != before.get(key) and key not in OF_EACH_RUN}
    assert any(str(value) in after[key] for key in told if key != "bakery.settings") or name == "zero_terminal_snr"
    assert is_told(value, told_settings(after)["objective"][name])


def told_settings(header):
    return json.loads(header["bakery.settings"])


NETWORKS = {
    "rank": 8, "alpha": 4.0, "conv_rank": 8, "conv_alpha": 2.0, "rank_stabilized": True, "weight_decompose": True,
    "dropout": 0.1, "rank_dropout": 0.1, "module_dropout": 0.1, "train_norms": True, "include": ("*attn*",),
    "exclude": ("*attn1*",), "targets": "all", "block_weights": BlockWeights(ranks="M:8"),
    "parts": ("unet", "text_encoder"), "algorithm": "loha",
}  # fmt: skip
OF_AN_ALGORITHM = [
    ("lokr", "factor", 4), ("lokr", "full_matrix", True), ("lokr", "decompose_both", True), ("dylora", "block_size", 2),
    ("full", "train_bias", True), ("lycoris", "lycoris_arguments", "algo=loha use_tucker=True"),
]  # fmt: skip
OPTIMIZERS = {
    "optimizer": "Lion", "learning_rate": 1e-3, "unet_lr": 1e-3, "text_encoder_lr": 1e-3, "text_encoder_2_lr": 1e-3,
    "weight_decay": 0.5, "max_grad_norm": 0.5, "arguments": "eps=1e-6", "loraplus_ratio": 4.0,
    "alpha_compensation": "full", "ema_decay": 0.9, "schedule": ScheduleSettings(schedule="polynomial", power=3.0),
}  # fmt: skip
CAPTIONS = {
    "trigger": "mia", "prefix": "a", "suffix": "b", "separator": ";", "shuffle_tags": True, "keep_tags": 1,
    "keep_tags_separator": "|||", "secondary_separator": ";;;", "tag_dropout": 0.1, "caption_dropout": 0.1,
    "caption_dropout_every_n_epochs": 2, "use_wildcards": True, "tag_warmup_min": 2, "tag_warmup_steps": 2.0,
    "replacements": (("sky", "sea"),), "caption_weights": True, "keep_separator": True,
}  # fmt: skip
BUCKETS = {
    "resolution": 96, "bucket_step": 16, "min_bucket_size": 64, "max_bucket_size": 128, "upscale": False,
    "random_crop": True, "flip": True, "use_alpha_masks": True, "nearest_bucket": True,
}  # fmt: skip


def is_told(value, told):
    """A value, or the fields of nested settings that differ, with JSON's lists."""
    wanted = changed(value) if is_dataclass(value) else value
    return told == json.loads(json.dumps(wanted))


@pytest.mark.parametrize(("algorithm", "name", "value"), [
    *(("locon", name, value) for name, value in NETWORKS.items()), *OF_AN_ALGORITHM
])  # fmt: skip
def test_every_field_of_the_network_is_told(session, algorithm, name, value):
    network = NetworkSettings(**{"algorithm": algorithm, "rank": 4, name: value})
    assert is_told(value, told_settings(header(asked(session, network=network)))["network"][name])


@pytest.mark.parametrize(("name", "value"), OPTIMIZERS.items())
def test_every_field_of_the_optimizer_is_told(session, name, value):
    (stage,) = session.job.stages
    stage = replace(stage, optimizer=OptimizerSettings(**{name: value}))
    told = told_settings(header(replace(session, job=replace(session.job, stages=(stage,)))))
    assert is_told(value, told["stages"][0][name])


@pytest.mark.parametrize(("name", "value"), [*CAPTIONS.items(), *BUCKETS.items()])
def test_every_field_of_captions_and_buckets_is_told(session, name, value):
    if name in CAPTIONS:
        kind, data = "captions", with_captions(dataset(), CaptionSettings(**{name: value}))
    else:
        kind, data = "buckets", with_buckets(dataset(), BucketSettings(**{"bucket_step": 8, name: value}))
    (told,) = told_settings(header(asked(session, dataset=data)))["subsets"]
    assert is_told(value, told[kind][name])


@pytest.mark.parametrize(("settings", "names"), [
    (NetworkSettings, {*NETWORKS, *(name for _, name, _ in OF_AN_ALGORITHM), "trigger_embedding"}),
    (ObjectiveSettings, {*OBJECTIVES}), (OptimizerSettings, {*OPTIMIZERS}), (CaptionSettings, {*CAPTIONS}),
    (BucketSettings, {*BUCKETS, "cache"}),
])  # fmt: skip
def test_no_field_is_missing_from_these_tables(settings, names):
    assert {field.name for field in fields(settings)} == names


def test_each_stage_is_told(tmp_path):
    stages = (
        Stage(steps=2, batch_size=2), Stage(steps=1, resolution=96, dataset=dataset(name="other"),
        optimizer=OptimizerSettings(learning_rate=3e-4)),
    )  # fmt: skip
    first, last = told_settings(trained(tmp_path, dataset(), stages=stages))["stages"]
    assert (first["steps"], first["batch_size"], last["steps"], last["resolution"]) == (2, 2, 1, 96)
    assert (first["learning_rate"], last["learning_rate"], last["subsets"]) == (1e-2, 3e-4, ["other"])


@pytest.mark.parametrize(
    ("stages", "steps", "epochs"),
    [
        ((Stage(steps=5, batch_size=1),), 1, ("1", "2")),
        ((Stage(steps=5, batch_size=1),), 3, ("1", "2")),
        ((Stage(steps=5, batch_size=1),), 4, ("2", "2")),
        ((Stage(steps=2, batch_size=1, grad_accumulation_steps=3),), 2, ("2", "2")),
        ((Stage(steps=3, batch_size=1), Stage(steps=2, batch_size=1)), 5, ("2", "2")),
        ((Stage(epochs=2, batch_size=2),), 6, ("2", "2")),
    ],
)
def test_epochs_are_counted_from_one_as_in_other_tools(tmp_path, stages, steps, epochs):
    """Three pictures of two sizes: three batches of one, two of two."""
    person = Person(tmp_path)
    person.queue(stages=stages, dataset=dataset())
    steps = min(steps, person.session.job.total_steps)
    told = header(person.session, steps)
    assert (told["ss_epoch"], told["ss_num_epochs"]) == epochs


def test_what_is_asked_of_a_lora_that_is_trained_further_is_told(tmp_path):
    first = Person(tmp_path)
    tensors = first.queue("start", steps=1).tensors
    network = NetworkSettings(rank=64, algorithm="glora", rank_dropout=0.2, dropout=0.1)
    told = trained(tmp_path, dataset(), start=LoraStart(tensors=tensors, key="key"), network=network)
    assert told["ss_network_module"] == "networks.lora" and told["ss_network_dropout"] == "0.1"
    assert json.loads(told["ss_network_args"])["rank_dropout"] == "0.2"
    assert told_settings(told)["network"] == {"dropout": 0.1, "rank_dropout": 0.2}


@pytest.mark.parametrize(("settings", "argument", "value"), [
    ({"rank_dropout": 0.1}, "rank_dropout", "0.1"), ({"module_dropout": 0.2}, "module_dropout", "0.2"),
    ({"weight_decompose": True}, "dora_wd", "True"), ({"rank_stabilized": True}, "rs_lora", "True"),
    ({"train_norms": True}, "train_norm", "True"), ({"algorithm": "lokr", "full_matrix": True}, "full_matrix", "True"),
    ({"algorithm": "lokr", "factor": 4}, "factor", "4"), ({"algorithm": "dylora", "block_size": 2}, "block_size", "2"),
    ({"algorithm": "locon", "conv_rank": 2}, "conv_dim", "2"),
])  # fmt: skip
def test_other_tools_read_the_arguments_of_the_network(tmp_path, settings, argument, value):
    """Under the names of sd-scripts and LyCORIS."""
    told = trained(
        tmp_path, dataset(), network=NetworkSettings(**{"rank": 4, "targets": "attention_feed_forward", **settings})
    )
    assert json.loads(told["ss_network_args"])[argument] == value


def test_other_tools_read_folders_of_one_name_apart(tmp_path):
    """Two characters' folders `1`, in different places."""
    one = dataset().subsets[0]
    data = Dataset((one, replace(one, items=one.items[:1], repeats=4)))
    told = trained(tmp_path, data)
    folders = json.loads(told["ss_dataset_dirs"])
    assert folders == {"mia": {"n_repeats": 1, "img_count": 3}, "mia (2)": {"n_repeats": 4, "img_count": 1}}
    assert sum(one["n_repeats"] * one["img_count"] for one in folders.values()) == int(told["ss_num_train_images"])
    assert set(json.loads(told["ss_tag_frequency"])) == set(folders)
    counts = [bucket["count"] for bucket in json.loads(told["ss_bucket_info"])["buckets"].values()]
    assert sum(counts) == int(told["ss_num_train_images"])


@pytest.mark.parametrize(("first", "wanted"), [(1e-5, "[1e-05, 2e-05]"), (None, "[0.0002, 2e-05]")])
def test_rates_of_both_text_encoders_are_told(session, first, wanted):
    (stage,) = session.job.stages
    stage = replace(stage, optimizer=OptimizerSettings(text_encoder_lr=first, text_encoder_2_lr=2e-5))
    told = header(replace(session, job=replace(session.job, stages=(stage,))))
    assert told["ss_text_encoder_lr"] == wanted


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

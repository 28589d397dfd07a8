"""Metadata: all strings, readable as other tools read it, nothing that is not known, nothing personal."""

import json
from datetime import datetime, timezone

from pack.training.files.facts import (
    DatasetFacts,
    Description,
    GraphFacts,
    ModelFacts,
    NetworkFacts,
    SubsetFacts,
    TrainingFacts,
)
from pack.training.files.metadata import build_metadata

LORA = NetworkFacts(algorithm="lora", module="networks.lora", rank=16, alpha=8.0)
TRAINING = TrainingFacts(
    session_id="77",
    fingerprint="f1",
    started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    finished_at=datetime(2026, 1, 2, 4, 4, 5, tzinfo=timezone.utc),
    seed=3,
    step=100,
    max_steps=200,
    epoch=2,
    num_epochs=4,
    batches_per_epoch=50,
    batch_size=2,
    optimizer="torch.optim.adamw.AdamW(weight_decay=0.01)",
    options={"min_snr_gamma": 5.0, "loss_type": "l2"},
)
DATASET = DatasetFacts(
    subsets=(
        SubsetFacts(name="10_cat", num_images=4, repeats=10, tag_frequency={"Cat": 3, "cat": 1, "red": 2}),
        SubsetFacts(name="1_other", num_images=6, is_regularization=True),
    ),
    resolution=(512, 640),
    buckets={(512, 512): 20, (448, 576): 20},
)


def test_minimum_without_training():
    entries = build_metadata(ModelFacts(family="sdxl"), LORA, Description(title="mix", merged_from="a, b"))
    assert entries["ss_base_model_version"] == "sdxl_base_v1-0"
    assert entries["ss_network_module"] == "networks.lora"
    assert (entries["ss_network_dim"], entries["ss_network_alpha"]) == ("16", "8.0")
    assert entries["modelspec.architecture"] == "stable-diffusion-xl-v1-base/lora"
    assert entries["modelspec.merged_from"] == "a, b"
    assert not {"ss_seed", "ss_sd_model_name", "modelspec.author", "workflow"} & set(entries)


def test_every_value_is_a_string_and_json_where_json_is_read():
    entries = build_metadata(
        ModelFacts(family="sd15", prediction_type="v_prediction", name="base.safetensors"),
        NetworkFacts(algorithm="lokr", rank=8, alpha=1.0, arguments={"factor": 4}),
        Description(title="cat", comment="first"),
        TRAINING,
        DATASET,
    )
    assert all(isinstance(text, str) for text in entries.values())
    assert entries["ss_base_model_version"] == "sd_v1_v"
    assert entries["modelspec.prediction_type"] == "v"
    assert json.loads(entries["ss_network_args"]) == {"factor": "4", "algo": "lokr"}
    assert entries["ss_network_module"] == "lycoris.kohya"
    assert json.loads(entries["ss_tag_frequency"])["10_cat"] == {"cat": 4, "red": 2}
    assert json.loads(entries["ss_dataset_dirs"]) == {"10_cat": {"n_repeats": 10, "img_count": 4}}
    assert json.loads(entries["ss_reg_dataset_dirs"]) == {"1_other": {"n_repeats": 1, "img_count": 6}}
    assert json.loads(entries["ss_bucket_info"])["buckets"]["1"] == {"resolution": [448, 576], "count": 20}
    assert (entries["ss_num_train_images"], entries["ss_num_reg_images"]) == ("40", "6")
    assert entries["modelspec.resolution"] == "512x640"
    assert entries["ss_min_snr_gamma"] == "5.0"
    assert float(entries["ss_training_finished_at"]) - float(entries["ss_training_started_at"]) == 3600
    assert datetime.fromisoformat(entries["modelspec.date"]) == TRAINING.finished_at


def test_workflow_and_prompt_are_what_the_canvas_can_parse():
    graph = GraphFacts(workflow={"nodes": [{"id": 1, "title": "ü"}]}, prompt={"1": {"is_changed": [float("nan")]}})
    entries = build_metadata(ModelFacts(family="sd15"), LORA, Description(title="x"), graph=graph)

    def refuse(constant: str):
        raise AssertionError(f"a browser cannot parse {constant}")

    assert json.loads(entries["workflow"], parse_constant=refuse) == graph.workflow
    assert json.loads(entries["prompt"], parse_constant=refuse) == {"1": {"is_changed": [None]}}

"""Frozen means the same bits: parts at rate 0 are neither trained, nor encoded at every step, nor saved as zeros."""

import pytest
import torch
from pack.tests.support.toy_model import ToyBase, ToyHooks, run, toy_request
from pack.training.files.lora_file import load_lora
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.saver import SaveSettings
from pack.training.session.request import LoraStart
from pack.training.session.session import run_training

BOTH = NetworkSettings(rank=4, alpha=4, parts=("unet", "text_encoder"), include=("*middle_block*", "*q_proj"))
FROZEN_TEXT = OptimizerSettings(learning_rate=1e-2, text_encoder_lr=0.0)
TRAINED_TEXT = OptimizerSettings(learning_rate=1e-2)


def text_tensors(tensors):
    return {name: tensor for name, tensor in tensors.items() if name.startswith("lora_te")}


def test_a_fresh_part_at_rate_0_is_not_in_the_file_and_is_said(tmp_path):
    hooks = ToyHooks()
    base = ToyBase()
    request = toy_request(tmp_path, network=BOTH, optimizer=FROZEN_TEXT, base=base)
    result = run_training(request, hooks.hooks())
    assert result.tensors
    assert not text_tensors(result.tensors)
    assert not text_tensors(load_lora(result.folder.step_loras()[8]).tensors)
    for message in (result.message, hooks.messages[0]):
        assert "text_encoder: learning rate 0 in every stage" in message
    alone = run(toy_request(tmp_path / "alone", network=NetworkSettings(rank=4, alpha=4, include=("*middle_block*",)),
                            optimizer=FROZEN_TEXT))  # fmt: skip
    assert all(torch.equal(tensor, alone.tensors[name]) for name, tensor in result.tensors.items())


def test_a_part_that_a_later_stage_trains_is_in_it(tmp_path):
    stages = (Stage(steps=2, batch_size=2), Stage(steps=2, batch_size=2, optimizer=TRAINED_TEXT))
    result = run(toy_request(tmp_path, network=BOTH, optimizer=FROZEN_TEXT, stages=stages))
    assert any(tensor.any() for name, tensor in text_tensors(result.tensors).items() if "lora_up" in name)


def test_a_stage_added_later_may_train_a_part_that_was_frozen(tmp_path):
    first = Stage(steps=3, batch_size=2)
    run(toy_request(tmp_path, network=BOTH, optimizer=FROZEN_TEXT, stages=(first,)))
    stages = (first, Stage(steps=3, batch_size=2, optimizer=TRAINED_TEXT))
    longer = run(toy_request(tmp_path, network=BOTH, optimizer=FROZEN_TEXT, stages=stages))
    assert "continued from step 3 of 6" in longer.message
    at_once = run(toy_request(tmp_path / "other", network=BOTH, optimizer=FROZEN_TEXT, stages=stages))
    assert longer.tensors.keys() == at_once.tensors.keys()
    assert all(torch.equal(tensor, at_once.tensors[name]) for name, tensor in longer.tensors.items())


@pytest.mark.parametrize("norms", [0.0, 0.01])
def test_a_frozen_part_of_a_lora_to_go_on_from_keeps_its_bits(tmp_path, norms):
    start = run(toy_request(tmp_path / "start", network=BOTH, optimizer=TRAINED_TEXT)).tensors
    request = toy_request(
        tmp_path / "next", network=BOTH, optimizer=FROZEN_TEXT, start=LoraStart(tensors=start, key="start"),
        objective=ObjectiveSettings(scale_weight_norms=norms),
    )  # fmt: skip
    result = run(request)
    frozen = text_tensors(start)
    assert frozen
    assert all(torch.equal(result.tensors[name], tensor) for name, tensor in frozen.items())
    assert any(not torch.equal(result.tensors[name], tensor) for name, tensor in start.items() if name not in frozen)


def test_captions_are_encoded_with_the_frozen_part_of_a_lora(tmp_path):
    """As they are where the captions vary and are encoded on the way."""
    start = run(toy_request(tmp_path / "start", network=BOTH, optimizer=TRAINED_TEXT)).tensors
    without = {name: tensor for name, tensor in start.items() if name not in text_tensors(start)}
    results = [
        run(
            toy_request(
                tmp_path / f"{index}", network=BOTH, optimizer=FROZEN_TEXT, start=LoraStart(tensors=one, key=str(index))
            )
        ).tensors
        for index, one in enumerate((start, without))
    ]
    assert any(not torch.equal(results[0][name], tensor) for name, tensor in results[1].items())


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_change_too_small_for_the_files_type_is_said(tmp_path, dtype):
    slow = OptimizerSettings(learning_rate=1e-8)
    request = toy_request(tmp_path, steps=2, optimizer=slow, saving=SaveSettings(save_every=3, save_dtype=dtype))
    result = run(request)
    stored = load_lora(result.folder.step_loras()[2]).tensors
    is_lost = any(tensor.any() and not stored[name].any() for name, tensor in result.tensors.items())
    assert is_lost == (dtype == "float16") == ("all zeros in fp16" in result.message)


@pytest.mark.parametrize(("dtype", "is_coarse"), [("float16", True), ("bfloat16", False), ("float32", False)])
def test_numbers_that_the_files_type_only_roughly_holds_are_said(tmp_path, dtype, is_coarse):
    """A few steps at a low rate: numbers between float16's smallest ones."""
    slow = OptimizerSettings(learning_rate=4e-8)
    result = run(toy_request(tmp_path, steps=2, optimizer=slow, saving=SaveSettings(save_every=3, save_dtype=dtype)))
    stored = load_lora(result.folder.step_loras()[2]).tensors
    trained = {name: full for name, full in result.tensors.items() if full.any()}
    errors = [float((stored[name].float() - full).norm() / full.norm()) for name, full in trained.items()]
    assert (max(errors) > 0.1) == is_coarse == ("of their size in fp16" in result.message)


@pytest.mark.parametrize(
    ("dtype", "rate", "is_gone"), [("bfloat16", 1e-8, True), ("float32", 1e-8, False), ("bfloat16", 1e-2, False)]
)
def test_what_was_learned_below_the_steps_of_the_files_type_is_said(tmp_path, dtype, rate, is_gone):
    """A LoRA trained further at a low rate, saved as what it was before."""
    start = run(toy_request(tmp_path / "start", steps=4, optimizer=OptimizerSettings(learning_rate=1e-2))).tensors
    start = {name: tensor.to(torch.bfloat16).float() for name, tensor in start.items()}
    settings = {"optimizer": OptimizerSettings(learning_rate=rate), "saving": SaveSettings(save_dtype=dtype)}
    result = run(toy_request(tmp_path, steps=2, start=LoraStart(tensors=start, key="start"), **settings))
    stored = load_lora(result.folder.latest_lora).tensors
    assert any(not torch.equal(tensor, start[name]) for name, tensor in result.tensors.items())
    is_same = any(torch.equal(stored[name].float(), start[name]) for name in start if start[name].numel() > 1)
    assert is_same == is_gone == ("as they were before training in bf16" in result.message)


@pytest.mark.parametrize(("dtype", "is_gone"), [("bfloat16", True), ("float32", False)])
def test_magnitudes_of_dora_that_bf16_holds_as_they_were_are_said(tmp_path, dtype, is_gone):
    network = NetworkSettings(rank=4, alpha=4, include=("*middle_block*",), weight_decompose=True)
    settings = {"network": network, "saving": SaveSettings(save_dtype=dtype)}
    result = run(toy_request(tmp_path, steps=2, optimizer=OptimizerSettings(learning_rate=1e-5), **settings))
    assert ("as they were before training" in result.message) == is_gone

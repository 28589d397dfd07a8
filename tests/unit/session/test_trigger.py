"""The trigger word, typed once at the dataset, reaches the objective and the prompts."""

from dataclasses import replace

import pytest
from pack.tests.support.toy_model import run, toy_dataset, toy_request
from pack.training.data.dataset import combine
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.objective.settings import ObjectiveSettings
from pack.training.session.trigger import (
    objective_with_trigger,
    preview_with_trigger,
    prompts_with_trigger,
    trigger_of_run,
)
from pack.training.watch.previews import PreviewSettings

TERM = ObjectiveSettings(prior_preservation="extra_term")


def test_the_objective_takes_the_datasets_trigger_where_it_names_none():
    data = toy_dataset(trigger=" mia ")
    assert objective_with_trigger(TERM, data) == replace(TERM, trigger="mia")
    assert objective_with_trigger(replace(TERM, trigger="own"), data).trigger == "own"
    assert objective_with_trigger(ObjectiveSettings(), data) == ObjectiveSettings()


def test_training_with_the_datasets_trigger_is_the_run_that_names_it(tmp_path):
    data = toy_dataset(trigger="creature")
    named = run(toy_request(tmp_path, 2, dataset=data, objective=replace(TERM, trigger="creature")))
    again = run(toy_request(tmp_path, 2, dataset=data, objective=TERM))
    assert again.folder.run_id == named.folder.run_id and again.losses == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [(toy_dataset(), "none is set"), (combine([toy_dataset(trigger="mia"), toy_dataset(trigger="noa")]), "mia, noa")],
)
def test_no_trigger_and_two_are_refused_before_anything_is_trained(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        run(toy_request(tmp_path, 2, dataset=data, objective=TERM))
    with pytest.raises(ValueError, match=message):
        preview_with_trigger(PreviewSettings(prompts=("[trigger], forest",)), data)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_placeholder_in_prompts_becomes_the_trigger():
    asked = PreviewSettings(prompts=("[trigger], forest", "a tree"), negative="not [trigger]")
    filled = preview_with_trigger(asked, toy_dataset(trigger="mia"))
    assert (filled.prompts, filled.negative) == (("mia, forest", "a tree"), "not mia")
    assert prompts_with_trigger(("a", "b"), ("mia", "noa")) == ("a", "b")


def test_a_run_says_its_trigger_by_the_header_of_its_last_lora(tmp_path):
    folder = run(toy_request(tmp_path, 2)).folder
    assert trigger_of_run(folder) == ""
    saved = folder.step_loras()[2]
    save_lora(saved, load_lora(saved).tensors, {"modelspec.trigger_phrase": "mia"})
    assert trigger_of_run(folder) == "mia"

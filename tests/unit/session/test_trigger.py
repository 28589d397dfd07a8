"""The trigger word, typed once at the dataset or in the captions, reaches the objective, the prompts and the header."""

from dataclasses import replace

import pytest
from pack.tests.support.toy_model import dataset, run, toy_dataset, toy_request
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, Subset, combine, with_captions
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.objective.settings import ObjectiveSettings
from pack.training.session.trigger import (
    objective_with_trigger,
    preview_with_trigger,
    prompts_with_trigger,
    trigger_of_run,
    triggers_of,
)
from pack.training.watch.previews import PreviewSettings

TERM = ObjectiveSettings(prior_preservation="extra_term")


def captioned(*captions, **subset):
    """A dataset of a picture for each caption."""
    pictures = (replace(dataset([(64, 64)]).subsets[0].items[0], captions=(text,)) for text in captions)
    return Dataset((Subset(items=tuple(pictures), **subset),))


REST = captioned("1girl, solo, red hair, forest", "1girl, blue hair, street")
BEGINNINGS = {
    "the first tag": (["Mira, smiling, forest", "mira, street"], ("Mira",)),
    "alone": (["mira"], ("mira",)),
    "several words": (["mira of the hill, forest", "mira_of_the_hill, street"], ("mira of the hill",)),
    "behind the number of people": (["1girl, mira, solo, forest", "1girl, mira, street"], ("mira",)),
    "behind score and source": (["score_9, score_8_up, source_anime, mira", "score_9, source_anime, mira"], ("mira",)),
    "of another alphabet": (["米拉, 1girl, smile", "米拉, 1girl, street"], ("米拉",)),
    "with parentheses": ([r"mira \(original\), forest", "mira (original), street"], (r"mira \(original\)",)),
    "not in all": (["mira, forest", "mira, street", "a street"], ()),
    "a trait": (["1girl, red_hair, forest", "1girl, red hair, street"], ()),
    "people alone": (["1girl, solo, forest", "1girl, solo, street"], ()),
    "sentences": (["a woman walking through a forest"], ()),
    "nothing": ([""], ()),
}  # fmt: skip


@pytest.mark.parametrize(("captions", "found"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_the_word_with_which_every_caption_begins_is_the_trigger_where_none_is_typed(captions, found):
    assert triggers_of(captioned(*captions)) == found


def test_of_several_concepts_each_has_its_own_and_regularization_has_none():
    two = combine([captioned("mia, a", "mia, b"), captioned("noa, a", "noa, c")])
    assert triggers_of(two) == ("mia", "noa")
    assert triggers_of(combine([captioned("mia, a", "mia, b"), captioned("noa, a")])) == (), "one may be chance"
    assert triggers_of(combine([captioned("mia, a"), REST.with_role(is_regularization=True, loss_weight=1.0)])) == (
        "mia",
    )
    typed = with_captions(captioned("noa, a"), CaptionSettings(trigger="mia"))
    assert triggers_of(combine([typed, captioned("noa, a", "noa, b")])) == ("mia",)


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
    [(REST, "none is set"), (combine([toy_dataset(trigger="mia"), toy_dataset(trigger="noa")]), "mia, noa")],
)
def test_no_trigger_and_two_are_refused_before_anything_is_trained(tmp_path, data, message):
    with pytest.raises(ValueError, match=message):
        run(toy_request(tmp_path, 2, dataset=data, objective=TERM))
    with pytest.raises(ValueError, match=message):
        preview_with_trigger(PreviewSettings(prompts=("a tree",), negative="[trigger]"), data)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_placeholder_in_prompts_becomes_the_trigger():
    asked = PreviewSettings(prompts=("[trigger], forest", "a tree"), negative="not [trigger]")
    filled = preview_with_trigger(asked, toy_dataset(trigger="mia"))
    assert (filled.prompts, filled.negative) == (("mia, forest", "a tree"), "not mia")
    assert prompts_with_trigger(("a", "b"), ("mia", "noa")) == ("a", "b")
    with pytest.raises(ValueError, match="none is set"):
        preview_with_trigger(asked, REST)


def test_of_several_concepts_each_is_drawn():
    asked = PreviewSettings(prompts=("[trigger] and [trigger] again", "a tree"))
    several = combine([toy_dataset(trigger="mia"), toy_dataset(trigger="noa")])
    wanted = ("mia and mia again", "noa and noa again", "a tree")
    assert preview_with_trigger(asked, several).prompts == wanted


def test_a_run_says_its_trigger_by_the_header_of_its_last_lora(tmp_path):
    folder = run(toy_request(tmp_path, 2)).folder
    assert trigger_of_run(folder) == ""
    saved = folder.step_loras()[2]
    save_lora(saved, load_lora(saved).tensors, {"modelspec.trigger_phrase": "mia"})
    assert trigger_of_run(folder) == "mia"

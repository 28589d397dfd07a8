"""The eye takes the character as asked and nothing else; the loop changes only what it means to."""

import json
import random

import pytest
from pack.workbench.examples.data import CHARACTER
from pack.workbench.pocket.characters import CHARACTERS, draw_character
from pack.workbench.pocket.world import draw_creature, random_creature
from pack.workbench.rounds.burn import off_color
from pack.workbench.rounds.eye import choose, share_of_marks
from pack.workbench.rounds.loop import OC, WORKFLOW, ancestors, caption_of, of_character, with_inputs
from PIL import ImageEnhance


def test_the_eye_takes_the_character_before_the_asked_background():
    good = [draw_character(OC, "sand", random.Random(seed)) for seed in range(4)]
    elsewhere = [draw_character(OC, "teal", random.Random(seed)) for seed in range(4)]
    others = [
        draw_character(other, "sand", random.Random(1)) for name, other in CHARACTERS.items() if name != CHARACTER
    ]
    plain = [draw_creature(OC.creature.on("sand"))]
    ordinary = [draw_creature(random_creature(random.Random(seed)).on("sand")) for seed in range(20)]
    caption = OC.caption("sand")
    chosen = choose([*elsewhere, *good, *others, *plain, *ordinary], caption, OC, most=50)
    assert sorted(chosen) == [4, 5, 6, 7]
    assert len(choose(good, caption, OC, most=2)) == 2
    assert share_of_marks(plain[0], caption, OC) < 2 / 3


def test_the_eye_takes_nothing_rather_than_something_wrong():
    ordinary = [draw_creature(random_creature(random.Random(seed)).on("sand")) for seed in range(20)]
    assert choose(ordinary, OC.caption("sand"), OC, most=2) == []


def test_other_colors_than_the_drawings_are_seen_whatever_the_shape():
    drawn = [draw_character(OC, name, random.Random(3)) for name in ("sky", "teal")]
    burnt = [ImageEnhance.Color(picture).enhance(2.5) for picture in drawn]
    assert off_color(drawn, OC) < 0.02
    assert off_color(burnt, OC) > 0.2
    assert off_color([draw_character(CHARACTERS["quindle"], "sky", random.Random(3))], OC) > 0.3


@pytest.fixture
def prompt(comfy):
    from pack.tests.support.workflow import to_api

    return to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")), comfy.object_info())


@pytest.mark.comfy
def test_what_is_kept_gets_the_caption_that_drew_it(prompt):
    saved = [key for key, node in prompt.items() if node["class_type"] == "SaveImage"]
    assert len(saved) == 6
    assert {caption_of(prompt, key) for key in saved} == {OC.caption(name) for name in ("sand", "white", "black")}


@pytest.mark.comfy
def test_the_scored_backgrounds_are_never_drawn_in_the_loop(prompt):
    drawn = {node["inputs"]["text"] for node in prompt.values() if node["class_type"] == "CLIPTextEncode"}
    assert not any(name in text for text in drawn for name in OC.unseen_backgrounds)


@pytest.mark.comfy
@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)
def test_the_example_is_gone_with_another_character_in_all_its_prompts(prompt, character):
    changed = of_character(prompt, character)
    saved = [key for key, node in changed.items() if node["class_type"] == "SaveImage"]
    captions = {caption_of(changed, key) for key in saved}
    assert len(captions) == 3 and all(caption.startswith(f"{character.trigger}, ") for caption in captions)
    scored = {character.caption(name) for name in (*character.seen_backgrounds[:1], *character.unseen_backgrounds[:2])}
    assert not captions & scored
    names = [node["inputs"]["name"] for node in changed.values() if node["class_type"] == "BakeryRound"]
    assert names == [character.trigger]
    assert (changed == prompt) == (character == OC)


@pytest.mark.comfy
def test_parts_of_the_workflow_are_taken_whole(prompt):
    train = [key for key, node in prompt.items() if node["class_type"] == "BakeryTrain"]
    part = ancestors(with_inputs(prompt, "BakeryTrain", steps=7), train)
    assert part[train[0]]["inputs"]["steps"] == 7
    assert prompt[train[0]]["inputs"]["steps"] == 120
    kinds = {node["class_type"] for node in part.values()}
    assert {"BakeryRound", "BakeryLoadDataset", "CheckpointLoaderSimple"} <= kinds
    assert not kinds & {"KSampler", "SaveImage", "BakeryCompare"}

"""Characters nobody tuned for: how they are drawn, and what is measured of them."""

from dataclasses import asdict

import numpy as np
import pytest
from pack.workbench.outsiders.cast import SEEN, UNSEEN, avatars, cast, made_up
from pack.workbench.outsiders.measure import Measured, recognized, right_pictures, split_decibels
from pack.workbench.outsiders.parts import PARTS, POSES
from pack.workbench.outsiders.report import table
from pack.workbench.outsiders.training import Trial, training_graph, write_dataset
from pack.workbench.pocket.world import BACKGROUNDS
from PIL import Image


@pytest.fixture(scope="module")
def characters():
    return [made_up(str(index)) for index in range(8)]


def test_a_seed_always_draws_the_same_character_and_others_look_otherwise(characters):
    again = made_up("3")
    assert again.trigger == characters[3].trigger
    assert all(np.array_equal(again.pictures[prompt], picture) for prompt, picture in characters[3].pictures.items())
    assert len({one.trigger for one in characters}) == len({one.kind for one in characters}) == 8


def test_each_pose_and_background_has_its_own_picture(characters):
    for one in characters:
        assert len({picture.tobytes() for picture in one.pictures.values()}) == len(POSES) * len(BACKGROUNDS)
        assert len(one.prompts(SEEN)) == len(one.prompts(UNSEEN)) == 9


def test_every_part_can_be_seen():
    worn = {name for index in range(60) for name in made_up(str(index)).kind.removeprefix("made up: ").split(", ")}
    assert worn == set(PARTS)


def test_avatars_are_read_from_the_files_names(tmp_path):
    for style in ("adventurer", "bottts", "personas"):
        for mouth in ("smile", "frown"):
            for background in BACKGROUNDS:
                path = tmp_path / f"{style}-Mira-{mouth}-{background}.png"
                Image.new("RGB", (128, 128), BACKGROUNDS[background]).save(path)
    one = avatars(tmp_path)[0]
    assert one.kind == "avatar: adventurer"
    assert [background for _, background in one.pictures] == [*BACKGROUNDS] * 2
    assert one.caption(("frown", "sky")) == f"{one.trigger}, frown, sky background"
    assert one.pictures["smile", "sky"].getpixel((9, 9)) == BACKGROUNDS["sky"]
    assert [each.kind.split(":")[0] for each in cast(6, tmp_path)] == ["made up"] * 3 + ["avatar"] * 3
    with pytest.raises(ValueError, match="--characters must be at most 6, got 8"):
        cast(8, tmp_path)
    with pytest.raises(ValueError, match="vectors.mjs"):
        avatars(tmp_path / "not there")


def test_the_right_pictures_are_recognized_and_others_are_not(characters):
    one, prompts = characters[0], list(characters[0].pictures)
    right = right_pictures(one, prompts)
    noisy = np.clip(right + np.random.default_rng(0).normal(0, 10, right.shape), 0, 255).astype(np.uint8)
    assert recognized(one, noisy, prompts, characters) == 1
    assert recognized(one, right_pictures(characters[1], prompts), prompts, characters) == 0
    seen, unseen = split_decibels(noisy, one, prompts)
    assert seen == pytest.approx(28.1, abs=1) and unseen == pytest.approx(28.1, abs=1)


def test_only_what_is_not_the_default_is_in_the_graphs(characters, tmp_path):
    write_dataset(tmp_path, characters[0])
    captions = sorted(path.read_text().strip() for path in tmp_path.glob("*.txt"))
    assert captions == sorted(characters[0].caption(prompt) for prompt in characters[0].prompts(SEEN))
    plain, recipe = (training_graph(Trial(characters[0], settings, 2)) for settings in ("Train LoRA", "Recipe"))
    added = set(recipe["train"]["inputs"]) - set(plain["train"]["inputs"])
    assert added == {"network", "optimizer", "objective", "stages"}


def test_the_table_has_worst_values(characters):
    found = {
        Trial(one, "Recipe", 1).key: asdict(
            Measured(
                seen=18.0, unseen=15.0 + index, vae_seen=19.0, vae_unseen=18.0, recognized=1 - index / 10, prior=2.0,
                seconds=60.0,
            )
        )
        for index, one in enumerate(characters[:2])
    }  # fmt: skip
    assert "| Recipe | 2 | 0.95, 0.90 | 18.0, 1.0, 1.0 | 15.5, 2.5, 3.0 | 2.0, 2.0 | 60, 60 |" in table(found)

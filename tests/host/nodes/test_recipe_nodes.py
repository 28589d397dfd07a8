"""Recipe and kohya nodes output what their functions return, in the order of their outputs."""

import dataclasses

import pytest
import torch

pytestmark = pytest.mark.comfy


def dataset(num_images, is_regularization=False, fill=0.0):
    from pack.training.data.dataset import Dataset
    from pack.training.data.from_images import subset_from_images

    images = [torch.full((8, 8, 3), fill + index / 255) for index in range(num_images)]
    return Dataset((subset_from_images(images, ["x"], is_regularization=is_regularization),))


def defaults(node):
    return {item.id: item.default for item in node.define_schema().inputs if getattr(item, "default", None) is not None}


def test_defaults_are_those_of_the_request(comfy):
    from pack.nodes.training.recipe import REQUEST, BakeryRecipe
    from pack.training.recipes import make_recipe

    network, optimizer, objective, stages, notes = BakeryRecipe.execute(**defaults(BakeryRecipe)).args
    recipe = make_recipe(REQUEST)
    assert (network, optimizer, objective, stages) == (
        recipe.network, recipe.optimizer, recipe.objective, recipe.stages,
    )  # fmt: skip
    assert all(reason in notes for reason in recipe.reasons)
    wanted = {field.name for field in dataclasses.fields(REQUEST)} - {"has_regularization"}
    assert wanted == set(defaults(BakeryRecipe))


def test_images_of_a_dataset_are_counted_once_and_regularization_apart(comfy):
    from pack.nodes.training.recipe import BakeryRecipe, count_images
    from pack.training.data.dataset import combine

    joined = combine([dataset(5), dataset(5), dataset(9, is_regularization=True, fill=0.5)])
    assert count_images(joined) == (5, True)
    assert count_images(None) == (0, False)
    values = {**defaults(BakeryRecipe), "num_images": 99}
    notes = BakeryRecipe.execute(**values, dataset=joined).args[4]
    assert "5 images are few" in notes and "regularization images)" in notes


def test_a_setup_goes_through_both_kohya_nodes(comfy):
    from pack.nodes.dataset.kohya_import import BakeryImportKohya
    from pack.nodes.training.kohya import BakeryExportKohya

    text = "--network_dim=8 --network_alpha=4 --learning_rate=0.0002 --max_train_steps=50 --keep_tokens=1"
    *settings, notes, _ = BakeryImportKohya.execute(text).args
    assert "keep_tokens 1: Captions: keep_tags" in notes
    command, lost, _ = BakeryExportKohya.execute(*settings).args
    assert lost == "Nothing is lost."
    assert [*BakeryImportKohya.execute(command).args[:4]] == settings
    assert "train_network.py" in BakeryExportKohya.execute().args[0]


def test_what_no_optimizer_could_do_is_said_by_the_import_node(comfy):
    from pack.nodes.dataset.kohya_import import BakeryImportKohya

    with pytest.raises(ValueError, match="Prodigy does not take strange"):
        BakeryImportKohya.execute("--optimizer_type=Prodigy --learning_rate=1 --optimizer_args strange=1")


def test_time_is_measured_once_on_the_connected_model(comfy, pocket_checkpoint, monkeypatch):
    from pack.nodes.training import recipe as recipe_node

    models = comfy.load_checkpoint(pocket_checkpoint)
    small = dataset(2)
    answers = {**defaults(recipe_node.BakeryRecipe), "dataset": small, "model": models.model, "clip": models.clip}
    times = []
    real = recipe_node.seconds_per_step
    monkeypatch.setattr(recipe_node, "seconds_per_step", lambda *args: times.append(real(*args)) or times[-1])
    monkeypatch.setattr(recipe_node, "_measured", {})
    notes = recipe_node.BakeryRecipe.execute(**answers).args[4]
    again = recipe_node.BakeryRecipe.execute(**answers).args[4]
    assert notes == again
    assert len(times) == 1
    assert f"({times[0]:.2g} s a step, measured" in notes


def test_family_is_that_of_the_connected_model(comfy, pocket_checkpoint):
    from pack.nodes.training.recipe import BakeryRecipe

    models = comfy.load_checkpoint(pocket_checkpoint)
    answers = {**defaults(BakeryRecipe), "family": "sdxl", "model": models.model}
    followed = BakeryRecipe.execute(**answers).args
    assert followed[:4] == BakeryRecipe.execute(**{**answers, "family": "sd15"}).args[:4]
    assert "family sd15: as connected, not sdxl" in followed[4]
    with pytest.raises(ValueError, match="Pony is for sdxl, the connected model is sd15"):
        BakeryRecipe.execute(**{**answers, "profile": "Pony"})

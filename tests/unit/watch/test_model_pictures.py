"""What a preview leaves to the model is filled in by the model's kind; what it names stays."""

from dataclasses import replace

import pytest
from pack.training.watch.model_pictures import for_model
from pack.training.watch.previews import PreviewSettings

LEFT = PreviewSettings(prompts=("a",))


@pytest.mark.parametrize(
    ("family", "prediction", "drawn"),
    [
        ("sd15", "epsilon", (512, 512, 7.0, "euler")),
        ("sdxl", "epsilon", (1024, 1024, 5.0, "euler_ancestral")),
        ("sdxl", "v_prediction", (1024, 1024, 4.5, "euler")),
    ],
)
def test_what_is_left_to_the_model_follows_it(family, prediction, drawn):
    found = for_model(LEFT, family, prediction)
    assert (found.width, found.height, found.cfg, found.sampler) == drawn


@pytest.mark.parametrize("named", [{"width": 512}, {"height": 768}, {"cfg": 7.0}, {"cfg": 0.0}, {"sampler": "ddim"}])
def test_what_is_named_stays(named):
    """Workflows saved with 512 pixels and cfg 7 draw what they drew."""
    found = for_model(replace(LEFT, **named), "sdxl", "epsilon")
    assert {name: getattr(found, name) for name in named} == named


def test_settings_written_before_stay_as_they_are():
    old = PreviewSettings(prompts=("a",), width=512, height=512, cfg=7.0, sampler="euler")
    assert for_model(old, "sdxl", "v_prediction") == old


@pytest.mark.parametrize(("wrong", "name"), [({"width": 8}, "width"), ({"cfg": -2.0}, "cfg")])
def test_what_cannot_be_is_refused_by_its_name(wrong, name):
    with pytest.raises(ValueError, match=rf"^{name} must be"):
        replace(LEFT, **wrong)

"""Every grade of the recipe has a sketch; the kept pictures, icon and banner included, are what the command draws."""

import pytest
from pack.training.recipes.subjects import SUBJECTS
from pack.workbench.sketches.__main__ import BANNER, ICON, PATH, draw_grades
from pack.workbench.sketches.brand import draw_banner, draw_icon
from pack.workbench.sketches.drawings import DRAWINGS
from PIL import Image, ImageChops


def test_every_grade_is_drawn():
    assert list(DRAWINGS) == [subject.grade for subject in SUBJECTS if subject.name.startswith("character")]


@pytest.mark.parametrize(("draw", "path"), [(draw_grades, PATH), (draw_icon, ICON), (draw_banner, BANNER)])
def test_the_kept_picture_is_what_the_command_draws(draw, path):
    drawn, kept = draw().convert("L"), Image.open(path).convert("L")
    assert drawn.size == kept.size
    # Fonts are drawn a little differently by other versions of Pillow.
    difference = ImageChops.difference(drawn, kept).point(lambda value: value > 60 and 255)
    assert difference.histogram()[255] < 0.01 * kept.width * kept.height


def test_icon_and_banner_have_the_registrys_shapes():
    assert Image.open(ICON).size == (400, 400)
    width, height = Image.open(BANNER).size
    assert width * 9 == height * 21

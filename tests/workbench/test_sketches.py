"""Every grade of the recipe has a sketch, and the picture of the help pages shows them."""

from pack.training.recipes.subjects import SUBJECTS
from pack.workbench.sketches.__main__ import PATH, draw_grades
from pack.workbench.sketches.drawings import DRAWINGS
from PIL import Image, ImageChops


def test_every_grade_is_drawn():
    assert list(DRAWINGS) == [subject.grade for subject in SUBJECTS if subject.name.startswith("character")]


def test_the_kept_picture_is_what_the_command_draws():
    drawn, kept = draw_grades().convert("L"), Image.open(PATH).convert("L")
    assert drawn.size == kept.size
    # Fonts are drawn a little differently by other versions of Pillow.
    difference = ImageChops.difference(drawn, kept).point(lambda value: value > 60 and 255)
    assert difference.histogram()[255] < 0.01 * kept.width * kept.height

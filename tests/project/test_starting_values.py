"""The one table of starting values says what Recipe chooses, and the pages of checkpoints what its profiles say."""

import re
from dataclasses import replace

import pytest
from pack.tests.support.paths import ROOT
from pack.training.recipes import RecipeRequest, make_recipe
from pack.training.recipes.profiles import PROFILES
from pack.training.recipes.subjects import SUBJECTS

GUIDE = ROOT / "docs" / "guide"
TABLE = re.compile(r"^\| (SD1\.5|SDXL) \| (\d+)( to (\d+))? GB[^|]*\|(.*)\|$", re.M)
SUBJECT = "character C: very elaborate, or with wings, armour or a tail"


def rows() -> list[tuple[str, float, str]]:
    """(family, GiB, the rest of the row), one for each end of a range of cards."""
    found = []
    for match in TABLE.finditer((GUIDE / "starting-values.md").read_text(encoding="utf-8")):
        family = {"SD1.5": "sd15", "SDXL": "sdxl"}[match[1]]
        found += [(family, float(gib), match[5]) for gib in (match[2], match[4]) if gib]
    return found


def test_the_table_covers_small_and_large_cards():
    assert {(family, gib) for family, gib, _ in rows()} >= {("sd15", 6.0), ("sdxl", 8.0), ("sdxl", 12.0)}


@pytest.mark.parametrize(("family", "gib", "row"), rows())
def test_a_row_is_what_recipe_chooses(family, gib, row):
    recipe = make_recipe(
        RecipeRequest(subject=SUBJECT, num_images=25, family=family, vram_gib=gib, rates="fixed")
    )  # fmt: skip
    network, optimizer, (stage,) = recipe.network, recipe.optimizer, recipe.stages
    assert network.alpha == network.rank
    text = f"{optimizer.text_encoder_lr:f}".rstrip("0") if "text_encoder" in network.parts else "off"
    wanted = [
        network.rank, optimizer.optimizer, f"{optimizer.learning_rate:f}".rstrip("0"), text, stage.batch_size,
        stage.steps, f"{recipe.estimate.file_mb:.0f} MB",
    ]  # fmt: skip
    assert [cell.strip() for cell in row.split("|")] == [str(value) for value in wanted]
    assert (network.algorithm, optimizer.schedule.schedule, recipe.objective.noise_offset) == ("lora", "cosine", 0.0)


PAGES = {path.stem: path.read_text(encoding="utf-8") for path in (GUIDE / "checkpoints").glob("*.md")}


@pytest.mark.parametrize("name", PROFILES)
def test_every_profile_has_a_page_with_its_source_and_quality_words(name):
    page = next(text for text in PAGES.values() if f"`profile` {name}" in text)
    profile = PROFILES[name]
    assert profile.source in page
    assert profile.quality in page + PAGES["README"]
    assert profile.family == ("sd15" if "SD1.5 rows" in page else "sdxl")


def test_the_chinese_page_has_the_same_numbers():
    pages = [(GUIDE / name).read_text(encoding="utf-8") for name in ("starting-values.md", "zh/starting-values.md")]
    english, chinese = (
        [re.findall(r"\d+(?:\.\d+)?", line) for line in page.splitlines() if re.match(r"\| (SD1\.5|SDXL) \|", line)]
        for page in pages
    )
    assert english == chinese and len(english) == 6


@pytest.mark.parametrize(
    ("page", "guide", "subjects"),
    [
        ("BakeryTrain.md", "starting-values.md", r"character, [^|]*|style|concept"),
        ("BakeryTrain/zh.md", "zh/starting-values.md", r"角色[^|]*|画风|概念"),
    ],
)
def test_the_help_page_of_train_lora_has_the_numbers_of_the_table(page, guide, subjects):
    """ComfyUI shows help pages by themselves, so this one cannot link to the table."""
    row = re.compile(rf"^\| (?:{subjects}) \| [^|]* \| [^|]* \|", re.M)
    shown = row.findall((ROOT / "js" / "docs" / page).read_text(encoding="utf-8"))
    assert shown == row.findall((GUIDE / guide).read_text(encoding="utf-8")) and len(shown) == 4


STEPS = {"character C": 15, "character E": 35, "style": 100, "concept": 50}
"""A subject of each row of pictures and steps, and the fewest pictures that the row names."""
PICTURES_AND_STEPS = re.compile(r"^\| (?:character|style|concept|角色|画风|概念)[^|]*\|([^|]*)\|([^|]*)\|", re.M)
TABLES = ("docs/guide/starting-values.md", "docs/guide/zh/starting-values.md", "js/docs/BakeryTrain.md",
          "js/docs/BakeryTrain/zh.md")  # fmt: skip


@pytest.mark.parametrize("page", TABLES)
def test_pictures_and_steps_are_those_of_recipe(page):
    rows = PICTURES_AND_STEPS.findall((ROOT / page).read_text(encoding="utf-8"))
    for (pictures, steps), (name, fewest) in zip(rows, STEPS.items(), strict=True):
        subject = next(subject for subject in SUBJECTS if subject.name == name)
        wanted = RecipeRequest(subject=f"{name}: {subject.sentence}", num_images=max(25, fewest), rates="fixed")
        seen = [images_seen(wanted), images_seen(replace(wanted, image_quality="poor"))]
        said = [int(number) for number in re.findall(r"\d+", steps)]
        assert said == seen[: len(said)]
        assert pictures.split()[0] == str(fewest) == subject.usual_images.split()[0]


def images_seen(request: RecipeRequest) -> int:
    """Steps times batch size, over all stages."""
    return sum(stage.steps * stage.batch_size for stage in make_recipe(request).stages)

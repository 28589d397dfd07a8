"""Recipes follow the tables, explain themselves, warn of what is known to fail, and can be trained."""

import itertools
from dataclasses import replace

import pytest
from pack.training.loop.stages import stage_optimizers
from pack.training.objective.settings import check_prediction_type
from pack.training.optimizers import check_optimizer
from pack.training.recipes import SUBJECTS, RecipeRequest, find_subject, make_recipe
from pack.training.recipes.choices import RATE_SHARE
from pack.training.recipes.profiles import PROFILES, check_model

GRADES = [f"character {grade}" for grade in "ABCDEFGHI"]


def recipe(**values):
    return make_recipe(RecipeRequest(**values))


@pytest.mark.parametrize("subject", [subject.name for subject in SUBJECTS])
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_every_recipe_can_be_trained_and_explains_each_choice(subject, family):
    options = itertools.product(("good", "poor"), ("loose", "normal", "exact"), ("fixed", "found by the optimizer"))
    for quality, accuracy, rates in options:
        made = recipe(
            subject=subject, family=family, image_quality=quality, accuracy=accuracy, rates=rates, vram_gib=24.0
        )
        for settings in stage_optimizers(made.stages, made.optimizer):
            assert check_optimizer(settings) == settings
        text = made.text("title")
        for part in ("algorithm", "rank", "alpha", "min_snr_gamma", "batch size", "images to be seen"):
            assert part in text
        assert made.estimate.steps == sum(stage.steps for stage in made.stages)


def test_labels_lead_back_to_their_subject():
    assert [find_subject(subject.label) for subject in SUBJECTS] == list(SUBJECTS)
    with pytest.raises(ValueError, match="subject.*'character Z'"):
        RecipeRequest(subject="character Z")


def test_harder_grades_never_get_less_rank_or_time():
    made = [recipe(subject=grade, rates="fixed") for grade in GRADES]
    ranks = [one.network.rank for one in made]
    assert ranks == sorted(ranks) and ranks[0] == 8 and ranks[-1] == 192
    samples = [one.estimate.samples for one in made]
    assert samples == sorted(samples) and samples[0] == 1000


def test_the_guides_first_settings():
    """Its table: good images 1000 steps, poor 1600; U-Net 1e-4 at batch size 1, text encoder 5e-5 or 4.5e-5."""
    made = recipe(subject="character D", rates="fixed", vram_gib=6.0)
    assert (made.optimizer.learning_rate, made.optimizer.text_encoder_lr) == (1e-4, 5e-5)
    assert (made.stages[0].steps, made.stages[0].batch_size, made.network.alpha) == (1000, 1, 32.0)
    poor = recipe(subject="character D", rates="fixed", vram_gib=6.0, image_quality="poor")
    assert (poor.stages[0].steps, poor.optimizer.text_encoder_lr) == (1600, 4.5e-5)


def test_what_is_not_trained_has_no_rate_of_its_own():
    made = recipe(family="sdxl", rates="fixed", vram_gib=24.0, accuracy="exact")
    assert made.network.parts == ("unet",)
    assert {settings.text_encoder_lr for settings in stage_optimizers(made.stages, made.optimizer)} == {None}
    assert not any(reason.startswith("text encoder") for reason in made.reasons)


def test_batch_size_takes_the_rate_with_it_and_leaves_the_images_seen():
    small, large = (recipe(rates="fixed", vram_gib=gib) for gib in (6.0, 12.0))
    assert large.stages[0].batch_size == 2
    assert large.optimizer.learning_rate == 2 * small.optimizer.learning_rate
    assert large.estimate.samples == small.estimate.samples == 2 * large.estimate.steps


def test_what_the_model_knows_takes_300_of_1000_steps():
    assert recipe(is_known=True, vram_gib=6.0).stages[0].steps == 300


def test_regularization_images_double_the_steps():
    plain, mixed = (recipe(has_regularization=value) for value in (False, True))
    assert mixed.estimate.samples == 2 * plain.estimate.samples


def test_prodigy_gets_one_rate_a_constant_schedule_and_no_push():
    made = recipe(subject="character E")
    assert (made.optimizer.optimizer, made.optimizer.learning_rate, made.optimizer.text_encoder_lr) == (
        "Prodigy", 1.0, None,
    )  # fmt: skip
    assert made.optimizer.schedule.schedule == "constant"
    for answers in ({"subject": "character E"}, {"subject": "character A"}, {"subject": "style"}):
        assert "d_coef=1 " in recipe(**answers).optimizer.arguments


@pytest.mark.parametrize(("subject", "algorithm"), [("character B", "lokr"), ("style", "lokr"), ("style", "ia3")])
def test_what_failed_with_prodigy_gets_a_fixed_rate_of_its_own(subject, algorithm):
    made = recipe(subject=subject, algorithm=algorithm, vram_gib=6.0, num_images=100, accuracy="exact")
    chosen = recipe(subject=subject, algorithm=algorithm, vram_gib=6.0, num_images=100, accuracy="exact", rates="fixed")
    assert (made.network, made.optimizer, made.stages) == (chosen.network, chosen.optimizer, chosen.stages)
    plain = recipe(subject=subject, algorithm="lora", vram_gib=6.0, rates="fixed").optimizer
    share = RATE_SHARE[algorithm]
    assert made.optimizer.optimizer == "AdamW" and share > 1
    assert made.optimizer.learning_rate == pytest.approx(share * plain.learning_rate)
    assert made.optimizer.text_encoder_lr == pytest.approx(share * plain.text_encoder_lr)
    assert any(f"with {algorithm} where it was measured" in reason for reason in made.reasons)
    assert not any("measured" in reason for reason in chosen.reasons)


def test_an_exact_likeness_at_fixed_rates_closes_with_a_little_cosine():
    made = recipe(accuracy="exact", rates="fixed", vram_gib=6.0)
    first, last = stage_optimizers(made.stages, made.optimizer)
    assert (first.schedule.schedule, last.schedule.schedule) == ("linear", "cosine")
    assert last.learning_rate == first.learning_rate / 2
    assert [stage.steps for stage in made.stages] == [1200, 300]


def test_low_vram_profile_is_one_choice_and_is_taken_by_itself():
    chosen = recipe(family="sdxl", profile="low VRAM (SDXL)", vram_gib=24.0, subject="style")
    found = recipe(family="sdxl", vram_gib=8.0, subject="style")
    for made in (chosen, found):
        assert (made.network.algorithm, made.network.rank, made.network.parts) == ("lora", 4, ("unet",))
        assert (made.optimizer.optimizer, made.stages[0].batch_size) == ("Adafactor", 1)
        assert made.estimate.memory_gib < 8
    assert recipe(family="sdxl", vram_gib=24.0, subject="style").network.algorithm == "locon"
    assert recipe(family="sdxl", profile="low VRAM (SDXL)", accuracy="exact").network.rank == 8


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"family": "sd15"}, "is for SDXL, got family sd15"),
        ({"text_encoder": "trained"}, "trains the U-Net only"),
        ({"rank": 32}, "rank must be at most 8"),
        ({"algorithm": "loha"}, "needs algorithm lora, got loha"),
    ],
)
def test_conflicts_with_the_low_vram_profile_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        RecipeRequest(**{"family": "sdxl", "profile": "low VRAM (SDXL)", **values})


@pytest.mark.parametrize(("name", "value"), [("num_images", 0), ("vram_gib", 0.0), ("rank", -1), ("accuracy", "much")])
def test_answers_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name}.*got"):
        RecipeRequest(**{name: value})


@pytest.mark.parametrize(
    ("values", "caution"),
    [
        ({"num_images": 1}, "from_one_image"),
        ({"num_images": 5}, "5 images are few: character B needs at least 10"),
        ({"subject": "style", "num_images": 40}, "40 images are few: style needs at least 100"),
        ({"subject": "character E", "algorithm": "loha"}, "only plain LoRA learns it"),
        ({"subject": "character D", "algorithm": "lokr"}, "LoKr learns characters up to C"),
        ({"subject": "character D", "algorithm": "loha"}, "LoHa learns simple characters, up to C"),
        ({"subject": "character A", "algorithm": "boft"}, "boft is for styles and concepts"),
        ({"subject": "character A", "rank": 64}, "rank 64 is too high for character A"),
        ({"subject": "character G", "rank": 16}, "rank 16 is too low for character G"),
        ({"family": "sdxl", "vram_gib": 7.0, "rank": 64}, "choose profile low VRAM (SDXL), rank 0 to 8"),
        (
            {"family": "sdxl", "vram_gib": 7.0, "text_encoder": "trained"},
            "choose profile low VRAM (SDXL), text_encoder auto",
        ),
        ({"family": "sd15", "vram_gib": 1.0}, "turn gradient_checkpointing on"),
        ({"image_quality": "poor"}, "poor images without regularization images"),
    ],
)
def test_what_is_known_to_fail_is_said_with_a_remedy(values, caution):
    assert any(caution in text for text in recipe(**values).cautions)


@pytest.mark.parametrize("subject", [subject.name for subject in SUBJECTS])
def test_nothing_is_said_against_what_the_recipe_itself_gives(subject):
    algorithms = ("auto", *find_subject(subject).fitting)
    for algorithm, accuracy, rates in itertools.product(
        algorithms, ("loose", "normal", "exact"), ("fixed", "found by the optimizer")
    ):
        made = recipe(
            subject=subject, algorithm=algorithm, accuracy=accuracy, rates=rates, num_images=100, vram_gib=48.0
        )
        assert made.cautions == ()


COMBINATIONS = list(itertools.product([s.name for s in SUBJECTS], ["sd15", "sdxl"], [8.0, 12.0, 16.0, 24.0, 48.0]))
OPTIONS = list(
    itertools.product(
        ("good", "poor"), ("loose", "normal", "exact"), ("found by the optimizer", "fixed"), (False, True),
        ("auto", "trained", "frozen"),
    )
)  # fmt: skip
COUNTS = (1, 2, 3, 5, 9, 10, 30, 100, 1000, 10_000)


@pytest.mark.parametrize(("subject", "family", "vram_gib"), COMBINATIONS)
def test_no_recipe_speaks_against_itself(subject, family, vram_gib):
    row = find_subject(subject)
    for quality, accuracy, rates, is_known, text_encoder in OPTIONS:
        made = recipe(
            subject=subject, family=family, vram_gib=vram_gib, image_quality=quality, accuracy=accuracy, rates=rates,
            is_known=is_known, text_encoder=text_encoder, num_images=row.min_images, has_regularization=True,
        )  # fmt: skip
        assert made.cautions == (), (quality, accuracy, rates, text_encoder)
        assert made.estimate.memory_gib <= vram_gib
        assert " a exact" not in made.text("")
        brakes = (made.objective.scale_weight_norms > 0, made.objective.noise_offset > 0, made.network.rank <= 4)
        assert sum(brakes[:2]) <= 1
        for settings in stage_optimizers(made.stages, made.optimizer):
            check_optimizer(settings)


@pytest.mark.parametrize(("subject", "family", "vram_gib"), COMBINATIONS)
def test_more_images_are_never_trained_less(subject, family, vram_gib):
    for accuracy, is_known in itertools.product(("loose", "normal", "exact"), (False, True)):
        values = {"subject": subject, "family": family, "vram_gib": vram_gib, "accuracy": accuracy}
        seen = [recipe(num_images=count, is_known=is_known, **values).estimate.samples for count in COUNTS]
        assert seen == sorted(seen) and 120 <= seen[0] <= 300 < seen[-1], seen
        assert seen[-1] >= 5 * COUNTS[-1]
        assert all(samples <= 300 * count for samples, count in zip(seen[:2], COUNTS, strict=False))


def test_a_rank_is_given_up_last_and_with_a_word():
    made = recipe(subject="style", accuracy="exact", vram_gib=6.0)
    assert made.optimizer.optimizer == "Adafactor" and made.network.rank < 192
    assert any(reason.startswith(f"rank {made.network.rank}: all that 6 GiB hold") for reason in made.reasons)
    tall = recipe(subject="character I", family="sdxl", vram_gib=12.0)
    assert (tall.network.rank, tall.optimizer.optimizer, tall.network.alpha) == (192, "Adafactor", 192.0)
    assert any("Prodigy's does not fit into 12 GiB" in reason for reason in tall.reasons)


@pytest.mark.parametrize("profile", list(PROFILES))
@pytest.mark.parametrize("subject", [subject.name for subject in SUBJECTS])
def test_every_kind_of_base_model_has_its_own_recipe(profile, subject):
    kind = PROFILES[profile]
    for accuracy, vram_gib in itertools.product(("loose", "normal", "exact"), (8.0, 24.0)):
        request = RecipeRequest(profile=profile, subject=subject, accuracy=accuracy, vram_gib=vram_gib, num_images=100)
        made = make_recipe(request)
        assert request.family == kind.family and made.cautions == ()
        assert made.objective.noise_offset in (0.0, kind.noise_offset)
        assert made.objective.zero_terminal_snr == (kind.prediction == "v_prediction")
        check_prediction_type(made.objective, kind.prediction)
        text = made.text("")
        assert kind.quality in text and kind.source in text and kind.trap in text


def test_noise_offset_is_for_the_model_that_was_trained_with_it_and_for_one_brake_alone():
    values = {"family": "sdxl", "vram_gib": 24.0, "subject": "character E"}
    assert recipe(**values).objective.noise_offset == 0.0
    base = recipe(**values, profile="SDXL base").objective
    assert (base.noise_offset, base.scale_weight_norms) == (0.05, 0.0)
    simple = recipe(**{**values, "subject": "character B"}, profile="SDXL base").objective
    assert (simple.noise_offset, simple.scale_weight_norms) == (0.0, 1.0)
    low = recipe(**{**values, "vram_gib": 8.0, "subject": "character B"}, profile="SDXL base")
    assert (low.network.rank, low.objective.noise_offset, low.objective.scale_weight_norms) == (4, 0.0, 0.0)


def test_a_model_of_another_kind_than_the_profile_is_refused_with_what_mends_it():
    with pytest.raises(ValueError, match="NoobAI v-prediction.*epsilon.*ModelSamplingDiscrete .v_prediction"):
        check_model("NoobAI v-prediction", "sdxl", "epsilon")
    with pytest.raises(ValueError, match="Pony.*v_prediction.*ModelSamplingDiscrete .eps"):
        check_model("Pony", "sdxl", "v_prediction")
    with pytest.raises(ValueError, match="Illustrious is for sdxl.*sd15"):
        check_model("Illustrious", "sd15", "epsilon")
    for name in ("auto", "normal", "low VRAM (SDXL)"):
        check_model(name, "sdxl", "v_prediction")


def test_a_scale_that_cannot_learn_is_said():
    from pack.training.recipes.cautions import cautions

    request = RecipeRequest(subject="character F", rates="fixed", vram_gib=7.0)
    made = make_recipe(request)
    for alpha, wanted in ((1.0, "learn next to nothing"), (200.0, "above rank 64")):
        found = cautions(request, replace(made.network, alpha=alpha), made.optimizer, made.estimate)
        assert any(wanted in text for text in found)
    assert made.cautions == ()

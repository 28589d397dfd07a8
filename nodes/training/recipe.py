"""All settings from a few answers, with the reason for each."""

from dataclasses import replace
from typing import Any, get_args

from ...training.base_model import ModelFamily
from ...training.data.buckets import NATIVE_RESOLUTION
from ...training.data.dataset import Dataset
from ...training.data.prepare import place_images
from ...training.networks.algorithms import OWN_NAMES
from ...training.recipes import SUBJECTS, RecipeRequest, make_recipe
from ...training.recipes.profiles import check_model
from ...training.recipes.recipe import Recipe, for_prediction
from ...training.recipes.request import Accuracy, ImageQuality, Profile, Rates, TextEncoder
from ...training.session.step_time import seconds_per_step
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..comfy_bridge.model.base_model import ComfyBaseModel
from ..comfy_bridge.model.identity import clip_key, patcher_key
from ..comfy_bridge.model.model_facts import known_prediction_type, model_family
from ..menu import LEAD

REQUEST = RecipeRequest()


class BakeryRecipe(io.ComfyNode):
    """Answers in, settings out."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryRecipe",
            display_name="Recipe (Bakery)",
            category=LEAD,
            description="Chooses network, optimizer, objective and number of steps from your subject, number of images "
            "and GPU memory, and explains why. Connect the four outputs to Train LoRA. To decide one of them yourself, "
            "connect your own node instead.",
            search_aliases=["presets", "easy settings", "low vram", "8gb sdxl", "which rank", "how many steps"],
            inputs=[*_subject_inputs(), *_machine_inputs(), *_override_inputs(), *_measuring_inputs()],
            outputs=[
                sockets.Network.Output(display_name="network", tooltip="For Train LoRA."),
                sockets.Optimizer.Output(display_name="optimizer", tooltip="For Train LoRA."),
                sockets.Objective.Output(display_name="objective", tooltip="For Train LoRA."),
                sockets.Stages.Output(display_name="stages", tooltip="For Train LoRA: number of steps and batch size."),
                io.String.Output(display_name="notes", tooltip="Each choice with its reason, costs and cautions."),
            ],
        )

    @classmethod
    def execute(
        cls, num_images: int, dataset: Dataset | None = None, model: Any = None, clip: Any = None, **values: Any
    ) -> io.NodeOutput:
        counted, has_regularization = count_images(dataset)
        asked, found = values.get("family"), of_model(model, values.get("profile", REQUEST.profile))
        request = RecipeRequest(
            num_images=counted or num_images, has_regularization=has_regularization, **{**values, **found}
        )  # fmt: skip
        recipe = for_prediction(make_recipe(request), known_prediction_type(model) if model else None)
        if asked not in (None, request.family):
            why = "as connected" if found else f"profile {request.profile}"
            recipe = replace(recipe, reasons=(f"family {request.family}: {why}, not {asked}", *recipe.reasons))
        if model is not None and clip is not None:
            recipe = with_time(recipe, measured_step(recipe, model, clip, dataset))
        notes = recipe.text(f"{request.row.label}; {request.num_images} images")
        return io.NodeOutput(
            recipe.network, recipe.optimizer, recipe.objective, recipe.stages, notes, ui={"text": [notes]}
        )


def with_time(recipe: Recipe, seconds_per_step: float) -> Recipe:
    """The recipe with the measured step time in its estimate."""
    return replace(recipe, estimate=replace(recipe.estimate, seconds_per_step=seconds_per_step))


def of_model(model: Any, profile: str) -> dict[str, Any]:
    """What the connected model answers itself: its family; nothing without a model.

    Raises:
        ValueError: The profile is for models of another kind, or the model is of a kind that cannot be trained here.
    """
    if model is None:
        return {}
    family = model_family(model)
    check_model(profile, family, known_prediction_type(model))
    return {"family": family}


def measured_step(recipe: Recipe, model: Any, clip: Any, dataset: Dataset | None) -> float:
    """Seconds per step of the recipe's first stage at the dataset's size, or the family's; measured once."""
    base = ComfyBaseModel(model, clip, vae=None)
    family = base.family
    side = NATIVE_RESOLUTION[family]
    size = place_images(dataset, family)[0].placement.bucket if dataset is not None else (side, side)
    settings = recipe.network, recipe.objective, recipe.optimizer, recipe.stages[0]
    key = f"{patcher_key(model)} {clip_key(clip)} {size} {settings!r}"
    if key not in _measured:
        _measured[key] = seconds_per_step(base, *settings, size)
    return _measured[key]


_measured: dict[str, float] = {}
"""Seconds per step by what was measured, while the program runs."""


def count_images(dataset: Dataset | None) -> tuple[int, bool]:
    """Number of distinct training images, and whether there are regularization images; 0 without a dataset."""
    subsets = dataset.subsets if dataset else ()
    pictures = {item.content_hash for subset in subsets if not subset.is_regularization for item in subset.items}
    return len(pictures), any(subset.is_regularization for subset in subsets)


def _subject_inputs() -> list[io.Input]:
    labels = [subject.label for subject in SUBJECTS]
    return [
        sockets.Dataset.Input(
            "dataset", optional=True,
            tooltip="The dataset to train on. Its images are counted, and num_images is not "
            "used."
        ),
        io.Combo.Input(
            "subject", options=labels, default=REQUEST.row.label,
            tooltip="What you train. Characters are graded from A (models already draw them) to I (unlike anything "
            "models know).",
        ),
        io.Int.Input(
            "num_images", default=REQUEST.num_images, min=1, max=1_000_000,
            tooltip="How many different images you have. Not used if a dataset is connected.",
        ),
        io.Combo.Input(
            "image_quality", options=list(get_args(ImageQuality)), default=REQUEST.image_quality,
            tooltip="poor: few views, 3D renders, small, blurred or mixed pictures. Such sets are trained longer.",
        ),
        io.Combo.Input(
            "accuracy", options=list(get_args(Accuracy)), default=REQUEST.accuracy,
            tooltip="loose: recognizable, in any clothes. exact: every detail, with a higher rank and more steps.",
        ),
        io.Boolean.Input(
            "is_known", default=REQUEST.is_known,
            tooltip="The model already draws the subject when prompted: about 300 of 1000 steps are then enough.",
        ),
        io.Boolean.Input(
            "is_male", default=REQUEST.is_male, tooltip="Male characters need a slightly higher rank, up to grade D."
        ),
    ]  # fmt: skip


def _machine_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "family", options=list(get_args(ModelFamily)), default=REQUEST.family, tooltip="Type of your checkpoint. "
            "Not used if a model is connected or the profile names a kind of checkpoint."
        ),
        io.Float.Input(
            "vram_gib", default=REQUEST.vram_gib, min=1.0, max=1024.0, step=1.0,
            tooltip="GPU memory in GiB: decides the batch size and, for SDXL, the profile.",
        ),
        io.Combo.Input(
            "rates", options=list(get_args(Rates)), default=REQUEST.rates,
            tooltip="found by the optimizer: Prodigy, nothing to tune. fixed: AdamW with usual learning rates, "
            "slightly faster.",
        ),
        io.Combo.Input(
            "profile", options=list(get_args(Profile)), default=REQUEST.profile,
            tooltip="Kind of your checkpoint, if it is one of these: the notes then say how to caption and sample it. "
            "low VRAM (SDXL): rank 4 to 8, U-Net only, Adafactor, batch size 1, meant for about 8 GB; all but normal "
            "use it for SDXL below 12 GiB.",
        ),
    ]  # fmt: skip


def _override_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "algorithm", options=["auto", *OWN_NAMES], default=REQUEST.algorithm, optional=True,
            advanced=True, tooltip="Use this algorithm instead; the notes say if it does not fit.",
        ),
        io.Int.Input(
            "rank", display_name="rank (0 = chosen for you)",
            default=REQUEST.rank, min=0, max=4096, optional=True, advanced=True,
            tooltip="Use this rank instead; the notes say if it is too large or too small. 0 = chosen for you.",
        ),
        io.Combo.Input(
            "text_encoder", options=list(get_args(TextEncoder)), default=REQUEST.text_encoder, optional=True,
            advanced=True, tooltip="Also train the text encoder. auto: yes for SD1.5, no for SDXL.",
        ),
    ]  # fmt: skip


def _measuring_inputs() -> list[io.Input]:
    return [
        io.Model.Input(
            "model", optional=True,
            tooltip="Your checkpoint's model. With model and clip connected, a few steps are timed and the notes say "
            "how long training takes.",
        ),
        io.Clip.Input("clip", optional=True, tooltip="Your checkpoint's CLIP, for timing."),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [BakeryRecipe]

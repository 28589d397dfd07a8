"""A recipe: complete settings, with reasons, costs and warnings."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..base_model import ModelFamily, PredictionType
from ..loop.stages import Plan
from ..networks.settings import NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.settings import OptimizerSettings
from .cautions import cautions
from .choices import choose_network, choose_objective, choose_optimizer
from .estimate import Estimate, file_size_mb
from .fitting import fit, needed_gib
from .length import choose_stages
from .profiles import profile_reasons
from .request import RecipeRequest


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Settings of a run and the reasons for them."""

    network: NetworkSettings
    optimizer: OptimizerSettings
    objective: ObjectiveSettings
    stages: Plan
    reasons: tuple[str, ...]
    """One line per choice: what, and the rule behind it."""
    cautions: tuple[str, ...]
    """Warnings."""
    estimate: Estimate

    def text(self, title: str) -> str:
        """All of it in lines, as shown on the node."""
        lines = [title, *(f"- {reason}" for reason in self.reasons), self.estimate.text()]
        return "\n".join([*lines, *(f"Caution: {text}" for text in self.cautions)])


_RESOLUTIONS: Mapping[ModelFamily, str] = {
    "sd15": "512 px; 576 is fine too, 768 for fine detail",
    "sdxl": "1024 px; 768 where memory or time is short",
}


def make_recipe(request: RecipeRequest) -> Recipe:
    """The recipe for a request."""
    found = fit(request)
    batch_size = found.batch_size
    network = choose_network(request, found.optimizer, found.rank)
    optimizer = choose_optimizer(request, network.settings, found.optimizer, batch_size)
    objective = choose_objective(request, network.settings)
    stages = choose_stages(request, network.settings, optimizer.settings, batch_size)
    estimate = _estimate(request, network.settings, optimizer.settings, stages.settings)
    return Recipe(
        network=network.settings,
        optimizer=optimizer.settings,
        objective=objective.settings,
        stages=stages.settings,
        reasons=(
            *network.reasons, *optimizer.reasons, *objective.reasons, *stages.reasons, *_around(request, batch_size)
        ),
        cautions=cautions(request, network.settings, optimizer.settings, estimate),
        estimate=estimate,
    )  # fmt: skip


def for_prediction(recipe: Recipe, prediction: PredictionType | None) -> Recipe:
    """The recipe for a model with this prediction type: rectified flow has no weights by noise level."""
    if prediction != "flow":
        return recipe
    reasons = (reason for reason in recipe.reasons if not reason.startswith("min_snr_gamma"))
    why = "min_snr_gamma off, timesteps logit_normal: the model is sampled by rectified flow"
    objective = replace(recipe.objective, min_snr_gamma=None, timestep_distribution="logit_normal")
    return replace(recipe, objective=objective, reasons=(*reasons, why))


def _estimate(request: RecipeRequest, network: NetworkSettings, optimizer: OptimizerSettings, stages: Plan) -> Estimate:
    return Estimate(
        steps=sum(stage.steps or 0 for stage in stages),
        samples=sum((stage.steps or 0) * stage.batch_size for stage in stages),
        file_mb=file_size_mb(network, request.family),
        memory_gib=needed_gib(request, network, optimizer.optimizer, stages[0].batch_size),
    )


def _around(request: RecipeRequest, batch_size: int) -> tuple[str, ...]:
    """What the recipe cannot set itself."""
    lines = [f"batch size {batch_size}: what {request.vram_gib:g} GiB allow"]
    lines.append(f"resolution: leave Resolution & Buckets at 0, which is {_RESOLUTIONS[request.family]}")
    if request.is_low_vram:
        lines.append(
            "low VRAM: leave gradient_checkpointing at auto, tags unshuffled and undropped so that captions are "
            "encoded once, and the VAE and text encoders leave memory"
        )
    if request.is_known:
        lines.append("captions: use the tags by which the model knows the subject")
    return (*lines, *profile_reasons(request.profile)) if request.base_profile else tuple(lines)

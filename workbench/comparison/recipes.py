"""What Recipe chooses, with other learning rates besides: `d_coef` of Prodigy, or the fixed one of AdamW.

Printed, and not on the page of the comparison, since failing runs are what is looked for here.
"""

from dataclasses import dataclass

from ...training.recipes import RecipeRequest, make_recipe
from .contestants import CHARACTER, Contestant, Inputs
from .rows import SCORES
from .schedule import Results
from .trial import Scale, Trial


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A request, and the learning rates to run its recipe with."""

    subject: str
    algorithm: str = "auto"
    alpha: float | None = None
    """None = the recipe's."""
    d_coefs: tuple[float, ...] = ()
    """With Prodigy at rate 1."""
    fixed: tuple[float, ...] = ()
    """Rates with AdamW."""


def recipe_rows(tried: Tried) -> tuple[Contestant, ...]:
    """The recipe for a subject at each learning rate, U-Net only, as in all tables."""
    with_prodigy = (_row(tried, 1.0, f"d_coef {value:g}", _prodigy(value)) for value in tried.d_coefs)
    return (*with_prodigy, *(_row(tried, rate, f"AdamW {rate:g}", {}) for rate in tried.fixed))


def _prodigy(d_coef: float) -> Inputs:
    return {"optimizer": "Prodigy", "arguments": f"d_coef={d_coef:g} betas=0.9,0.999"}


def _row(tried: Tried, rate: float, shown: str, optimizer: Inputs) -> Contestant:
    recipe = make_recipe(RecipeRequest(subject=tried.subject, text_encoder="frozen", algorithm=tried.algorithm))
    network, norms = recipe.network, recipe.objective.scale_weight_norms
    alpha = network.alpha if tried.alpha is None else tried.alpha
    return Contestant(
        name=f"{tried.subject}: {network.algorithm}, rank {network.rank}, alpha {alpha:g}, {shown}",
        network={"algorithm": network.algorithm, "rank": network.rank, "alpha": alpha},
        optimizer=optimizer,
        objective={"min_snr_gamma": recipe.objective.min_snr_gamma, "scale_weight_norms": norms},
        rates=(rate,),
        character=CHARACTER,
        num_seeds=1,
    )


_TRIED = (
    Tried(subject="character B", d_coefs=(1.0, 2.0, 5.0)),
    Tried(subject="character E", d_coefs=(1.0, 2.0)),
    Tried(subject="style", d_coefs=(0.5, 1.0, 2.0)),
    Tried(subject="character B", algorithm="lokr", alpha=1.0, d_coefs=(1.0, 5.0)),
    Tried(subject="style", algorithm="ia3", d_coefs=(1.0, 2.0, 9.0), fixed=(0.09,)),
    Tried(subject="character B", algorithm="lokr", fixed=(1e-2, 3e-3)),
)
RECIPES = tuple(row for tried in _TRIED for row in recipe_rows(tried))


def recipe_table(results: Results, scale: Scale) -> str:
    """A row for each that was run, in Markdown; one that failed says so."""
    lines = ["| recipe | identity | flexibility | prior | held-out loss |", "|---|---|---|---|---|"]
    for row in RECIPES:
        result = results.get(Trial(contestant=row, rate=row.rates[0], seed=1, scale=scale).key)
        if result is not None:
            cells = ["diverged"] * len(SCORES) if "error" in result else [f"{result[name]:.0%}" for name in SCORES]
            lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)

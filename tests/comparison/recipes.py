"""What Recipe chooses where the optimizer finds the rate, beside the same with another `d_coef`.

Printed and not on the page of the comparison: here runs that fail are what is looked for.
"""

from ...training.networks.settings import Algorithm
from ...training.recipes import RecipeRequest, make_recipe
from .contestants import CHARACTER, Contestant
from .rows import SCORES
from .schedule import Results
from .trial import Scale, Trial


def recipe_row(subject: str, d_coef: float, algorithm: Algorithm | None = None) -> Contestant:
    """The recipe for a subject with this `d_coef`, U-Net alone as in all tables."""
    recipe = make_recipe(RecipeRequest(subject=subject, text_encoder="frozen", algorithm=algorithm or "auto"))
    network, norms = recipe.network, recipe.objective.scale_weight_norms
    return Contestant(
        name=f"{subject}: {network.algorithm}, rank {network.rank}, alpha {network.alpha:g}, d_coef {d_coef:g}",
        network={"algorithm": network.algorithm, "rank": network.rank, "alpha": network.alpha},
        optimizer={"optimizer": "Prodigy", "arguments": f"d_coef={d_coef:g} betas=0.9,0.999"},
        objective={"min_snr_gamma": recipe.objective.min_snr_gamma, "scale_weight_norms": norms},
        rates=(1.0,),
        character=CHARACTER,
        num_seeds=1,
    )


_TRIED: tuple[tuple[str, Algorithm | None, tuple[float, ...]], ...] = (
    ("character B", None, (1.0, 2.0, 5.0)),
    ("character E", None, (1.0, 2.0)),
    ("style", None, (0.5, 1.0, 2.0)),
    ("character B", "lokr", (1.0, 5.0)),
    ("style", "ia3", (1.0, 2.0, 9.0)),
)
RECIPES = tuple(
    recipe_row(subject, d_coef, algorithm) for subject, algorithm, coefficients in _TRIED for d_coef in coefficients
)


def recipe_table(results: Results, scale: Scale) -> str:
    """A row for each that was run, in Markdown; one that failed says so."""
    lines = ["| recipe | identity | flexibility | prior | held-out loss |", "|---|---|---|---|---|"]
    for row in RECIPES:
        result = results.get(Trial(contestant=row, rate=1.0, seed=1, scale=scale).key)
        if result is not None:
            cells = ["diverged"] * len(SCORES) if "error" in result else [f"{result[name]:.0%}" for name in SCORES]
            lines.append(f"| {row.name} | {' | '.join(cells)} |")
    return "\n".join(lines)

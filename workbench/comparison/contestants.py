"""The contestants. Each differs from the nodes' defaults only in what its row names, so that its effect shows.

Several learning rates are tried for each contestant, the expected one first, and the best counts. They suit the small
test model; large models want about a tenth.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Inputs = Mapping[str, Any]

RATE = 1e-3
CHARACTER = "zorblax"
HARDER_CHARACTER = "fennarock"
OWN_RATE = (1.0, 0.5)
"""For optimizers that find their learning rate; it multiplies what they find."""
SEEDS = (1, 2, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Contestant:
    """A row of a table."""

    name: str
    network: Inputs = field(default_factory=lambda: {"algorithm": "locon"})
    """Inputs of BakeryNetwork that differ from its defaults."""
    optimizer: Inputs = field(default_factory=dict[str, Any])
    objective: Inputs = field(default_factory=dict[str, Any])
    rates: tuple[float, ...] = (RATE,)
    character: str = CHARACTER
    has_class_images: bool = False
    """Regularization images of creatures in general beside the character's."""
    has_masks: bool = False
    """Masks of the character, as OneTrainer's are: white where it is."""
    kind: str = ""
    """What the model predicts, of `kinds.KINDS`; empty: the pocket model as it is, which predicts noise."""
    num_images: int = 0
    """Pictures of the character that are trained, the first of its dataset. 0 = all."""
    num_seeds: int = len(SEEDS)
    """Number of seeds at the best learning rate; more than one shows the influence of chance."""


def _algorithm(name: str, *rates: float, **network: Any) -> Contestant:
    return Contestant(name=name, network={"algorithm": name.split()[0], **network}, rates=rates)


def _optimizer(name: str, *rates: float, arguments: str = "") -> Contestant:
    inputs = {"optimizer": name, **({"arguments": arguments} if arguments else {})}
    return Contestant(name=f"{name} {arguments}".strip(), optimizer=inputs, rates=rates or OWN_RATE)


def _rank(rank: int, character: str) -> Contestant:
    network = {"algorithm": "locon", "rank": rank, "alpha": float(rank)}
    return Contestant(name=f"{character}, rank {rank}", network=network, rates=(1e-3, 2e-3), character=character)


ALGORITHMS = (
    _algorithm("lora", 1e-3, 5e-4, 2e-3),
    _algorithm("locon", 1e-3, 5e-4, 2e-3),
    _algorithm("locon with DoRA", 1e-3, 5e-4, 2e-3, weight_decompose=True),
    _algorithm("loha", 2e-3, 1e-3, 4e-3),
    _algorithm("lokr", 3e-3, 1e-3, 1e-2),
    _algorithm("dylora", 2e-3, 1e-3, 4e-3),
    _algorithm("ia3", 3e-2, 1e-2, 9e-2),
    _algorithm("glora", 1e-3, 5e-4, 2e-3),
    _algorithm("full", 1e-4, 3e-5, 3e-4),
    _algorithm("diag-oft", 1e-3, 3e-4, 3e-3),
    _algorithm("boft", 1e-3, 3e-4, 3e-3),
)
OPTIMIZERS = (
    Contestant(name="AdamW", rates=(1e-3, 5e-4, 2e-3)),
    _optimizer("Adafactor", 1e-3, 5e-4, 2e-3),
    _optimizer("Lion", 3e-4, 1e-4, 6e-4),
    _optimizer("CAME", 1e-3, 3e-4, 1e-4),
    _optimizer("ScheduleFreeAdamW", 3e-3, 1e-3, 1e-2),
    _optimizer("Prodigy"),
    _optimizer("Prodigy", arguments="d_coef=2"),
    _optimizer("DAdaptAdam", 1.0, 0.3, 0.1),
    _optimizer("ProdigyPlusScheduleFree"),
)
PLAIN = {"min_snr_gamma": 0.0}
OBJECTIVES = (
    Contestant(name="min-SNR 5 (the default)"),
    Contestant(name="plain", objective=PLAIN),
    Contestant(name="min-SNR 1", objective={"min_snr_gamma": 1.0}),
    Contestant(name="soft min-SNR 5", objective={"soft_min_snr": True}),
    Contestant(name="debiased", objective={**PLAIN, "debiased_estimation": True}),
    Contestant(name="P2, gamma 1", objective={**PLAIN, "p2_gamma": 1.0}),
    Contestant(name="huber", objective={"loss_type": "huber"}),
    Contestant(name="noise offset 0.05", objective={"noise_offset": 0.05}),
    Contestant(name="multires noise 6, 0.3", objective={"multires_noise_iterations": 6}),
    Contestant(name="input perturbation 0.1", objective={"input_perturbation": 0.1}),
    Contestant(name="scale weight norms 1", objective={"scale_weight_norms": 1.0}),
    Contestant(name="EMA 0.99", optimizer={"ema_decay": 0.99}),
    Contestant(name="regularization images", has_class_images=True),
    Contestant(
        name="prior preservation, extra term",
        objective={"prior_preservation": "extra_term", "trigger": CHARACTER, "trigger_class": "creature"},
    ),
    Contestant(
        name="text encoder too, half rate",
        network={"algorithm": "locon", "train_text_encoder": True},
        optimizer={"text_encoder_lr": RATE / 2},
    ),
)
RANKS = tuple(_rank(rank, character) for character in (CHARACTER, HARDER_CHARACTER) for rank in (4, 16, 64))

FEW_IMAGES = tuple(
    Contestant(
        name=f"{algorithm}, {count} picture{'s' * (count > 1)}", network={"algorithm": algorithm}, num_images=count,
        num_seeds=2,
    )
    for count in (1, 3)
    for algorithm in ("lora", "tlora")
)  # fmt: skip

MASKS = tuple(
    Contestant(name=name, has_masks=has_masks, objective=objective, rates=(2e-3,), num_images=1, num_seeds=2)
    for name, has_masks, objective in (
        ("one picture, no mask", False, {}),
        ("its mask", True, {}),
        ("its mask, 0.1 outside", True, {"unmasked_weight": 0.1}),
        ("its mask, the base model outside", True, {"unmasked_prior_weight": 1.0}),
    )
)
KINDS_OF_MODEL = tuple(
    Contestant(name=name, kind=kind, objective=objective, rates=(2e-3,), num_seeds=2)
    for name, kind, objective in (
        ("noise", "", {}), ("v-prediction", "v_prediction", {}), ("rectified flow", "flow", PLAIN)
    )
)  # fmt: skip

OWN_CHARACTERS = (CHARACTER, HARDER_CHARACTER, "quindle")
NEW_TOKENS = tuple(
    Contestant(name=f"{character}, {name}", network={"algorithm": "locon", **network}, character=character,
               num_seeds=seeds)
    for name, network, seeds in (
        ("plain trigger", {}, 2),
        ("trigger with an embedding", {"trigger_embedding": True}, 2),
        ("embedding alone", {"trigger_embedding": True, "train_unet": False}, 1),
    )
    for character in OWN_CHARACTERS
)  # fmt: skip
"""`trigger_embedding` True stands for the character's own word."""

GROUPS: Mapping[str, tuple[Contestant, ...]] = {
    "Algorithms": ALGORITHMS,
    "Optimizers": OPTIMIZERS,
    "Objectives": OBJECTIVES,
    "Rank": RANKS,
    "Few pictures": FEW_IMAGES,
    "Masks": MASKS,
    "Kinds of model": KINDS_OF_MODEL,
    "New tokens": NEW_TOKENS,
}
"""Tables by title."""

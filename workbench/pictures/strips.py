"""The pictures of the guide: one strip per option, one row per setting; prompt and noise are the same in a column."""

from dataclasses import dataclass

from ..examples.data import CHARACTER
from ..pocket.captions import held_out_creatures
from ..pocket.world import describe
from .bakes import RATE, Bake

FEW = {count: f"{CHARACTER}_{count}" for count in (1, 3)}
"""Folders with the first pictures of the character alone."""
SAME_PLACE = f"{CHARACTER}_sand"
"""Folder with as many pictures of the character, all in front of sand."""

BASE = "no LoRA"
SEEN = (f"{CHARACTER}, sky", f"{CHARACTER}, sky background")
UNSEEN = (f"{CHARACTER}, brown *", f"{CHARACTER}, brown background")
"""The star marks what no training picture shows."""
OTHERS = tuple(
    (f"creature {number}", describe(creature)) for number, creature in enumerate(held_out_creatures()[:2], start=1)
)
"""Creatures without the trigger; they should stay as the model without a LoRA draws them."""
USUAL = (SEEN, SEEN, UNSEEN, UNSEEN, *OTHERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What is drawn with one setting."""

    title: str
    detail: str = ""
    bake: Bake | None = None
    """None: without a LoRA."""
    step: int | None = None
    """One saved on the way. None = the last."""
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Strip:
    """One picture."""

    name: str
    """Of the file."""
    title: str
    rows: tuple[Row, ...]
    columns: tuple[tuple[str, str], ...] = USUAL
    """Label and prompt of each."""


LONG = Bake(steps=300, save_every=10)
STEPS = Strip(
    name="steps",
    title="Steps of one run",
    rows=(
        Row(title=BASE),
        *(Row(title=f"{step} steps", bake=LONG, step=step) for step in (10, 30, 100)),
        Row(title="300 steps", bake=LONG),
    ),
)
IMAGES = Strip(
    name="images",
    title="Number of pictures, 100 steps each",
    rows=(
        Row(title="1 picture", bake=Bake(folder=FEW[1])),
        Row(title="3 pictures", bake=Bake(folder=FEW[3])),
        Row(title="12 pictures", bake=Bake()),
    ),
)
STRENGTH = Strip(
    name="strength",
    title="Strength of a finished LoRA",
    rows=tuple(
        Row(title=f"strength {strength:g}", bake=Bake(), strength=strength) for strength in (0.5, 1.0, 1.5, 2.0)
    ),
)
CAPTIONS = Strip(
    name="captions",
    title="Twelve pictures, all in front of sand",
    columns=(
        (CHARACTER, CHARACTER), (CHARACTER, CHARACTER),
        *((f"{CHARACTER}, {name}", f"{CHARACTER}, {name} background") for name in ("sand", "teal", "teal", "black")),
    ),
    rows=(
        Row(title="background", detail="in the captions", bake=Bake(folder=SAME_PLACE)),
        Row(
            title="background left out", detail="prune: sand background",
            bake=Bake(folder=SAME_PLACE, captions={"prune": "sand background"}),
        ),
    ),
)  # fmt: skip
TRIGGER_ALONE = {"prune": "sky background\nsand background\nwhite background\nblack background"}
PRIOR = Strip(
    name="prior",
    title="Keeping other creatures, with captions of the trigger alone",
    columns=((CHARACTER, CHARACTER), UNSEEN, *OTHERS, ("creature", "creature"), ("(no words)", "")),
    rows=(
        Row(title=BASE),
        Row(title="nothing against it", bake=Bake(captions=TRIGGER_ALONE)),
        Row(
            title="caption dropout", detail="caption_dropout 0.3",
            bake=Bake(captions={**TRIGGER_ALONE, "caption_dropout": 0.3}),
        ),
        Row(
            title="regularization", detail="16 other creatures",
            bake=Bake(captions=TRIGGER_ALONE, has_class_images=True),
        ),
        Row(
            title="prior preservation", detail="extra_term",
            bake=Bake(
                captions=TRIGGER_ALONE,
                objective={
                    "prior_preservation": "extra_term", "trigger": CHARACTER, "trigger_class": "creature",
                },
            ),
        ),
    ),
)  # fmt: skip
RANK = Strip(
    name="rank",
    title="Rank, with alpha = rank",
    rows=tuple(
        Row(title=f"rank {rank}", bake=Bake(network={} if rank == 16 else {"rank": rank, "alpha": float(rank)}))
        for rank in (1, 4, 16)
    ),
)
ALPHA = Strip(
    name="alpha",
    title="Alpha at rank 16, AdamW",
    rows=(
        Row(title="alpha 64", detail="alpha / rank = 4", bake=Bake(network={"alpha": 64.0})),
        Row(title="alpha 16", detail="alpha / rank = 1", bake=Bake()),
        Row(title="alpha 1", detail="alpha / rank = 1/16", bake=Bake(network={"alpha": 1.0})),
    ),
)  # fmt: skip
LEARNING_RATE = Strip(
    name="learning_rate",
    title="Learning rate, AdamW, 100 steps",
    rows=tuple(Row(title=f"{rate:g}", detail=detail, bake=Bake(rate=rate)) for rate, detail in (
        (RATE / 10, "a tenth"), (RATE, "right for this model"), (RATE * 2, "twice"),
    )),
)  # fmt: skip
TEXT_ENCODER = Strip(
    name="text_encoder",
    title="The text encoder trained too, 50 steps",
    rows=(
        Row(title="U-Net alone", bake=LONG, step=50),
        *(
            Row(
                title="and text encoder", detail=detail,
                bake=Bake(
                    steps=50, network={"train_text_encoder": True}, optimizer={"text_encoder_lr": RATE * share}
                ),
            )
            for detail, share in (("at half the rate", 0.5), ("at the same rate", 1.0))
        ),
    ),
)  # fmt: skip
COOKING = Strip(
    name="cooking",
    title="Under- and overcooked: what it looks like, and what to change",
    rows=(
        Row(title=BASE, detail="the model as it is"),
        Row(title="too low a rate", detail="raise it, or train on", bake=Bake(rate=RATE / 10)),
        Row(title="too short", detail="train on", bake=LONG, step=10),
        Row(title="right", detail="share this step", bake=Bake()),
        Row(title="too long", detail="take an earlier step", bake=LONG),
        Row(title="too high a rate", detail="halve it", bake=Bake(rate=RATE * 2)),
        Row(title="too few pictures", detail="add some; fewer steps", bake=Bake(folder=FEW[1])),
    ),
)
STRIPS = (COOKING, CAPTIONS, STRENGTH, STEPS, LEARNING_RATE, IMAGES, PRIOR, ALPHA, RANK, TEXT_ENCODER)
"""Those that tell most first."""

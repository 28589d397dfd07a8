"""What people ask for at the Train node of the toy model, and what an undisturbed run of it ends with."""

import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch
from pack.tests.support.person import CONSTANT, OTHER_RATE, Person
from pack.tests.support.pictures import dataset
from pack.tests.support.toy_model import other_dataset, toy_dataset
from pack.training.data.dataset import Dataset, Subset, combine
from pack.training.loop.stages import Stage
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.run.saver import SaveSettings
from pack.training.session.request import ValidationSettings

COSINE = replace(CONSTANT, schedule=ScheduleSettings(schedule="cosine"))
PLANS = {
    "4 steps": (Stage(steps=4, batch_size=2),),
    "6 steps": (Stage(steps=6, batch_size=2),),
    "8 steps": (Stage(steps=8, batch_size=2),),
    "two stages": (Stage(steps=4, batch_size=2), Stage(steps=2, batch_size=2, optimizer=OTHER_RATE)),
    "another second stage": (Stage(steps=4, batch_size=2), Stage(steps=3, batch_size=1, optimizer=OTHER_RATE)),
    "two halves": (Stage(steps=4, batch_size=2), Stage(steps=4, batch_size=2)),
}
OPTIMIZERS = {"constant": CONSTANT, "lower": OTHER_RATE, "cosine": COSINE, "average": replace(CONSTANT, ema_decay=0.9)}
HELD_OUT = {
    "none": ValidationSettings(),
    "a set": ValidationSettings(dataset=dataset([(64, 64)], first=50), every=2),
    "another set": ValidationSettings(dataset=dataset([(64, 64)], first=70), every=2),
    "a share": ValidationSettings(share=0.3, every=2),
}


@cache
def edited_dataset() -> Dataset:
    """The toy's pictures, a word of every caption changed."""

    def change(subset: Subset) -> Subset:
        items = (replace(i, captions=tuple(c.replace("red", "blue") for c in i.captions)) for i in subset.items)
        return replace(subset, items=tuple(items))

    return toy_dataset().map(change)


@cache
def larger_dataset() -> Dataset:
    """The toy's pictures and one more."""
    return combine([toy_dataset(), dataset([(64, 64)], first=9)])


@cache
def marked_dataset() -> Dataset:
    """The larger one, its last picture marked for validation."""
    found = larger_dataset()
    return replace(found, subsets=found.subsets[:-1], held_out=found.subsets[-1:])


DATASETS = {
    "toy": toy_dataset,
    "edited captions": edited_dataset,
    "one more picture": larger_dataset,
    "one marked": marked_dataset,
    "other": other_dataset,
}


@dataclass(frozen=True)
class Wish:
    """What is asked for at the node."""

    plan: str = "4 steps"
    optimizer: str = "constant"
    data: str = "toy"
    base: str = "toy"
    held_out: str = "none"
    is_diagnosed: bool = False
    save_every: int = 2
    keep_last: int = 0

    @property
    def steps(self) -> int:
        """Of all stages."""
        return sum(stage.steps for stage in PLANS[self.plan])

    @property
    def weights(self) -> "Wish":
        """The part of it that decides the weights."""
        held_out = "a share" if self.held_out == "a share" and self.data != "one marked" else "none"
        return Wish(plan=self.plan, optimizer=self.optimizer, data=self.data, base=self.base, held_out=held_out)

    def changes(self) -> dict[str, object]:
        """Fields of the request."""
        return {
            "stages": PLANS[self.plan],
            "optimizer": OPTIMIZERS[self.optimizer],
            "dataset": DATASETS[self.data](),
            "base_key": self.base,
            "is_diagnosed": self.is_diagnosed,
            "validation": HELD_OUT[self.held_out],
            "saving": SaveSettings(save_every=self.save_every, save_dtype="float32", keep_last=self.keep_last),
            "on_more_steps": "stretch",  # steps under a schedule of their own have other bits, as asked
        }


USUAL = [
    Wish(),
    Wish(plan="6 steps"),
    Wish(plan="8 steps", save_every=3),
    Wish(plan="two stages"),
    Wish(plan="another second stage"),
    Wish(plan="two halves"),
    Wish(optimizer="lower"),
    Wish(optimizer="cosine"),
    Wish(optimizer="cosine", plan="6 steps"),
    Wish(optimizer="average", plan="6 steps"),
    Wish(optimizer="lower", plan="two stages"),
    Wish(held_out="a set", is_diagnosed=True),
    Wish(held_out="another set", plan="6 steps"),
    Wish(held_out="a share", plan="6 steps"),
    Wish(data="edited captions"),
    Wish(data="one more picture", plan="6 steps"),
    Wish(data="one marked"),
    Wish(data="other", plan="two stages"),
    Wish(base="another checkpoint under its name"),
]
"""The simplest comes first. Few, so that a name meets the same wish again."""


@cache
def undisturbed(wish: Wish) -> dict[str, torch.Tensor]:
    """What a run of these settings ends with when nothing happens to it."""
    with tempfile.TemporaryDirectory() as folder:
        return Person(Path(folder)).queue(**wish.changes()).tensors

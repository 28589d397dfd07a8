"""What can be trained, and what each subject needs: rank, images, steps, learning rates.

The tables are from a widely used community guide to LoRA training. Characters are graded A to I by how far they are
from what checkpoints draw without training.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..networks.algorithms import OWN_NAMES

SubjectKind = Literal["character", "style", "concept", "vehicle"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """One row of the table of subjects."""

    name: str
    """Name that users choose."""
    sentence: str
    """Description."""
    kind: SubjectKind
    grade: str = ""
    """A to I for characters; vehicles and persons are graded like one. Empty = not graded."""
    algorithm: str = "lora"
    """Algorithm that suits it best."""
    fitting: tuple[str, ...] = ("lora",)
    """All algorithms that can learn it."""
    low_rank: int
    """Enough for loose accuracy."""
    rank: int
    """Usual."""
    high_rank: int
    """Enough for exact accuracy; more is wasted."""
    min_images: int
    """Fewer images are not enough to stay flexible."""
    usual_images: str
    """Range that works well."""
    good_steps: int
    """Steps at batch size 1 with good images."""
    poor_steps: int
    """The same with poor images."""
    text_encoder_lr: float
    """Learning rate of the text encoder, with 1e-4 for the U-Net and good images."""
    poor_text_encoder_lr: float
    """The same with poor images."""

    @property
    def label(self) -> str:
        """Name and sentence, as the list of choices shows them."""
        return f"{self.name}: {self.sentence}"


_SIMPLE: tuple[str, ...] = ("lora", "locon", "tlora", "lokr", "loha")
_HUMAN: tuple[str, ...] = ("lora", "locon", "tlora")
_HARD: tuple[str, ...] = ("lora", "tlora")
_BROAD: tuple[str, ...] = OWN_NAMES


def _character(grade: str, sentence: str, ranks: tuple[int, int, int], fitting: tuple[str, ...]) -> Subject:
    return Subject(
        name=f"character {grade}", sentence=sentence, kind="character", grade=grade, fitting=fitting,
        low_rank=ranks[0], rank=ranks[1], high_rank=ranks[2], min_images=10,
        usual_images="35 to 100" if fitting is _HARD else "15 to 40",
        good_steps=1000, poor_steps=1600, text_encoder_lr=5e-5, poor_text_encoder_lr=4.5e-5,
    )  # fmt: skip


SUBJECTS: tuple[Subject, ...] = (
    _character("A", "a simple, plausible girl without odd details", (4, 8, 8), _SIMPLE),
    _character("B", "an unusual face, hair, colours or outfit", (4, 8, 16), _SIMPLE),
    _character("C", "very elaborate, or with wings, armour or a tail", (8, 16, 32), _SIMPLE),
    _character("D", "a humanoid, or an animal of human build", (32, 32, 64), _HUMAN),
    _character("E", "a body plan stranger than that", (64, 64, 64), _HARD),
    _character("F", "an animal-like creature, dragon, humanoid robot or fancy armour", (64, 64, 128), _HARD),
    _character("G", "a mecha, alien, demon or being of many legs, still of human shape", (128, 128, 128), _HARD),
    _character("H", "a robot, monster, insect or real animal, not of human shape", (128, 128, 192), _HARD),
    _character("I", "something without a body plan of this world", (192, 192, 256), _HARD),
    Subject(
        name="realistic person", sentence="a real human, or drawn to look like one", kind="character", grade="D",
        fitting=_HUMAN, low_rank=32, rank=32, high_rank=64, min_images=10, usual_images="15 to 40", good_steps=1000,
        poor_steps=1600, text_encoder_lr=5e-5, poor_text_encoder_lr=4.5e-5,
    ),
    Subject(
        name="style", sentence="a way of drawing, painting or lighting", kind="style", algorithm="locon",
        fitting=_BROAD, low_rank=32, rank=64, high_rank=192, min_images=100, usual_images="100 to 4000",
        good_steps=3000, poor_steps=3000, text_encoder_lr=4e-5, poor_text_encoder_lr=4e-5,
    ),
    Subject(
        name="concept", sentence="a pose, thing, garment or situation", kind="concept", algorithm="locon",
        fitting=_BROAD, low_rank=8, rank=32, high_rank=128, min_images=50, usual_images="50 to 2000",
        good_steps=2000, poor_steps=2400, text_encoder_lr=4.5e-5, poor_text_encoder_lr=4.5e-5,
    ),
    Subject(
        name="vehicle", sentence="a car, ship, plane or other machine", kind="vehicle", grade="E",
        fitting=("lora", "tlora", "lokr"), low_rank=32, rank=64, high_rank=128, min_images=10, usual_images="35 to 100",
        good_steps=1000, poor_steps=1600, text_encoder_lr=5e-5, poor_text_encoder_lr=4.5e-5,
    ),
)  # fmt: skip
"""In the order of the list of choices."""

NO_FIT: Mapping[str, str] = {
    "loha": "LoHa learns simple characters, up to C",
    "lokr": "LoKr learns characters up to C, and vehicles slowly",
}
"""Why an algorithm does not suit a hard subject; the remaining ones are for styles and concepts."""


def find_subject(label: str) -> Subject:
    """The subject of a name or label.

    Raises:
        ValueError: Naming the known ones.
    """
    name = label.partition(":")[0].strip()
    for subject in SUBJECTS:
        if subject.name == name:
            return subject
    raise ValueError(f"subject must be one of {', '.join(subject.name for subject in SUBJECTS)}, got {label!r}")

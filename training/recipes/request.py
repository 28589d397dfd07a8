"""The questions that a recipe answers; contradictory answers are refused here."""

from dataclasses import dataclass
from typing import Literal, get_args

from ..base_model import ModelFamily
from ..networks.algorithms import OWN_NAMES
from .profiles import PROFILES, BaseProfile
from .subjects import Subject, find_subject

ImageQuality = Literal["good", "poor"]
Accuracy = Literal["loose", "normal", "exact"]
Rates = Literal["found by the optimizer", "fixed"]
Profile = Literal[
    "auto", "normal", "low VRAM (SDXL)", "SD1.5 anime", "SDXL base", "Illustrious", "NoobAI epsilon",
    "NoobAI v-prediction", "Pony",
]  # fmt: skip
TextEncoder = Literal["auto", "trained", "frozen"]

LOW_VRAM: Profile = "low VRAM (SDXL)"
LOW_VRAM_RANKS = (4, 8)
"""Ranks of the low-VRAM profile: usual or loose, and exact."""
LOW_VRAM_BELOW_GIB = 12.0
"""SDXL with less memory than this uses the low-VRAM profile automatically."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeRequest:
    """Answers to the recipe's questions."""

    subject: str = "character B"
    """Name of a row of `SUBJECTS`, or its label."""
    num_images: int = 30
    """Different training images, at least 1."""
    image_quality: ImageQuality = "good"
    """poor: few views, mixed looks, renders, small or blurred pictures."""
    is_known: bool = False
    """The base model already draws the subject when prompted with the planned tags."""
    accuracy: Accuracy = "normal"
    """loose: recognizable; exact: every detail."""
    is_male: bool = False
    """Male characters are half a grade harder up to D, since checkpoints know more women."""
    family: ModelFamily = "sd15"
    """Overridden by the profile of a kind of base model."""
    vram_gib: float = 8.0
    """GPU memory, above 0."""
    rates: Rates = "found by the optimizer"
    """Prodigy, or AdamW with fixed learning rates."""
    profile: Profile = "auto"
    """auto and the kinds of base model use low VRAM for SDXL with less than 12 GiB; the kinds also set the family."""
    algorithm: str = "auto"
    """auto: what suits the subject."""
    rank: int = 0
    """0 = suits the subject."""
    text_encoder: TextEncoder = "auto"
    """auto: trained for SD1.5, frozen for SDXL."""
    has_regularization: bool = False
    """The dataset contains regularization images."""

    def __post_init__(self) -> None:
        """Refuse answers that are out of range or contradict each other.

        Raises:
            ValueError: With field, allowed range and value.
        """
        find_subject(self.subject)
        if self.base_profile is not None:
            object.__setattr__(self, "family", self.base_profile.family)  # it is known already
        for name, value, choices in (
            ("image_quality", self.image_quality, get_args(ImageQuality)),
            ("accuracy", self.accuracy, get_args(Accuracy)),
            ("family", self.family, get_args(ModelFamily)),
            ("rates", self.rates, get_args(Rates)),
            ("profile", self.profile, get_args(Profile)),
            ("algorithm", self.algorithm, ("auto", *OWN_NAMES)),
            ("text_encoder", self.text_encoder, get_args(TextEncoder)),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        for name, value, is_valid, wanted in (
            ("num_images", self.num_images, self.num_images >= 1, "at least 1"),
            ("vram_gib", self.vram_gib, self.vram_gib > 0, "above 0"),
            ("rank", self.rank, self.rank >= 0, "0 (chosen for you) or more"),
        ):
            if not is_valid:
                raise ValueError(f"{name} must be {wanted}, got {value}")
        if self.profile == LOW_VRAM:
            self._check_low_vram()

    def _check_low_vram(self) -> None:
        if self.family != "sdxl":
            raise ValueError(f"profile {LOW_VRAM} is for SDXL, got family {self.family}; choose normal")
        if self.text_encoder == "trained":
            raise ValueError(
                f"profile {LOW_VRAM} trains the U-Net only, since the text encoders leave memory once the captions are "
                "encoded; got text_encoder trained: set it to auto, or the profile to normal"
            )
        if self.rank > LOW_VRAM_RANKS[1]:
            raise ValueError(
                f"rank must be at most {LOW_VRAM_RANKS[1]} with profile {LOW_VRAM}, got {self.rank}; lower it, or set "
                "the profile to normal"
            )
        if self.algorithm not in ("auto", "lora"):
            raise ValueError(f"profile {LOW_VRAM} needs algorithm lora, got {self.algorithm}; set it to auto")

    @property
    def base_profile(self) -> BaseProfile | None:
        """The profile of a kind of base model, if one is chosen."""
        return PROFILES.get(self.profile)

    @property
    def row(self) -> Subject:
        """The subject's row of the table."""
        return find_subject(self.subject)

    @property
    def is_low_vram(self) -> bool:
        """Whether the low-VRAM profile is used."""
        if self.profile in ("normal", LOW_VRAM):
            return self.profile == LOW_VRAM
        wants_more = self.text_encoder == "trained" or self.rank > LOW_VRAM_RANKS[1]
        return self.family == "sdxl" and self.vram_gib < LOW_VRAM_BELOW_GIB and not wants_more

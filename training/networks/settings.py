"""Settings of a network: algorithm, size, and which layers it adapts."""

from dataclasses import dataclass, field, fields
from typing import Literal, get_args

from ..base_model import PartName
from .algorithms import NAMES, OPTIONS, find_algorithm, with_option
from .block_weights import BlockWeights

TargetPreset = Literal["attention", "attention_feed_forward", "blocks", "all_linear", "all"]


WITH_KERNELS: tuple[TargetPreset, ...] = ("blocks", "all")
"""Targets that include k x k convolutions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSettings:
    """Settings of a network; conflicts are refused here by name."""

    algorithm: str = "lora"
    """One of `algorithms.NAMES`. `lora` is LoRA-LierLa (linear layers, 1 x 1 convolutions); `locon` adapts resnets and
    k x k convolutions too."""
    rank: int = 16
    """Width of the low-rank factors, at least 1 (kohya: network dim). For `diag-oft` and `boft`: largest block size."""
    alpha: float = 16.0
    """The change is multiplied by alpha / rank. 0 = rank."""
    conv_rank: int | None = None
    """Rank of k x k convolutions, at least 1. None = `rank`."""
    conv_alpha: float | None = None
    """Alpha of k x k convolutions, 0 = their rank. None = the alpha / rank of the other layers."""
    rank_stabilized: bool = False
    """Scale by alpha / sqrt(rank) instead (rsLoRA, https://arxiv.org/abs/2312.03732)."""
    weight_decompose: bool = False
    """DoRA: train magnitude and direction of the weight separately (https://arxiv.org/abs/2402.09353)."""
    factor: int = -1
    """LoKr: how sizes are split; larger = smaller second factor. -1 = nearest to square, else at least 1."""
    full_matrix: bool = False
    """LoKr: never decompose the second factor; rank and alpha are then unused."""
    decompose_both: bool = False
    """LoKr: decompose the first factor too."""
    block_size: int = 4
    """DyLoRA: ranks trained together in one step; divides `rank` and `conv_rank`."""
    lycoris_arguments: str = ""
    """`lycoris`: what the library is told, `algo=loha use_tucker=True`. Empty = its `algo=lora`."""
    train_bias: bool = False
    """`full`: also train a change of the bias."""
    train_norms: bool = False
    """Also train the scale and shift of the U-Net's normalization layers."""
    trigger_embedding: str = ""
    """Word whose tokens get vectors of their own in the text encoders, whatever `parts` are. Empty = none."""
    dropout: float = 0.0
    """Chance that an activation between down and up is dropped, 0 to below 1. 0 = off."""
    rank_dropout: float = 0.0
    """Chance that a rank is dropped, 0 to below 1. 0 = off."""
    module_dropout: float = 0.0
    """Chance that a whole adapter is skipped in a step, 0 to below 1. 0 = off."""
    parts: tuple[PartName, ...] = ("unet",)
    """Parts to adapt; none with `trigger_embedding` trains that alone. `text_encoder_2` is passed over where the model
    family has none."""
    targets: TargetPreset = "attention_feed_forward"
    """Which layers; `attention_feed_forward` is kohya's default.

    `locon`, or a rank or alpha for convolutions, widens it to `blocks`.
    """
    include: tuple[str, ...] = ()
    """Patterns (with * and ?) of module paths or file keys: adapt only these targets. Empty = all."""
    exclude: tuple[str, ...] = ()
    """Patterns of module paths or file keys to leave out."""
    block_weights: BlockWeights = field(default_factory=BlockWeights)
    """Learning weight and rank of each block."""

    def __post_init__(self) -> None:
        """Refuse values that are out of range or cannot work together."""
        _one_of("algorithm", self.algorithm, NAMES)
        _one_of("targets", self.targets, get_args(TargetPreset))
        is_empty = not self.parts and not self.trigger_embedding.strip()
        if is_empty or len(set(self.parts)) != len(self.parts):
            raise ValueError(f"parts must name at least one part, each once, got {self.parts}")
        for part in self.parts:
            _one_of("parts", part, get_args(PartName))
        self._check_numbers()
        self._check_options()
        find_algorithm(self.algorithm).check(self)

    def _check_numbers(self) -> None:
        for name in ("rank", "conv_rank", "block_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("alpha", "conv_alpha"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must be 0 (= rank) or more, got {value}")
        for name in ("dropout", "rank_dropout", "module_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be 0 or more and below 1, got {getattr(self, name)}")
        if self.factor != -1 and self.factor < 1:
            raise ValueError(f"factor must be -1 (nearest to square) or at least 1, got {self.factor}")

    def _check_options(self) -> None:
        for name in (own.name for own in fields(self) if own.name in OPTIONS):
            if getattr(self, name) and self.algorithm not in with_option(name):
                raise ValueError(
                    f"{name} works with {', '.join(with_option(name))} only, got algorithm {self.algorithm}; "
                    f"switch {name} off"
                )
        adapts_kernels = find_algorithm(self.algorithm).adapts_kernels
        if adapts_kernels and self.preset not in WITH_KERNELS and self.of_convolutions():
            raise ValueError(
                f"{self.of_convolutions()[0]} must be unset for targets {self.targets}, which have no k x k "
                "convolution; choose targets blocks"
            )
        if self.weight_decompose and self.dropout:
            raise ValueError(f"dropout must be 0 with weight_decompose, got {self.dropout}; use rank_dropout")
        if self.full_matrix and self.decompose_both:
            raise ValueError("full_matrix and decompose_both exclude each other, got both on; switch one off")

    @property
    def conv_size(self) -> tuple[int, float]:
        """Rank and alpha of k x k convolutions, defaults resolved."""
        rank = self.conv_rank or self.rank
        if self.conv_alpha is None:
            return rank, (self.alpha or self.rank) * rank / self.rank
        return rank, self.conv_alpha or rank

    @property
    def preset(self) -> TargetPreset:
        """The target preset, widened to all blocks by LoCon or by a rank or alpha for convolutions."""
        is_wide = find_algorithm(self.algorithm).is_wide or self.is_widened
        return "blocks" if is_wide and self.targets == "attention_feed_forward" else self.targets

    @property
    def is_widened(self) -> bool:
        """Whether a rank or alpha for convolutions adds them to the usual targets, as in LyCORIS."""
        algorithm = find_algorithm(self.algorithm)
        is_usual = self.targets == "attention_feed_forward" and not algorithm.is_wide
        return is_usual and algorithm.adapts_kernels and bool(self.of_convolutions())

    def of_convolutions(self) -> list[str]:
        """Names of the settings for k x k convolutions that are set."""
        given = {
            "conv_rank": self.conv_rank is not None,
            "conv_alpha": self.conv_alpha is not None,
            "conv_ranks": bool(self.block_weights.conv_ranks.strip()),
        }
        return [name for name, is_given in given.items() if is_given]


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")

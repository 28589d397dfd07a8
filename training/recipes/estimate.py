"""Rough estimates of file size and training memory, before anything is loaded.

Parameters per rank are counted over every targeted layer of the full models. Memory of activations is a rule of thumb:
real use depends on attention, bucket and driver.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..base_model import ModelFamily, PartName
from ..networks.algorithms import find_algorithm
from ..networks.settings import WITH_KERNELS, NetworkSettings

GIB = 1024**3
MB = 1_000_000

LINEAR_PARAMETERS: Mapping[ModelFamily, Mapping[PartName, int]] = {
    "sd15": {"unet": 423_936, "text_encoder": 165_888, "text_encoder_2": 0},
    "sdxl": {"unet": 2_659_840, "text_encoder": 165_888, "text_encoder_2": 737_280},
}
"""Parameters of a LoRA per rank, by part: attention and feed-forward."""
CONV_PARAMETERS: Mapping[ModelFamily, int] = {"sd15": 626_880, "sdxl": 414_400}
"""Additional parameters per rank for LoCon, which adapts the U-Net's resnets and samplers."""
BASE_BYTES: Mapping[ModelFamily, Mapping[PartName, float]] = {
    "sd15": {"unet": 1.7e9, "text_encoder": 0.25e9, "text_encoder_2": 0.0},
    "sdxl": {"unet": 5.1e9, "text_encoder": 0.25e9, "text_encoder_2": 1.4e9},
}
"""Frozen weights at 16 bits."""
ACTIVATION_BYTES: Mapping[tuple[ModelFamily, bool], float] = {
    ("sd15", False): 3.0e9,
    ("sd15", True): 0.6e9,
    ("sdxl", False): 12.0e9,
    ("sdxl", True): 1.6e9,
}
"""Activations of one image at the family's native size, without and with gradient checkpointing."""
STATE_FLOATS: Mapping[str, float] = {"Adafactor": 0.1, "CAME": 0.1, "Lion": 1.0, "Prodigy": 4.0, "DAdaptAdam": 3.0}
"""Numbers of optimizer state per parameter; 2 for the others (AdamW)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """Cost of a recipe."""

    steps: int
    """Optimizer steps."""
    samples: int
    """Images trained on, repeats counted."""
    file_mb: float | None
    """Size of the file at 16 bits, in 10^6 bytes. None = not determined by the rank."""
    memory_gib: float
    """GPU memory, roughly."""
    seconds_per_step: float | None = None
    """Measured on this machine. None = not measured."""

    def text(self) -> str:
        """In one line."""
        size = "file size depends on the algorithm" if self.file_mb is None else f"file about {self.file_mb:.0f} MB"
        line = f"{self.steps} steps ({self.samples} images seen), {size}, memory roughly {self.memory_gib:.1f} GiB"
        if self.seconds_per_step is None:
            return f"{line}; connect model and clip to have the time measured"
        total = duration(self.steps * self.seconds_per_step)
        return f"{line}, about {total} on this machine ({self.seconds_per_step:.2g} s a step, measured; previews apart)"


def duration(seconds: float) -> str:
    """A duration in words: 40 s, 25 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def num_parameters(network: NetworkSettings, family: ModelFamily) -> int | None:
    """Trained parameters on the full model; None if the rank does not determine them."""
    algorithm = find_algorithm(network.algorithm)
    if algorithm.pairs is None:
        return None
    per_rank = sum(LINEAR_PARAMETERS[family][part] for part in network.parts)
    count = network.rank * per_rank
    if "unet" in network.parts and algorithm.adapts_kernels and network.preset in WITH_KERNELS:
        count += network.conv_size[0] * CONV_PARAMETERS[family]
    return algorithm.pairs * count


def file_size_mb(network: NetworkSettings, family: ModelFamily) -> float | None:
    """Size of the file at 16 bits, in 10^6 bytes."""
    count = num_parameters(network, family)
    return None if count is None else 2 * count / MB


def memory_gib(
    network: NetworkSettings, optimizer: str, family: ModelFamily, batch_size: int, is_checkpointing: bool
) -> float:
    """GPU memory: frozen weights, activations of a batch, float32 weights, gradients and optimizer state."""
    trained = num_parameters(network, family) or 0
    state = 4.0 * trained * (2.0 + STATE_FLOATS.get(optimizer, 2.0))
    loaded: set[PartName] = {"unet", *network.parts}
    frozen = sum(BASE_BYTES[family][part] for part in loaded)
    return (frozen + state + batch_size * ACTIVATION_BYTES[family, is_checkpointing]) / GIB

"""Facts about a LoRA for the header of its file. `metadata.py` turns them into the keys that tools read.

Nothing here identifies a person or a location on a disk: files and folders are named without their path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ..base_model import ModelFamily, PredictionType

LYCORIS_MODULE = "lycoris.kohya"
"""sd-scripts' name of LyCORIS."""
Value = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """The base model a LoRA belongs to."""

    family: ModelFamily
    """Architecture."""
    prediction_type: PredictionType | None = None
    """As the loaded model defines it; None if unknown."""
    name: str | None = None
    """File name of the checkpoint, without folders; None if unknown."""
    legacy_hash: str | None = None
    """`legacy_file_hash` of the checkpoint; None if its file is unknown."""
    sha256: str | None = None
    """`file_hash` of the checkpoint; None if it was not computed."""
    vae_name: str | None = None
    """File name of a separate VAE; None if the checkpoint's own is used."""
    zero_terminal_snr: bool | None = None
    """Whether the schedule ends in pure noise; None if unknown."""
    clip_skip: int | None = None
    """Last hidden layers of the text encoder that are skipped, 1 = none; None if unknown."""
    precision: str | None = None
    """What the model computes in, as sd-scripts names it: no (float32), fp16, bf16; None if unknown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkFacts:
    """The network's form."""

    algorithm: str
    """lora, locon, loha, lokr, ..."""
    module: str = LYCORIS_MODULE
    """sd-scripts' name of the program that trains such a network."""
    rank: int | str
    """Width of the factors; "Dynamic" if it differs by module."""
    alpha: float | str
    """Numerator of the scale; "Dynamic" if it differs by module."""
    arguments: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Further settings by name: conv_dim, conv_alpha, factor, ..."""
    dropout: float | None = None
    """Dropout of activations; None if none was used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SubsetFacts:
    """One folder, or one set of images from the graph, of the dataset."""

    name: str
    """Folder name without its path, or the set's name."""
    num_images: int
    repeats: int = 1
    is_regularization: bool = False
    tag_frequency: Mapping[str, int] = field(default_factory=dict[str, int])
    """How often each tag of the captions occurs."""
    class_tokens: str | None = None
    """Caption of images that had none; None if every image had one."""
    shuffle_tags: bool = False
    keep_tags: int = 0
    flip: bool = False
    random_crop: bool = False
    use_wildcards: bool = False
    prefix: str = ""
    suffix: str = ""
    keep_tags_separator: str = ""
    secondary_separator: str = ""
    caption_dropout: float = 0.0
    caption_dropout_every_n_epochs: int = 0
    tag_dropout: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DatasetFacts:
    """The images that were trained on."""

    subsets: tuple[SubsetFacts, ...]
    resolution: tuple[int, int]
    """Width and height in pixels that define the area of the buckets."""
    buckets: Mapping[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    """Number of images, repeats counted, by bucket (width, height)."""
    min_bucket_size: int | None = None
    max_bucket_size: int | None = None
    upscale: bool = True
    """Images smaller than their bucket were enlarged."""
    num_validation_images: int = 0
    more_resolutions: tuple[tuple[int, int], ...] = ()
    """Further resolutions that every image is trained at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingFacts:
    """How the LoRA was trained. Values of the objective and the optimizer have their sd-scripts names."""

    session_id: str
    """Identifies the run; equal for all files of one run."""
    fingerprint: str
    """Digest of everything that determined the weights in this file, changes by hand included."""
    started_at: datetime
    finished_at: datetime
    seed: int
    step: int
    """Optimizer steps in this file."""
    max_steps: int
    epoch: int
    """Epochs begun, over all stages, as sd-scripts counts: 1 in the first one."""
    num_epochs: int
    """The same at the end of the plan."""
    batches_per_epoch: int
    batch_size: int
    num_devices: int = 1
    """Devices that a batch is spread over."""
    grad_accumulation_steps: int = 1
    learning_rate: float | None = None
    unet_lr: float | None = None
    text_encoder_lr: float | None = None
    text_encoder_2_lr: float | None = None
    """None = that of the first."""
    optimizer: str
    """`module.Class(argument=value,...)`."""
    lr_scheduler: str = "constant"
    warmup_steps: int = 0
    max_grad_norm: float = 0.0
    options: Mapping[str, Value] = field(default_factory=dict[str, Value])
    """Further `ss_` entries without that prefix: min_snr_gamma, noise_offset, loss_type, ..."""
    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """All settings that differ from this pack's defaults, by their names here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """The user's description of the LoRA; entries that are None are left out."""

    title: str
    author: str | None = None
    description: str | None = None
    license: str | None = None
    tags: str | None = None
    """Comma-separated."""
    trigger_phrase: str | None = None
    usage_hint: str | None = None
    comment: str | None = None
    """Free text, `ss_training_comment`."""
    merged_from: str | None = None
    """Names of the files it was merged from, comma-separated."""
    timestep_range: tuple[int, int] | None = None
    """First and last timestep trained; None for all."""
    thumbnail: str | None = None
    """Small picture as a data URL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GraphFacts:
    """The graph that made the file, so that dropping the file on the canvas opens it."""

    workflow: Mapping[str, object] | None = None
    """The canvas, as the host's `extra_pnginfo["workflow"]`; None if queued through the API without one."""
    prompt: Mapping[str, object] | None = None
    """The executed graph in API format."""

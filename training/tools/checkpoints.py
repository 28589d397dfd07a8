"""Weights of a checkpoint file by kohya's module names, read one at a time.

Supports SD1.5 and SDXL checkpoints in their original layout, as ComfyUI loads and saves them. SDXL's second text
encoder stores query, key and value in one matrix there; they are returned separately.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from re import compile as regex
from typing import NamedTuple

from safetensors import SafetensorError
from torch import Tensor

from ..base_model import ModelFamily
from ..files.lora_file import TensorReader, open_tensors
from ..files.names import UNET_PREFIX, unet_name

_SDXL = regex(r"conditioner\.|model\.diffusion_model\.label_emb\.")
_OTHERS = regex(r"cond_stage_model\.model\.|conditioner\.embedders\.0\.model\.")
_UNET = regex(r"model\.diffusion_model\.(.+)\.(weight|bias)")
# some old SD1.5 checkpoints lack `text_model` in the names
_CLIP = regex(r"(?:cond_stage_model|conditioner\.embedders\.0)\.transformer\.(?:text_model\.)?(.+)\.(weight|bias)")
_OPEN_CLIP = regex(r"conditioner\.embedders\.1\.model\.transformer\.resblocks\.(\d+)\.(.+?)[._](weight|bias)")
_OPEN_CLIP_PARTS = {
    "attn.out_proj": "self_attn_out_proj",
    "mlp.c_fc": "mlp_fc1",
    "mlp.c_proj": "mlp_fc2",
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
}
_FUSED = ("q_proj", "k_proj", "v_proj")


class Place(NamedTuple):
    """Location of a module's tensor in a checkpoint: a key, and which third of its rows (None = all)."""

    key: str
    third: int | None = None

    def view(self, tensor: Tensor) -> Tensor:
        """The module's part of the tensor under `key`."""
        return tensor if self.third is None else tensor.chunk(3)[self.third]


class Checkpoint:
    """An open checkpoint file. Tensors are read on request."""

    def __init__(self, reader: TensorReader, name: str) -> None:
        """`name` is for messages."""
        self.reader = reader
        self.keys = reader.keys()
        self.family: ModelFamily = "sdxl" if any(_SDXL.match(key) for key in self.keys) else "sd15"
        if any(_OTHERS.match(key) for key in self.keys):
            raise ValueError(f"checkpoint: {name} is of SD2 or SDXL's refiner; choose one of SD1.5 or SDXL")
        self.weights: dict[str, Place] = {}
        self.biases: dict[str, Place] = {}
        for key in self.keys:
            for module, place, kind in _modules(key, self.family):
                (self.weights if kind == "weight" else self.biases)[module] = place
        if not any(module.startswith(UNET_PREFIX) for module in self.weights):
            raise ValueError(f"checkpoint: {name} holds no SD1.5 or SDXL U-Net in the original layout; choose another")

    def weight(self, module: str) -> Tensor | None:
        """Weight of a module by kohya name, in the file's dtype; None without one."""
        place = self.weights.get(module)
        return None if place is None else place.view(self.reader.get_tensor(place.key))


@contextmanager
def open_checkpoint(path: Path) -> Generator[Checkpoint, None, None]:
    """Open a checkpoint for reading.

    Raises:
        ValueError: It is not a safetensors file, or not an SD1.5 or SDXL checkpoint.
    """
    if path.suffix != ".safetensors" or not path.is_file():
        raise ValueError(f"checkpoint: {path.name} must be an existing .safetensors file")
    try:
        opened = open_tensors(path)
    except SafetensorError as error:
        raise ValueError(
            f"checkpoint: {path.name} is not a readable safetensors file ({error}); download it again"
        ) from None
    with opened as reader:
        yield Checkpoint(reader, path.name)


def _modules(key: str, family: ModelFamily) -> Iterator[tuple[str, Place, str]]:
    if found := _UNET.fullmatch(key):
        yield UNET_PREFIX + unet_name(found[1].replace(".", "_"), family), Place(key), found[2]
    elif found := _CLIP.fullmatch(key):
        prefix = "lora_te_" if family == "sd15" else "lora_te1_"
        yield f"{prefix}text_model_{found[1].replace('.', '_')}", Place(key), found[2]
    elif found := _OPEN_CLIP.fullmatch(key):
        layer = f"lora_te2_text_model_encoder_layers_{found[1]}_"
        if found[2] == "attn.in_proj":
            for third, name in enumerate(_FUSED):
                yield f"{layer}self_attn_{name}", Place(key, third), found[3]
        elif found[2] in _OPEN_CLIP_PARTS:
            yield layer + _OPEN_CLIP_PARTS[found[2]], Place(key), found[3]

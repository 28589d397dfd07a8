"""A trigger word with vectors of its own in the text encoder, trained alone or with the network.

Textual inversion, Gal et al. 2022, https://arxiv.org/abs/2208.01618; with a LoRA it is what others call pivotal tuning.
Wherever the word's tokens follow each other, each gets a learned change of its embedding; the same tokens in other
words stay as they are. So the word is written in captions and previews as before, and begins with the meaning it has. A
file holds the changed vectors as an embedding: in its place, `embedding:NAME` gives a prompt the same tokens.

Shapes: K tokens of the word, L tokens of a text, D width of the encoder.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base_model import ModelFamily, PartName
from .adapter import Adapter
from .build import Attachment
from .layer import Layer, ReadTensor
from .targets import Target, module_paths

BUNDLE = "bundle_emb"
"""How LoRA files name embeddings that they carry."""
SPEED = 10.0
"""What is trained counts ten times: embeddings want ten times the learning rate of a LoRA."""
NAMES: Mapping[PartName, str] = {"text_encoder": "clip_l", "text_encoder_2": "clip_g"}
"""Of an encoder in an embedding's file."""
SD15_NAME = "string_to_param.*"
"""The same within a LoRA file of SD1.5."""


class TokenizedBase(Protocol):
    """What of a base model is asked here."""

    @property
    def family(self) -> ModelFamily:
        """Architecture."""
        ...

    def parts(self) -> Mapping[PartName, nn.Module]:
        """Modules by part."""
        ...

    def frozen_tensor(self, module: nn.Module, name: str) -> Tensor:
        """A frozen tensor."""
        ...

    def token_ids(self, part: PartName, text: str) -> list[int]:
        """What the text encoder's table of embeddings is asked for."""
        ...


class TriggerAdapter(Adapter):
    """Changes of a word's vectors, (K, D), in one encoder's table of embeddings."""

    def __init__(self, module: nn.Module, token_ids: Sequence[int], name: str, suffix: str, read: ReadTensor) -> None:
        table: Any = module
        width = int(table.embedding_dim)
        super().__init__(Layer(module, (len(token_ids), width), has_bias=False, read=read))
        self.name, self.suffix = name, suffix
        self.register_buffer("token_ids", torch.tensor(list(token_ids)), persistent=False)
        self.register_parameter(name, nn.Parameter(torch.zeros(len(token_ids), width)))

    def forward(self, x: Tensor, base: Callable[..., Tensor], **options: object) -> Tensor:
        """Embeddings (..., L, D) of token ids (..., L); `options` are the host's."""
        output = base(x, **options)
        count = self.layer.weight_shape[0]
        if self.is_dropped or x.shape[-1] < count:
            return output
        is_start = (x.unfold(-1, count, 1) == self.get_buffer("token_ids").to(x.device)).all(-1).to(output.dtype)
        change_KD = self.delta_weight().to(output) * self.strength
        for token in range(count):
            at_token = F.pad(is_start, (token, count - 1 - token))
            output = output + at_token[..., None] * change_KD[token]
        return output

    def delta_weight(self) -> Tensor:
        """The change of the word's vectors, (K, D)."""
        return SPEED * self.get_parameter(self.name)

    def file_tensors(self) -> dict[str, Tensor]:
        """The changed vectors."""
        return {self.suffix: (self._own() + self.delta_weight()).detach()}

    @torch.no_grad()
    def load(self, vectors_KD: Tensor) -> None:
        """Take a file's vectors.

        Raises:
            ValueError: They are of another number or width.
        """
        own = self._own()
        if vectors_KD.shape != own.shape:
            raise ValueError(
                f"trigger_embedding: the word has {len(own)} tokens of width {own.shape[1]}, the LoRA holds vectors "
                f"{tuple(vectors_KD.shape)}; write the word that it was trained with"
            )
        self.get_parameter(self.name).copy_((vectors_KD.to(own) - own) / SPEED)

    def _own(self) -> Tensor:
        parameter = self.get_parameter(self.name)
        table = self.layer.read(self.layer.module, "weight").detach()
        return table[self.get_buffer("token_ids").to(table.device)].to(parameter)


def trigger_attachments(
    base: TokenizedBase, word: str, tensors: Mapping[str, Tensor] | None = None
) -> list[Attachment]:
    """An adapter for each text encoder; `tensors` are a LoRA's, whose vectors they take where it has some.

    Raises:
        ValueError: There is no text encoder, or the word has no token.
    """
    found: list[Attachment] = []
    for part, root in base.parts().items():
        paths = [path for path in module_paths(root) if path.endswith("token_embedding")]
        if part == "unet" or not paths:
            continue
        ids = base.token_ids(part, word)
        if not ids:
            raise ValueError(f"trigger_embedding must be a word that the text encoder reads, got {word!r}")
        path, module = paths[0], root.get_submodule(paths[0])
        suffix = SD15_NAME if base.family == "sd15" else NAMES[part]
        adapter = TriggerAdapter(module, ids, NAMES[part], suffix, base.frozen_tensor)
        target = Target(part, path, f"{BUNDLE}.{plain_name(word)}", None, module)
        if tensors is not None and (vectors := tensors.get(f"{target.key}.{suffix}")) is not None:
            adapter.load(vectors)
        found.append(Attachment(target, adapter, 1.0))
    if not found:
        raise ValueError("trigger_embedding needs the text encoders: connect the checkpoint's CLIP")
    return found


def plain_name(word: str) -> str:
    """The word as it names tensors: letters, digits, `-` and `_`."""
    return re.sub(r"[^\w-]+", "_", word.strip())


def embedding_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The embedding that a LoRA's tensors carry, as a file of its own holds it; empty where there is none."""
    carried = {key: tensor for key, tensor in tensors.items() if key.startswith(f"{BUNDLE}.")}
    names = {key: key.split(".", 2)[2] for key in carried}
    return {("emb_params" if names[key] == SD15_NAME else names[key]): tensor for key, tensor in carried.items()}


def carried_by(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a LoRA's tensors that are embeddings."""
    return {key: tensor for key, tensor in tensors.items() if key.startswith(f"{BUNDLE}.")}

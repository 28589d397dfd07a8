"""Makes the host's text encoders differentiable.

ComfyUI adds residuals in place, which overwrites what the backward pass needs. During training, each CLIP layer gets an
out-of-place forward with the same sums.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from comfy.clip_model import CLIPLayer
from torch import Tensor, nn

from ....training.base_model import PartName


def _out_of_place(layer: CLIPLayer) -> Callable[..., Tensor]:
    def forward(x: Tensor, mask: Tensor | None = None, optimized_attention: Any = None) -> Tensor:
        x = x + layer.self_attn(layer.layer_norm1(x), mask, optimized_attention)
        return x + layer.mlp(layer.layer_norm2(x))

    return forward


@contextmanager
def differentiable_text_encoder(model: nn.Module) -> Iterator[None]:
    """Context in which the model's CLIP layers are differentiable; their outputs are unchanged."""
    layers = [module for module in model.modules() if isinstance(module, CLIPLayer)]
    try:
        for layer in layers:
            layer.forward = _out_of_place(layer)
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("forward", None)


def token_ids(clip: Any, part: PartName, text: str) -> list[int]:
    """Tokens of a text for one encoder, without what the host puts before and behind it."""
    tokenizer = getattr(clip.tokenizer, "clip_l" if part == "text_encoder" else "clip_g")
    found: list[int] = []
    for token, _ in tokenizer.tokenize_with_weights(text)[0][tokenizer.tokens_start :]:
        if token == tokenizer.end_token:
            break
        found.append(int(token))
    return found


@contextmanager
def kept_loaded(clip: Any) -> Iterator[None]:
    """Context in which encoding a caption does not make the host check memory and load the encoders again."""
    clip.load_model = lambda tokens=None: clip.patcher
    try:
        yield
    finally:
        del clip.load_model

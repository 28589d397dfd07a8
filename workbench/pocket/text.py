"""The pocket text encoder: CLIP-L of seeded noise, and a shortcut through it for pretraining.

Attention and MLP outputs are nearly zero, so what the encoder returns is close to LayerNorm(token + position):
every word has a fixed, distinct vector. Their small noise lets gradients reach each of its layers.
Shape letters: B captions, L = 77 tokens, D = 768.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .host import use_comfyui

SEED = 1234
VOCABULARY, NUM_TOKENS, WIDTH, HIDDEN, NUM_LAYERS = 49408, 77, 768, 3072, 12
POSITION_STD = 0.3
INNER_STD = 0.02
"""Of the query, key, value and first MLP weights."""
OUTPUT_STD = 1e-3
"""Of the attention and MLP output weights: small enough for the shortcut to hold."""


@lru_cache(maxsize=1)
def embedding_tables() -> tuple[Tensor, Tensor]:
    """Token vectors (49408, 768) and position vectors (77, 768), float32 rounded to what float16 can hold."""
    noise = np.random.RandomState(SEED)
    tokens = noise.standard_normal((VOCABULARY, WIDTH)).astype(np.float32)
    positions = POSITION_STD * noise.standard_normal((NUM_TOKENS, WIDTH)).astype(np.float32)
    return torch.from_numpy(tokens).half().float(), torch.from_numpy(positions.astype(np.float32)).half().float()


def text_encoder_weights() -> dict[str, Tensor]:
    """All twelve layers in float16, named as in a checkpoint (`text_model.…`)."""
    tokens, positions = embedding_tables()
    weights = {
        "text_model.embeddings.token_embedding.weight": tokens.half(),
        "text_model.embeddings.position_embedding.weight": positions.half(),
        **_norm("text_model.final_layer_norm"),
    }
    generator = torch.Generator().manual_seed(SEED)
    for index in range(NUM_LAYERS):
        prefix = f"text_model.encoder.layers.{index}"
        weights |= _norm(f"{prefix}.layer_norm1") | _norm(f"{prefix}.layer_norm2")
        for name in ("q_proj", "k_proj", "v_proj"):
            weights |= _linear(f"{prefix}.self_attn.{name}", WIDTH, WIDTH, INNER_STD, generator)
        weights |= _linear(f"{prefix}.self_attn.out_proj", WIDTH, WIDTH, OUTPUT_STD, generator)
        weights |= _linear(f"{prefix}.mlp.fc1", HIDDEN, WIDTH, INNER_STD, generator)
        weights |= _linear(f"{prefix}.mlp.fc2", WIDTH, HIDDEN, OUTPUT_STD, generator)
    return weights


def _norm(name: str) -> dict[str, Tensor]:
    return {f"{name}.weight": torch.ones(WIDTH).half(), f"{name}.bias": torch.zeros(WIDTH).half()}


def _linear(name: str, num_out: int, num_in: int, std: float, generator: torch.Generator) -> dict[str, Tensor]:
    weight = torch.randn(num_out, num_in, generator=generator).mul_(std).half()
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(num_out).half()}


@lru_cache(maxsize=1)
def _tokenizer() -> object:
    use_comfyui()
    from comfy.sd1_clip import SDTokenizer

    return SDTokenizer(embedding_directory=None)


@lru_cache(maxsize=65536)
def _tokenize(caption: str) -> tuple[int, ...]:
    return tuple(int(token) for token, _ in _tokenizer().tokenize_with_weights(caption)[0])


def encode_captions(captions: list[str]) -> Tensor:
    """Text conditioning (B, 77, 768) without the twelve layers, which change it by a few percent."""
    tokens, positions = embedding_tables()
    ids = torch.tensor([_tokenize(caption) for caption in captions])
    return F.layer_norm(tokens[ids] + positions, (WIDTH,))

"""The text encoder of the 128 pixel model: CLIP-L made from a seed, in which a word knows the two before it.

In captions such as "long red hair, blue dress" the color belongs to what follows it. The smaller model's encoder gives
each word a vector of its own wherever it stands, so nothing says which of two colors is the hair's. Here positions
have 64 dimensions for themselves, as 32 pairs of cosine and sine. Turning every pair by its own angle makes one
position into the one before it, so that the query of a head meets the key of the neighbor alone. The first layer's
heads carry a random projection of that neighbor's vector to the word. The other layers are nearly zero.
Shape letters: B captions, L = 77 tokens, D = 768.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..pocket import text as smaller
from ..pocket.text import NUM_TOKENS, VOCABULARY, WIDTH

SEED = 4321
HEAD, NUM_HEADS = 64, 12
BACK_BY_HEAD = (1, 1, 1, 1, 1, 2, 2, 2)
"""How far back the first heads look; the other four stay noise."""
SHARPNESS = 40.0
"""Score of the neighbor above the mean of the others, about."""
CARRIED = {1: 0.8, 2: 0.5}
"""Root mean square of what is carried, by distance; a word's own is about 1."""
FIRST = "text_model.encoder.layers.0.self_attn"


@lru_cache(maxsize=1)
def embedding_tables() -> tuple[Tensor, Tensor]:
    """Token vectors (49408, 768), zero where positions are, and position vectors (77, 768), zero where tokens are."""
    tokens = np.random.RandomState(SEED).standard_normal((VOCABULARY, WIDTH)).astype(np.float32)
    tokens[:, :HEAD] = 0
    positions = np.zeros((NUM_TOKENS, WIDTH), np.float32)
    angles = np.arange(NUM_TOKENS)[:, None] * _frequencies()[None]
    positions[:, :HEAD] = np.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], -1).reshape(NUM_TOKENS, HEAD)
    return torch.from_numpy(tokens).half().float(), torch.from_numpy(positions).half().float()


def _frequencies() -> np.ndarray:
    """Angles per position (32,), evenly over half a turn: the sum of their cosines is large at distance 0 alone."""
    return (np.arange(HEAD // 2) + 0.5) * np.pi / (HEAD // 2)


def _turn_back(distance: int) -> Tensor:
    """The matrix (64, 64) that makes a position's vector into that of `distance` before."""
    matrix = torch.zeros(HEAD, HEAD, dtype=torch.float64)
    for index, angle in enumerate(-distance * _frequencies()):
        cos, sin, at = np.cos(angle), np.sin(angle), 2 * index
        matrix[at : at + 2, at : at + 2] = torch.tensor([[cos, -sin], [sin, cos]])
    return matrix.float()


@lru_cache(maxsize=1)
def neighbor_attention() -> dict[str, Tensor]:
    """The first layer's query, key, value and output weights (768, 768), float32 rounded to what float16 can hold."""
    generator = torch.Generator().manual_seed(SEED)
    weights = {name: torch.zeros(WIDTH, WIDTH) for name in ("q_proj", "k_proj", "v_proj", "out_proj")}
    for head, distance in enumerate(BACK_BY_HEAD):
        rows = slice(head * HEAD, (head + 1) * HEAD)
        scale = (SHARPNESS / HEAD * HEAD**0.5) ** 0.5
        weights["q_proj"][rows, :HEAD] = scale * _turn_back(distance)
        weights["k_proj"][rows, :HEAD] = scale * torch.eye(HEAD)
        read = torch.randn(HEAD, WIDTH - HEAD, generator=generator) / (WIDTH - HEAD) ** 0.5
        share = CARRIED[distance] / BACK_BY_HEAD.count(distance) ** 0.5
        write = torch.randn(WIDTH - HEAD, HEAD, generator=generator) / HEAD**0.5
        weights["v_proj"][rows, HEAD:] = read
        weights["out_proj"][HEAD:, rows] = share * write
    return {name: weight.half().float() for name, weight in weights.items()}


def text_encoder_weights() -> dict[str, Tensor]:
    """All twelve layers in float16, named as in a checkpoint (`text_model.…`); the rest is the smaller model's."""
    tokens, positions = embedding_tables()
    weights = smaller.text_encoder_weights()
    weights["text_model.embeddings.token_embedding.weight"] = tokens.half()
    weights["text_model.embeddings.position_embedding.weight"] = positions.half()
    for name, attention in neighbor_attention().items():
        noise = weights[f"{FIRST}.{name}.weight"]
        weights[f"{FIRST}.{name}.weight"] = torch.where(_is_free(name), noise, attention.half())
    return weights


def _is_free(name: str) -> Tensor:
    """The part (768, 768) of a weight that no head of ours uses, True there."""
    free = torch.ones(WIDTH, WIDTH, dtype=torch.bool)
    used = len(BACK_BY_HEAD) * HEAD
    free[(slice(None), slice(0, used)) if name == "out_proj" else slice(0, used)] = False
    return free


def encode_captions(captions: list[str]) -> Tensor:
    """Text conditioning (B, 77, 768) through the first layer's heads alone; the rest changes it by a few percent."""
    tokens, positions = embedding_tables()
    ids = torch.tensor([smaller._tokenize(caption) for caption in captions])  # noqa: SLF001 - its source names the checkpoint
    x = tokens[ids] + positions
    return F.layer_norm(x + _attend(F.layer_norm(x, (WIDTH,))), (WIDTH,))


def _attend(x: Tensor) -> Tensor:
    weights, count = neighbor_attention(), len(BACK_BY_HEAD)
    query, key, value = (
        (x @ weights[name][: count * HEAD].T).unflatten(-1, (count, HEAD)).transpose(1, 2)
        for name in ("q_proj", "k_proj", "v_proj")
    )
    carried = F.scaled_dot_product_attention(query, key, value, is_causal=True).transpose(1, 2).flatten(2)
    return carried @ weights["out_proj"][:, : count * HEAD].T

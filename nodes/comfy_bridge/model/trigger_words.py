"""Finds likely trigger words: those whose encoding the text-encoder part of a LoRA changes most.

Candidates are the tags that the file says it was trained on, and the words of the vocabulary whose embeddings the first
layer's change affects most (one matrix product for all 49408). Each is then encoded alone, with and without the LoRA.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ....training.files.formats import split_modules
from ....training.tools.deltas import delta_weight, needs_weight
from ....training.tools.metadata_text import tag_counts
from ....training.tools.strengths import Strengths
from .lora import apply_lora, kohya_tensors

_FIRST_LAYER = "text_model_encoder_layers_0_self_attn_"
_WORD_END = "</w>"
_END_TOKEN = 49407
_MIN_LETTERS = 3


class WordChange(NamedTuple):
    """How much a word's encoding changes."""

    word: str
    change: float
    """Mean absolute difference as a share of the mean absolute encoding."""


def likely_trigger_words(
    clip: Any, lora: Mapping[str, Tensor], num_candidates: int = 40, num_words: int = 10
) -> list[WordChange]:
    """Words by descending change; empty if the LoRA does not change the text encoders."""
    tensors = {key: tensor for key, tensor in kohya_tensors(lora).items() if key.startswith("lora_te")}
    if not tensors:
        return []
    tags = [tag for tag, _ in tag_counts(getattr(lora, "metadata", {})).most_common(num_candidates)]
    candidates = dict.fromkeys([*tags, *_answering_words(clip, tensors, num_candidates)])
    _, changed = apply_lora(None, clip, tensors, Strengths())
    before, after = _encode(clip, candidates), _encode(changed, candidates)
    found = [
        WordChange(word, float((after[word] - before[word]).abs().mean() / before[word].abs().mean()))
        for word in candidates
    ]
    return sorted(found, key=lambda item: -item.change)[:num_words]


def _encode(clip: Any, words: Iterable[str]) -> dict[str, Tensor]:
    """States (tokens, D) at the word's own tokens, without end and padding, which would dominate.

    All words with one model first: switching between patched and plain costs a load each time.
    """
    states: dict[str, Tensor] = {}
    for word in words:
        tokens = clip.tokenize(word)
        ids = [int(token[0]) for token in next(iter(tokens.values()))[0]]
        end = ids.index(_END_TOKEN) if _END_TOKEN in ids else len(ids)
        states[word] = clip.encode_from_tokens(tokens)[0, 1 : max(end, 2)].float()
    return states


def _answering_words(clip: Any, tensors: Mapping[str, Tensor], count: int) -> list[str]:
    model = getattr(clip.cond_stage_model, "clip_l", None)
    tokenizer = getattr(clip.tokenizer, "clip_l", None)
    if model is None or tokenizer is None:
        return []
    weights = model.transformer.state_dict()
    embedding_VD = weights["text_model.embeddings.token_embedding.weight"].float()
    norm = {kind: weights[f"text_model.encoder.layers.0.layer_norm1.{kind}"].float() for kind in ("weight", "bias")}
    inputs_VD = torch.nn.functional.layer_norm(embedding_VD, embedding_VD.shape[1:], norm["weight"], norm["bias"])
    score_V = torch.zeros(len(inputs_VD), device=inputs_VD.device)
    for name, parts in split_modules(tensors).items():
        if _FIRST_LAYER in name and not name.startswith("lora_te2_") and not needs_weight(parts):
            score_V += (inputs_VD @ delta_weight(parts).to(inputs_VD).T).square().sum(1)
    vocabulary: dict[str, int] = tokenizer.tokenizer.get_vocab()
    words = [
        (token.removesuffix(_WORD_END), index)
        for token, index in vocabulary.items()
        if token.endswith(_WORD_END) and token[: -len(_WORD_END)].isalpha() and len(token) >= _MIN_LETTERS + 4
    ]
    scores = score_V.tolist()
    words.sort(key=lambda item: -scores[item[1]])
    return [word for word, _ in words[:count]] if any(scores) else []

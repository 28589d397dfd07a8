"""LoRA files as nobody should write them: each is read or refused in words, and stays as it is."""

import json
import math
import struct

import pytest
import torch
from pack.tests.support.words import in_words
from pack.training.files.lora_file import load_lora
from pack.training.networks.foreign import load_kohya
from pack.training.run.state import load_state
from pack.training.tools.inspection import inspect_lora
from pack.training.tools.merge import MergeSettings, merge
from pack.training.tools.ranks import RankChoice
from pack.training.tools.resize import resize
from pack.training.tools.strengths import Strengths

LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def tensors_file(header, data=b"\0" * 64, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start, end, shape=(4,), kind="F32"):
    return {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}


def valid(down, up):
    from safetensors.torch import save

    names = {"lora_down.weight": down, "lora_up.weight": up, "alpha": torch.tensor(2.0)}
    return save({f"{LAYER}.{name}": value for name, value in names.items()})


RIGHT = valid(torch.ones(2, 320), torch.ones(320, 2))
TENSORS = {
    "empty": b"",
    "eight bytes": b"\0" * 8,
    "text": b"not a LoRA",
    "a pickle": b"\x80\x04\x95" + b"\0" * 99,
    "a zip": b"PK\x03\x04" + b"\0" * 99,
    "header beyond the file": tensors_file({}, length=1000),
    "header of 2^63": tensors_file({}, length=2**63),
    "header of 2^64 - 1": tensors_file({}, length=2**64 - 1),
    "header of 200 MB claimed": tensors_file({}, length=200 << 20),
    "no header": tensors_file(b"", b""),
    "header no JSON": tensors_file(b"{"),
    "header a list": tensors_file(b"[]"),
    "header a number": tensors_file(b"1"),
    "header deep": tensors_file(b'{"a":' * 5000),
    "header not UTF-8": tensors_file(b'{"\xff": 1}'),
    "overlap": tensors_file({"a": entry(0, 16), "b": entry(8, 24)}),
    "hole": tensors_file({"a": entry(16, 32)}),
    "beyond the end": tensors_file({"a": entry(0, 4000, (1000,))}),
    "backwards": tensors_file({"a": entry(16, 0)}),
    "wrong size": tensors_file({"a": entry(0, 16, (5,))}),
    "negative": tensors_file({"a": entry(-16, 0)}),
    "shape of 2^62": tensors_file({"a": entry(0, 16, (2**62, 2**62))}),
    "shape negative": tensors_file({"a": entry(0, 16, (-4,))}),
    "unknown type": tensors_file({"a": entry(0, 16, kind="Q7")}),
    "no type": tensors_file({"a": {"shape": [4], "data_offsets": [0, 16]}}),
    "same name twice": tensors_file(
        b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}',
        b"\0" * 32,
    ),
    "metadata of numbers": tensors_file({"__metadata__": {"a": 1}}, b""),
    "metadata a list": tensors_file({"__metadata__": []}, b""),
    "only metadata": tensors_file({"__metadata__": {"a": "b"}}, b""),
    "nothing at all": tensors_file({}, b""),
    "unknown tensors": tensors_file({"a": entry(0, 16)}, b"\0" * 16),
    "NaN": valid(torch.full((2, 320), math.nan), torch.ones(320, 2)),
    "infinity": valid(torch.ones(2, 320), torch.full((320, 2), math.inf)),
    "rank 0": valid(torch.ones(0, 320), torch.ones(320, 0)),
    "ranks differ": valid(torch.ones(2, 320), torch.ones(320, 3)),
    "a number": valid(torch.tensor(1.0), torch.tensor(1.0)),
    "five dimensions": valid(torch.ones(2, 320, 1, 1, 1), torch.ones(320, 2, 1, 1, 1)),
    "whole numbers": valid(torch.ones(2, 320, dtype=torch.int64), torch.ones(320, 2, dtype=torch.int64)),
    "booleans": valid(torch.ones(2, 320, dtype=torch.bool), torch.ones(320, 2, dtype=torch.bool)),
    "half of it": RIGHT[: len(RIGHT) // 2],
    "one byte less": RIGHT[:-1],
    "one byte more": RIGHT + b"\0",
    "only down": tensors_file({f"{LAYER}.lora_down.weight": entry(0, 16)}, b"\0" * 16),
    "metadata of alphas": tensors_file({"__metadata__": {"lora_adapter_metadata": "{"}, "a": entry(0, 16)}, b"\0" * 16),
    "metadata deep": tensors_file(
        {"__metadata__": {"lora_adapter_metadata": "[" * 9999, "ss_tag_frequency": "{" * 9999}, "a": entry(0, 16)},
        b"\0" * 16,
    ),
}


@pytest.mark.parametrize("read", [load_lora, load_kohya, load_state])
@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_file_is_read_or_refused(tmp_path, kind, read):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(TENSORS[kind])
    try:
        read(path)
    except ValueError as error:
        in_words(error, tmp_path)
        assert "odd" in str(error) or "metadata" in str(error) or LAYER in str(error), error
    assert path.read_bytes() == TENSORS[kind]


@pytest.mark.parametrize("kind", TENSORS)
def test_a_tensor_file_is_inspected_merged_and_resized_or_refused(tmp_path, kind):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(TENSORS[kind])
    try:
        file = load_kohya(path)
    except ValueError:
        return
    for use in (
        lambda: inspect_lora(file.tensors, "sd15", file.metadata),
        lambda: merge([(file.tensors, Strengths())] * 2, "sd15", MergeSettings()),
        lambda: resize(file.tensors, RankChoice(rank=1)),
    ):
        try:
            use()
        except ValueError as error:
            in_words(error, tmp_path)

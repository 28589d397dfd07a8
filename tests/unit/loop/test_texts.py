"""Captions of a frozen text encoder are encoded once, with bounded memory, and keep their bits on the disk."""

import gc
from types import SimpleNamespace

import pytest
import torch
from pack.training.base_model import TextConditioning
from pack.training.loop.texts import FrozenTexts
from pack.training.loop.texts_on_disk import TextsOnDisk

CAPTIONS = [f"a fox, number {number}" for number in range(20)]
SDXL_BYTES = 4 * (77 * 2048 + 1280)


class Encoder:
    """Text encoders of SDXL's shapes; counts what it encodes."""

    def __init__(self, dtype=torch.float32):
        self.dtype, self.encoded = dtype, []

    def encode_text(self, captions):
        self.encoded += captions
        return [self.of(caption) for caption in captions]

    def of(self, caption):
        noise = torch.Generator().manual_seed(sum(map(ord, caption)))
        context, pooled = torch.randn(77, 2048, generator=noise), torch.randn(1280, generator=noise)
        return TextConditioning(context.to(self.dtype), pooled.to(self.dtype))


def same(one, other):
    return torch.equal(one.context_LD, other.context_LD) and torch.equal(one.pooled_D, other.pooled_D)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_what_memory_does_not_hold_is_read_from_the_disk_with_the_same_bits(tmp_path, dtype):
    base = Encoder(dtype)
    texts = FrozenTexts(base, tmp_path / "new", memory_limit=5 * SDXL_BYTES)
    texts.prepare(CAPTIONS)
    found = [texts([caption])[0] for caption in CAPTIONS * 2]
    assert base.encoded == CAPTIONS
    assert all(same(text, base.of(caption)) for caption, text in zip(CAPTIONS * 2, found, strict=True))
    del texts
    gc.collect()
    assert list((tmp_path / "new").iterdir()) == []


def test_memory_stays_below_the_limit_whatever_is_asked(tmp_path):
    texts = FrozenTexts(Encoder(), tmp_path, memory_limit=5 * SDXL_BYTES)
    texts.prepare(CAPTIONS[:12])
    for caption in CAPTIONS:
        texts([caption])
        assert texts._num_bytes <= 5 * SDXL_BYTES
        assert sum(text.context_LD.nbytes + text.pooled_D.nbytes for text in texts._known.values()) == texts._num_bytes


def test_a_batch_larger_than_memory_is_given_whole(tmp_path):
    base = Encoder()
    given = FrozenTexts(base, tmp_path, memory_limit=2 * SDXL_BYTES)(CAPTIONS[:6] * 2)
    assert all(same(text, base.of(caption)) for caption, text in zip(CAPTIONS[:6] * 2, given, strict=True))
    assert base.encoded == CAPTIONS[:6]


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_full_disk_ends_nothing(tmp_path, monkeypatch):
    base = Encoder()
    texts = FrozenTexts(base, tmp_path, memory_limit=2 * SDXL_BYTES)
    with monkeypatch.context() as patch:
        patch.setattr(TextsOnDisk, "_write", full)
        texts.prepare(CAPTIONS)
    assert same(texts([CAPTIONS[-1]])[0], base.of(CAPTIONS[-1]))
    assert base.encoded == [*CAPTIONS, CAPTIONS[-1]]


def test_the_last_of_a_disk_is_left_to_what_the_run_saves(tmp_path, monkeypatch):
    base = Encoder()
    texts = FrozenTexts(base, tmp_path, memory_limit=0)
    texts.prepare(CAPTIONS[:2])
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=2**30))
    texts.prepare(CAPTIONS)
    assert same(texts(CAPTIONS[:1])[0], base.of(CAPTIONS[0])) and base.encoded == CAPTIONS
    assert same(texts(CAPTIONS[5:6])[0], base.of(CAPTIONS[5])) and base.encoded == [*CAPTIONS, CAPTIONS[5]]


def test_gradients_can_flow_from_what_was_read(tmp_path):
    texts = FrozenTexts(Encoder(), tmp_path, memory_limit=0)
    with torch.inference_mode():
        texts.prepare(CAPTIONS[:1])
    weight = torch.ones((), requires_grad=True)
    with torch.inference_mode(False):
        (texts(CAPTIONS[:1])[0].context_LD * weight).sum().backward()
    assert weight.grad is not None

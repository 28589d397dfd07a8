"""Encoding a caption with trained text encoders makes nobody wait for the device, and gives the host's own bits."""

from types import SimpleNamespace

import pytest
import torch
from pack.tests.host.device.graphs import load
from pack.tests.host.device.steps import base_model
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from safetensors.torch import save_file

pytestmark = pytest.mark.comfy

PARTS = {"sd15": ("text_encoder",), "sdxl": ("text_encoder", "text_encoder_2")}
CAPTIONS = {
    "short": "a red cat",
    "empty": "",
    "long": ", ".join(f"red cat number {i}" for i in range(60)),
    "weighted": "a (red:1.3) cat, [hat]",
    "an embedding": "a embedding:creature cat",
}


@pytest.fixture(scope="module", params=PARTS)
def family(request):
    return request.param


@pytest.fixture
def trained_text(comfy, device, family):
    """Base model with clip skip and adapters on its text encoders, which change nothing yet."""
    loaded = load(comfy, family)
    folder = comfy.base / "embeddings for captions"
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    vectors = {"clip_l": torch.randn(2, 768, generator=generator), "clip_g": torch.randn(2, 1280, generator=generator)}
    save_file(vectors, folder / "creature.safetensors")
    clip = comfy.module("nodes").CLIPSetLastLayer().set_last_layer(loaded.clip, -2)[0]
    for part in ("clip_l", "clip_g"):
        if hasattr(clip.tokenizer, part):
            getattr(clip.tokenizer, part).embedding_directory = str(folder)
    base = base_model((loaded.model, clip, loaded.vae))
    settings = NetworkSettings(rank=2, alpha=2.0, parts=PARTS[family])
    with torch.inference_mode(False):
        network = Network.create(base.parts(), family, settings, 0, base.frozen_tensor).to_parts(base.device_of)
    return SimpleNamespace(base=base, clip=clip, network=network)


def hosts_own(clip, captions):
    """What the host's prompts give."""
    with torch.inference_mode():
        return [clip.encode_from_tokens(clip.tokenize(caption), return_pooled=True) for caption in captions]


def outputs(text):
    return [text.context_LD] if text.pooled_D is None else [text.context_LD, text.pooled_D]


@pytest.fixture(params=[pytest.param("loaded", marks=pytest.mark.full), "streamed"])
def weights(comfy, request):
    """Streamed as the host does with dynamic VRAM, for the rest of the process."""
    if request.param == "streamed":
        from pack.tests.support.second_device import streaming  # after the device is known

        streaming.enable()


def test_no_caption_waits_and_each_has_the_hosts_bits(device, weights, trained_text, family):
    base, network = trained_text.base, trained_text.network
    wanted = hosts_own(trained_text.clip, CAPTIONS.values())
    with torch.inference_mode(False), base.training(True):
        network.attach()
        network.begin(0, 0, 0)
        with device.listening() as waits:
            texts = base.encode_text(list(CAPTIONS.values()))
            torch.cat([each.flatten() for text in texts for each in outputs(text)]).square().mean().backward()
        network.detach()
        assert waits == []
        gradients = [p.grad for _, p in network.named_parameters() if p.grad is not None]
        assert len(gradients) > 4, "clip skip leaves the last layer without"
        assert all(gradient.isfinite().all() for gradient in gradients)
        for (context, pooled), text in zip(wanted, texts, strict=True):
            assert text.context_LD.device == base.device
            assert torch.equal(text.context_LD.detach().cpu(), context[0])
            assert family == "sd15" or torch.equal(text.pooled_D.detach().cpu(), pooled[0])


def test_afterwards_the_host_gives_conditioning_where_it_did(comfy, trained_text):
    (before, _), = hosts_own(trained_text.clip, ["a red cat"])  # fmt: skip
    with trained_text.base.training(True):
        trained_text.base.encode_text(["a red cat"])
    (after, _), = hosts_own(trained_text.clip, ["a red cat"])  # fmt: skip
    assert after.device == before.device == comfy.module("comfy.model_management").intermediate_device()

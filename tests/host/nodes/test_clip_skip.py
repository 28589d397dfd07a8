"""Clip skip is set by the host's own node in front of Train LoRA, and training reads captions the same way."""

import pytest
import torch

pytestmark = pytest.mark.comfy


@pytest.mark.parametrize("layer", [-1, -2])
def test_training_reads_captions_at_the_layer_that_was_set(comfy, tiny_sd15, layer):
    from pack.nodes.comfy_bridge.model.base_model import ComfyBaseModel
    from pack.nodes.comfy_bridge.model.model_facts import clip_skip

    model, clip, vae = comfy.load_checkpoint(tiny_sd15)
    skipped = comfy.module("nodes").CLIPSetLastLayer().set_last_layer(clip, layer)[0]
    with torch.inference_mode():
        wanted = skipped.encode_from_tokens_scheduled(skipped.tokenize("a red cat"))[0][0]
        plain = clip.encode_from_tokens_scheduled(clip.tokenize("a red cat"))[0][0]
    base = ComfyBaseModel(model, skipped, vae)
    with base.training(True):
        context_LD = base.encode_text(["a red cat"])[0].context_LD.detach()
    assert torch.equal(context_LD, wanted[0])
    assert torch.equal(context_LD, plain[0]) == (layer == -1)
    assert clip_skip(base.clip, base.family) == -layer
    assert clip_skip(clip, base.family) == 1  # nothing set
    assert clip_skip(None, base.family) is None

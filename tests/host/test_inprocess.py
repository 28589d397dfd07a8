"""ComfyUI in this process: tiny checkpoints are what they claim to be, workflows run."""

from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.comfy


@pytest.mark.parametrize(
    ("fixture", "base_class", "context_size"), [("tiny_sd15", "SD15", 768), ("tiny_sdxl", "SDXL", 2048)]
)
def test_tiny_checkpoint_is_detected_encodes_and_predicts(request, comfy, fixture, base_class, context_size):
    path: Path = request.getfixturevalue(fixture)
    model, clip, vae = comfy.load_checkpoint(path)
    assert base_class in {kind.__name__ for kind in type(model.model.model_config).__mro__}
    with torch.inference_mode():
        latents = vae.encode(torch.rand(1, 64, 64, 3))
        cond = clip.encode_from_tokens_scheduled(clip.tokenize("a creature"))
        sample = comfy.module("comfy.sample").sample
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
        images = vae.decode(sample(model, noise, 1, 1.0, "euler", "normal", cond, cond, latents, seed=0))
    assert cond[0][0].shape == (1, 77, context_size)
    assert cond[0][0].isfinite().all()
    assert images.shape == (1, 64, 64, 3)
    assert images.isfinite().all()


def test_graph_runs_and_is_cached(comfy):
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 255}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    first, second = comfy.run_graph(prompt), comfy.run_graph(prompt)
    assert first.status == second.status == "success"
    assert first.outputs["2"]["images"][0]["filename"].endswith(".png")
    assert second.cached_nodes == {"1", "2"}

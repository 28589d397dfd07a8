"""A full card at every point of a run: said with what needs less, memory given back, and the next prompt trains."""

import shutil
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import torch
from pack.tests.host.device.graphs import bytes_of_others, trained, training_graph
from pack.tests.support.cases import chosen

pytestmark = pytest.mark.comfy

BRIDGE = "pack.nodes.comfy_bridge"


PICTURE = "no preview at step"


@dataclass(frozen=True)
class Point:
    """The first allocation in one call of a function fails."""

    owner: str
    """Module, or module:Class."""
    name: str
    call: int = 1
    goes_on: str = ""
    """Said where the run goes on, without a picture; empty where it ends."""


POINTS = {
    "the VAE is loaded": Point(f"{BRIDGE}.model.base_model:ComfyBaseModel", "encode_images"),
    "a picture is encoded": Point("comfy.sd:VAE", "encode", 2, goes_on="2 steps"),  # in tiles, by the host
    "a caption is encoded": Point("comfy.sd:CLIP", "encode_from_tokens"),
    "the second caption is encoded": Point("comfy.sd:CLIP", "encode_from_tokens", 2),
    "the network is made": Point("pack.training.networks.network:Network", "to_parts"),
    "the model is loaded": Point(f"{BRIDGE}.model.base_model", "give_device_to"),
    "averages are begun": Point("pack.training.optimizers.ema:Ema", "__init__"),
    "the prediction is checked": Point(f"{BRIDGE}.host_callbacks", "contradiction"),
    "held-out pictures are measured": Point("pack.training.watch.validation:Validator", "_measure"),
    "the base model draws": Point(f"{BRIDGE}.previews:HostSampler", "_sampled", goes_on=PICTURE),
    "the base model's picture is decoded": Point("comfy.sd:VAE", "decode", goes_on=PICTURE),
    "forward, step 1": Point("pack.training.loop.gradients", "diffusion_loss"),
    "a batch goes up": Point("pack.training.objective.objective", "_uploaded"),
    "backward, step 1": Point("torch:Tensor", "backward"),
    "gradients are clipped": Point("pack.training.loop.gradients", "clip_grad_norm_"),
    "the optimizer's state is made": Point("torch.optim:AdamW", "step"),
    "the optimizer steps again": Point("torch.optim:AdamW", "step", 2),
    "norms are limited": Point("pack.training.loop.trainer", "scale_weight_norms"),
    "averages move": Point("pack.training.optimizers.ema:Ema", "update", 2),
    "forward, step 2": Point("pack.training.loop.gradients", "diffusion_loss", 2),
    "backward, step 2": Point("torch:Tensor", "backward", 2),
    "the trained network draws": Point(f"{BRIDGE}.previews:HostSampler", "_sampled", 2, goes_on=PICTURE),
    "the last picture is decoded": Point("comfy.sd:VAE", "decode", 2, goes_on=PICTURE),
}


@contextmanager
def full(comfy, point, monkeypatch):
    """Inside, the card is full at a point, once."""
    module, _, inner = point.owner.partition(":")
    owner = getattr(comfy.module(module), inner) if inner else comfy.module(module)
    own, calls, fail = getattr(owner, point.name), [], torch.ops.second_device.fail_after

    def watched(*values, **named):
        calls.append(1)
        if len(calls) == point.call:
            fail(0, "")
        return own(*values, **named)

    with monkeypatch.context() as patched:
        patched.setattr(owner, point.name, watched)
        try:
            yield
        finally:
            fail(-1, "")
    assert len(calls) >= point.call, "the graph never came there"


def graph_of(comfy, name):
    return training_graph(
        comfy, name, steps=2, save_every=1, validation_share=0.34, preview={"every": 0, "steps": 1, "cfg": 1.0},
        optimizer={"ema_decay": 0.9}, objective={"scale_weight_norms": 0.01},
    )  # fmt: skip


@pytest.mark.parametrize("where", chosen(POINTS, ["the model is loaded", "backward, step 2", "the network is made"]))
def test_it_is_said_its_memory_given_back_and_the_next_prompt_trains(comfy, device, where, monkeypatch):
    from pack.nodes.comfy_bridge.host.run_folders import latent_cache_folder

    shutil.rmtree(latent_cache_folder(), ignore_errors=True)
    point, graph = POINTS[where], graph_of(comfy, f"full card, {where}")
    with full(comfy, point, monkeypatch):
        result = comfy.run_graph(graph)
    if point.goes_on:
        assert result.status == "success", result.error
        assert point.goes_on in "\n".join(result.outputs["train"]["text"])
    else:
        assert result.status == "error" and "memory is full" in str(result.error), (result.status, result.error)
        assert "needs less memory" in str(result.error)
    del result
    assert bytes_of_others(comfy, device) == 0
    said = trained(comfy, graph)
    assert "of 2" in said or "2 steps" in said or "already trained" in said, said

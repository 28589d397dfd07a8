"""What a card may do to a run in the middle, and the run goes on: overflow in half precision, pictures that fail."""

import shutil
from importlib import import_module

import pytest
import torch
from pack.tests.host.device.graphs import bytes_of_others, node, trained, training_graph
from pack.tests.support.cases import chosen
from safetensors.torch import load_file

pytestmark = pytest.mark.comfy
UNLOADED = RuntimeError("on the")
"""Another node gives back all memory in the middle of a picture, which then meets weights on the processor."""
ERRORS = [
    torch.OutOfMemoryError("full"),
    ValueError("width of the mask"),
    RuntimeError("CUDA error: misaligned"),
    UNLOADED,
]


def test_an_overflow_of_float16_is_paid_once_and_said(comfy, device, monkeypatch):
    from pack.nodes.comfy_bridge.model import base_model

    monkeypatch.setattr(base_model, "HALF_LOSS_SCALE", 2.0**28)
    passes, denoise = [], base_model.ComfyBaseModel.denoise

    def counted(self, *asked):
        passes.append(torch.is_grad_enabled())
        return denoise(self, *asked)

    monkeypatch.setattr(base_model.ComfyBaseModel, "denoise", counted)
    graph = training_graph(comfy, "overflow", steps=4, preview={"every": 0})
    assert "4 steps" in trained(comfy, graph)
    assert 4 < sum(passes) <= 4 + 4, "the first step alone tries smaller scales"
    assert any("float16 overflowed" in str(data) for _, data in comfy.sent)


class Broken:
    """A node before Train LoRA whose patch fails while sampling, which training does not use."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL",), "patch", "testing"
    error = RuntimeError("another node's patch is broken")

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - the host's name
        return {"required": {"model": ("MODEL",)}}

    def patch(self, model):
        model = model.clone()

        def fail(apply, args):
            if self.error is UNLOADED:
                import_module("comfy.model_management").unload_all_models()
                return apply(args["input"], args["timestep"], **args["c"])
            raise type(self.error)(*self.error.args)  # another each time: an error holds what its frames hold

        model.set_model_unet_function_wrapper(fail)
        return (model,)


def with_broken(comfy, name, error, **changes):
    comfy.module("nodes").NODE_CLASS_MAPPINGS["TestBroken"] = Broken
    Broken.error = error
    graph = training_graph(comfy, name, save_every=1, **changes)
    graph["broken"] = node("TestBroken", model=["1", 0])
    graph["train"]["inputs"]["model"] = ["broken", 0]
    return graph


def weights_of(comfy, name):
    """Of a run, which is deleted: the next one of the same settings would go on from it."""
    folder = comfy.base / "output" / "loras" / name
    weights = load_file(folder / f"{name}.safetensors")
    shutil.rmtree(folder)
    return weights


@pytest.mark.parametrize("error", chosen(ERRORS, ERRORS[:1]))
def test_a_picture_that_another_node_spoils_is_left_out_and_nothing_else_changes(comfy, device, error):
    said = trained(comfy, with_broken(comfy, "spoiled", error))
    assert "3 steps" in said and "no preview at step 3" in said and str(error) in said
    found = weights_of(comfy, "spoiled")
    trained(comfy, training_graph(comfy, "spoiled", save_every=1))
    wanted = weights_of(comfy, "spoiled")
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert bytes_of_others(comfy, device) == 0


def test_canceling_while_a_picture_is_drawn_keeps_what_was_trained(comfy, device):
    error = comfy.module("comfy.model_management").InterruptProcessingException()
    graph = with_broken(comfy, "canceled", error, preview={"every": 2, "at_start": False})
    assert comfy.run_graph(graph).status == "interrupted"
    assert bytes_of_others(comfy, device) == 0
    graph["train"]["inputs"]["model"] = ["1", 0]
    assert "continued from step 2" in trained(comfy, graph)

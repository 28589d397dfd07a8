"""Nodes for the test server alone: a MODEL whose forward fails, and what a MODEL's and CLIP's weights are, bit for bit.

Checkpoints are loaded with three layers of their text encoders: the tests' models have no more, or (the small model
that knows a world) more that do next to nothing and would take half the time of every run.

The server loads this folder as a node pack of its own, as it loads ours.
"""

import functools
import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import comfy.sd
import torch
from torch import Tensor

TOO_MUCH = 1 << 50
"""Bytes: a petabyte, which no allocator gives."""


class FailingForward:
    """Stands for a U-Net's forward; fails once, at a given call of those that keep gradients."""

    def __init__(self, forward: Callable[..., Tensor], at_call: int, kind: str) -> None:
        self.forward, self.at_call, self.kind, self.calls = forward, at_call, kind, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """The U-Net's own result, or the failure."""
        output = self.forward(*args, **kwargs)
        self.calls += torch.is_grad_enabled()
        if self.calls != self.at_call or not torch.is_grad_enabled():
            return output
        if self.kind == "memory":
            torch.empty(TOO_MUCH, dtype=torch.uint8, device=output.device)
        raise RuntimeError("a fault inside the model")


class FailingModel:
    """MODEL with the host's own kind of patch on the U-Net's forward."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "testing"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the host's name
        """As the host asks for them."""
        return {"required": {"model": ("MODEL",), "at_call": ("INT", {"default": 1}), "kind": (["error", "memory"],)}}

    def patch(self, model: Any, at_call: int, kind: str) -> tuple[Any]:
        """A clone with the patch."""
        patched = model.clone()
        forward = FailingForward(model.model.diffusion_model.forward, at_call, kind)
        patched.add_object_patch("diffusion_model.forward", forward)
        return (patched,)


class WeightsDigest:
    """Output node: a digest of every byte of the weights that MODEL and CLIP compute with."""

    RETURN_TYPES = ()
    FUNCTION = "digest"
    CATEGORY = "testing"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802 - the host's name
        """As the host asks for them."""
        return {"required": {"model": ("MODEL",), "clip": ("CLIP",)}}

    @classmethod
    def IS_CHANGED(cls, **_: Any) -> float:  # noqa: N802 - the host's name
        """Runs at every queue."""
        return float("nan")

    def digest(self, model: Any, clip: Any) -> dict[str, Any]:
        """Loads both, so that their patches are in place, and reads all bytes."""
        import comfy.model_management

        comfy.model_management.load_models_gpu([model, clip.patcher])
        found = hashlib.blake2b()
        for patcher in (model, clip.patcher):
            for name, tensor in sorted(patcher.model.state_dict().items()):
                found.update(name.encode())
                found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return {"ui": {"text": [found.hexdigest()]}}


THREE_LAYERS = {"clip_l_model_config": {"num_hidden_layers": 3}, "clip_g_model_config": {"num_hidden_layers": 3}}


def load_short_text_encoders() -> None:
    """Have ComfyUI load three layers of a checkpoint's text encoders from now on, unless it is asked otherwise."""
    load = comfy.sd.load_checkpoint_guess_config
    place = list(inspect.signature(load).parameters).index("te_model_options")

    @functools.wraps(load)
    def short(*given: Any, **named: Any) -> Any:
        return load(*given, **({"te_model_options": THREE_LAYERS} if len(given) <= place else {}) | named)

    if not hasattr(load, "__wrapped__"):
        comfy.sd.load_checkpoint_guess_config = short


load_short_text_encoders()
NODE_CLASS_MAPPINGS = {"TestFailingModel": FailingModel, "TestWeightsDigest": WeightsDigest}

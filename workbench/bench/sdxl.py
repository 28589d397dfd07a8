"""SDXL on 8 GB: the full U-Net, forward and backward, every tensor counted: `start.py sdxl bf16 128`.

It runs on shapes without data, so it needs neither the memory nor the hour. Only the U-Net is counted, as during
training: latents and text are cached, VAE and text encoders are off the device. Not counted: temporary memory inside
kernels, and the driver's own.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from ...nodes.comfy_bridge.model import base_model as bridge
from ...training.base_model import Checkpointing, TextConditioning
from ...training.networks.network import Network
from ..layouts import SDXL, Layout, host_model, weight_shapes
from .contest import Case
from .meters import LiveMeter, module_tensors
from .pack_trainer import POOLED_WIDTH, base_model, sizes

DTYPES = {"bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
RANK = 8
TOKENS = 77
ADAM_MOMENTS = 2


def main(arguments: list[str]) -> None:
    """Print the counts for a number format and a size of latents, for each level of checkpointing."""
    dtype, latent = DTYPES[arguments[0]], int(arguments[1])
    levels: tuple[Checkpointing, ...] = ("on", "finer")
    print(json.dumps({"dtype": arguments[0], **{level: count(SDXL, dtype, latent, level) for level in levels}}))


def count(layout: Layout, dtype: torch.dtype, latent: int, checkpointing: Checkpointing) -> dict[str, int]:
    """Bytes of weights, of adapters with AdamW's moments, and the peak, these included."""
    case = Case(layout_name=layout.name, latent=latent, rank=RANK, checkpointing=checkpointing)
    compute_dtype = torch.bfloat16 if dtype == torch.float8_e4m3fn else None
    with FakeTensorMode(allow_non_fake_inputs=True), left_where_it_is():
        weights = {name: torch.empty(shape, dtype=dtype) for name, shape in weight_shapes(layout).items()}
        return count_model(case, host_model(layout, weights, dtype, compute_dtype))


@contextmanager
def left_where_it_is() -> Iterator[None]:
    """Context in which the host loads no model: tensors without numbers cannot be moved, and need not be."""
    with patch.multiple(bridge, give_device_to=lambda patchers: None, are_loaded=lambda patchers: True):
        yield


def count_model(case: Case, model: Any) -> dict[str, int]:
    """The same for a model with or without data."""
    base = base_model(case, model)
    network = Network.create(base.parts(), base.family, case.network(), seed=0)
    known = module_tensors(base.parts()["unet"])
    trained = module_tensors(*network.adapters)
    with base.training(is_text_trained=False), LiveMeter([*known, *trained]) as meter:
        network.attach()
        network.train()
        prediction(case, base).square().mean().backward()
        network.detach()
    weights_bytes, state = _bytes(known), _bytes(trained) * (1 + ADAM_MOMENTS)
    return {"weights": weights_bytes, "state": state, "peak": weights_bytes + state + meter.peak}


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def prediction(case: Case, base: bridge.ComfyBaseModel) -> Tensor:
    """The U-Net's answer to inputs of a case's size, without numbers that mean anything."""
    text = TextConditioning(
        torch.zeros(TOKENS, case.layout.context_dim),
        torch.zeros(POOLED_WIDTH) if case.layout.family == "sdxl" else None,
    )
    return base.denoise(torch.zeros(1, 4, case.latent, case.latent), torch.full((1,), 500), [text], sizes(case))

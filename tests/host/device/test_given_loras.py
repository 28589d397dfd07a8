"""LoRAs whose tensors lie on the card, as core's trainer gives them, beside others from files."""

import pytest
import torch

pytestmark = pytest.mark.comfy

NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def lora(seed, rank=4, dtype=torch.float32):
    source = torch.Generator().manual_seed(seed)
    tensors = {
        f"{NAME}.lora_up.weight": torch.randn(320, rank, generator=source),
        f"{NAME}.lora_down.weight": torch.randn(rank, 320, generator=source),
        f"{NAME}.alpha": torch.tensor(float(rank)),
    }
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def on(device, tensors):
    return {name: torch.nn.Parameter(tensor.to(device.DEVICE)) for name, tensor in tensors.items()}


@pytest.mark.parametrize("method", ["sum", "add_difference", "ties", "dare"])
def test_merging_mixes_no_devices(device, method):
    from pack.nodes.lora.merge import BakeryMergeLoRAs

    inputs = {"rank": 8, "method": method, "strength_2": 0.5}
    third = {"lora_3": lora(3)} if method == "add_difference" else {}
    wanted = BakeryMergeLoRAs.execute(lora_1=lora(1), lora_2=lora(2), **third, **inputs).result[0]
    found = BakeryMergeLoRAs.execute(lora_1=on(device, lora(1)), lora_2=lora(2), **third, **inputs).result[0]
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_resizing_and_inspecting_work_where_a_file_would(device, dtype):
    from pack.nodes.lora.tools import BakeryInspectLoRA, BakeryResizeLoRA

    own = lora(1, dtype=dtype)
    wanted = BakeryResizeLoRA.execute(own, rank=2).result[0]
    found = BakeryResizeLoRA.execute(on(device, own), rank=2).result[0]
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert BakeryInspectLoRA.execute(on(device, own)).result[0] == BakeryInspectLoRA.execute(own).result[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_halves_on_the_card_are_merged_as_on_the_processor(device, dtype):
    from pack.nodes.lora.merge import BakeryMergeLoRAs

    first, second = lora(1, dtype=dtype), lora(2, dtype=dtype)
    for method in ("sum", "ties"):
        inputs = {"rank": 8, "method": method, "strength_2": 0.5}
        wanted = BakeryMergeLoRAs.execute(lora_1=first, lora_2=second, **inputs).result[0]
        found = BakeryMergeLoRAs.execute(lora_1=on(device, first), lora_2=on(device, second), **inputs).result[0]
        assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())

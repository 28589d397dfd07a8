"""LoRAs whose tensors lie on the card, as core's trainer gives them, beside others from files."""

import pytest
import torch

pytestmark = pytest.mark.comfy

NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def lora(seed, rank=4):
    source = torch.Generator().manual_seed(seed)
    return {
        f"{NAME}.lora_up.weight": torch.randn(320, rank, generator=source),
        f"{NAME}.lora_down.weight": torch.randn(rank, 320, generator=source),
        f"{NAME}.alpha": torch.tensor(float(rank)),
    }


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


def test_resizing_and_inspecting_work_where_a_file_would(device):
    from pack.nodes.lora.tools import BakeryInspectLoRA, BakeryResizeLoRA

    wanted = BakeryResizeLoRA.execute(lora(1), rank=2).result[0]
    found = BakeryResizeLoRA.execute(on(device, lora(1)), rank=2).result[0]
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert BakeryInspectLoRA.execute(on(device, lora(1))).result[0] == BakeryInspectLoRA.execute(lora(1)).result[0]

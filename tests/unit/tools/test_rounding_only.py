"""A model against its own copy in another type: what differs is rounding, and the report says so."""

import pytest
import torch
from pack.training.tools.extract import ExtractSettings, WeightPair, extract
from pack.training.tools.ranks import RankChoice

NAME = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


@pytest.mark.parametrize(("dtype", "kind"), [(torch.bfloat16, "bf16"), (torch.float16, "fp16")])
def test_a_copy_in_another_type_differs_by_rounding_alone(dtype, kind):
    weight = torch.randn(32, 32)
    settings = ExtractSettings(choice=RankChoice(rank=4), dtype=torch.float32)
    copy = WeightPair(NAME, weight, weight.to(dtype).float())
    assert f"equal once rounded to {kind}" in extract([copy], settings)[1].text()
    tuned = WeightPair(NAME.replace("to_q", "to_k"), weight, weight + 0.1)
    assert "once rounded" not in extract([copy, tuned], settings)[1].text()

"""A DyLoRA cut to fewer ranks is what those ranks were trained to be."""

import pytest
import torch
from pack.tests.unit.networks.layers import layer_and_input, trained
from pack.tests.unit.tools.loras import CONV, NAME, draw, low_rank, named, of_algorithm
from pack.training.networks.lora import LoraAdapter
from pack.training.tools.cut import cut
from pack.training.tools.ranks import RankChoice


@pytest.mark.parametrize("kind", ["linear", "conv1x1", "conv3x3"])
def test_a_cut_dylora_gives_what_training_its_blocks_gave(kind):
    """Against the training pass that draws the last kept block: the same output."""
    module, x = layer_and_input(kind)
    adapter = trained("dylora", module)
    resized, report = cut(named(NAME, adapter.file_tensors()), RankChoice(rank=2))
    parts = {key.removeprefix(f"{NAME}."): tensor for key, tensor in resized.items()}
    assert [(layer.rank_before, layer.rank_after) for layer in report.layers] == [(4, 2)]
    adapter.train()
    adapter.begin_pass(0.0)  # ranks 0 and 1
    loaded = LoraAdapter.from_tensors(adapter.layer, dict(parts)).double()
    torch.testing.assert_close(loaded(x, module), adapter(x, module), rtol=1e-6, atol=1e-6)
    assert report.bytes_after < report.bytes_before


def test_the_error_is_the_norm_of_what_was_cut_off():
    parts = low_rank(4)
    up, down = parts["lora_up.weight"], parts["lora_down.weight"]
    scale = float(parts["alpha"]) / 4 if "alpha" in parts else 1.0
    _, report = cut(named(NAME, parts), RankChoice(rank=3))
    assert report.layers[0].error == pytest.approx(scale * float((up[:, 3:] @ down[3:]).norm()), rel=1e-6)


def test_smaller_modules_and_norms_stay_and_convolutions_have_their_own_rank():
    norm = {"w_norm": draw(8, seed=1), "b_norm": draw(8, seed=2)}
    tensors = {**named(NAME, low_rank(2)), **named(CONV, low_rank(8, kernel=3)), **named("lora_unet_norm", norm)}
    resized, report = cut(tensors, RankChoice(rank=4, conv_rank=3))
    assert {layer.rank_after for layer in report.layers} == {2, 3}
    assert torch.equal(resized["lora_unet_norm.w_norm"], norm["w_norm"])
    assert torch.equal(resized[f"{NAME}.lora_up.weight"], tensors[f"{NAME}.lora_up.weight"])


def test_what_has_no_ordered_ranks_is_refused_by_name():
    with pytest.raises(ValueError, match=f"{NAME}.*keep_first"):
        cut(named(NAME, of_algorithm("loha")), RankChoice(rank=2))
    with pytest.raises(ValueError, match="rank_method.*fixed.*sv_fro"):
        cut(named(NAME, low_rank(4)), RankChoice(rank=2, method="sv_fro"))

"""T-LoRA: fewer ranks act the more noise there is, while training; the file is a LoRA's."""

import torch
from pack.tests.support.tiny_networks import tiny_parts
from pack.training.networks.layer import Layer
from pack.training.networks.lora import LoraAdapter
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.tlora import TloraAdapter, acting_ranks
from torch import nn

NOISE = torch.tensor([0.0, 0.5, 0.999])


def test_ranks_fall_from_all_to_half_with_the_noise():
    assert acting_ranks(NOISE, 8).sum(dim=1).tolist() == [8, 6, 4]
    assert acting_ranks(torch.tensor([0.9]), 1).tolist() == [[1.0]]
    counts = acting_ranks(torch.arange(1000) / 1000, 16).sum(dim=1)
    assert (counts.diff() <= 0).all() and counts[0] == 16 and counts[-1] == 8


def adapters(module):
    generator = torch.Generator().manual_seed(1)
    lora = LoraAdapter.create(Layer.of(module), 8, 8.0, generator)
    lora.lora_up.data.normal_(generator=generator)
    return lora, TloraAdapter.from_lora(lora)


def outputs(adapter, module, x, noise_B, is_training=True):
    class Seen:
        pass

    adapter.draws = Seen()
    adapter.draws.noise_B = noise_B
    adapter.train(is_training)
    return adapter.forward(x, module)


def test_each_sample_has_the_ranks_that_its_noise_leaves():
    for module, x in (
        (nn.Linear(12, 10), torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(0))),
        (nn.Conv2d(12, 10, 1), torch.randn(3, 12, 4, 4, generator=torch.Generator().manual_seed(0))),
    ):
        lora, tlora = adapters(module)
        masked = outputs(tlora, module, x, NOISE)
        for sample, count in enumerate((8, 6, 4)):
            cut = LoraAdapter(
                lora.layer, lora.lora_down[:count].detach(), lora.lora_up[:, :count].detach(), float(count)
            )
            wanted = cut.forward(x[sample : sample + 1], module)
            torch.testing.assert_close(masked[sample : sample + 1], wanted, rtol=1e-4, atol=1e-5)
        whole = lora.forward(x, module)
        for seen, is_training in ((NOISE, False), (None, True), (torch.zeros(7), True)):
            torch.testing.assert_close(outputs(tlora, module, x, seen, is_training), whole)
        assert {name: value.shape for name, value in tlora.file_tensors().items()} == {
            name: value.shape for name, value in lora.file_tensors().items()
        }


def test_masked_ranks_learn_nothing():
    module, x = nn.Linear(12, 10), torch.randn(1, 5, 12)
    _, tlora = adapters(module)
    outputs(tlora, module, x, torch.tensor([0.999])).square().sum().backward()
    assert (tlora.lora_up.grad[:, 4:] == 0).all() and (tlora.lora_down.grad[4:] == 0).all()
    assert (tlora.lora_up.grad[:, :4] != 0).any()


def test_what_is_seen_of_the_noise_ends_with_the_next_step():
    network = Network.create(tiny_parts(), "sd15", NetworkSettings(algorithm="tlora", rank=4, alpha=4.0), 0)
    network.train()
    network.begin(0, 0, 0)
    assert network._draws.noise_B is None
    network.see_noise(NOISE)
    assert all(adapter.draws.noise_B is NOISE for adapter in network.adapters)
    network.begin(0, 1, 0)
    assert network._draws.noise_B is None

"""The low-rank path with its own backward passes, against autograd in float64."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

import pytest
import torch
from pack.tests.unit.networks.layers import (
    LAYERS,
    assert_equal_gradients,
    layer_and_input,
    merged,
    trained,
)
from pack.training.networks import low_rank, processor
from torch import Tensor, nn


class Plain:
    """A host's forward that lends what it multiplies with."""

    def __init__(self, module: nn.Module, *, is_plain: bool = True) -> None:
        self.module, self.is_plain = module, is_plain

    def __call__(self, x: Tensor) -> Tensor:
        return self.module(x)

    def lender(self, x: Tensor) -> low_rank.Lender | None:
        return low_rank.own_tensors(self.module, x) if self.is_plain else None


@pytest.mark.parametrize("kind", LAYERS)
def test_forward_and_gradients(kind: str):
    module, x = layer_and_input(kind)
    adapter = trained("locon", module)
    adapter.set_strength(0.7)
    x.requires_grad_(True)
    inputs = [x, *adapter.parameters()]
    found, wanted = adapter(x, Plain(module)), merged(module, adapter, x, 0.7)
    assert "LowRankLayer" in str(found.grad_fn) or "LowRankLayer" in str(found.grad_fn.next_functions)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert_equal_gradients(found, wanted, inputs)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("wanted", ["x", "lora_down", "lora_up"])
def test_only_what_is_wanted_gets_a_gradient(kind: str, wanted: str):
    module, x = layer_and_input(kind)
    adapter = trained("locon", module)
    tensors = {"x": x, **dict(adapter.named_parameters())}
    for name, tensor in tensors.items():
        tensor.requires_grad_(name == wanted)
    adapter(x, Plain(module)).square().sum().backward()
    found = tensors[wanted].grad
    tensors[wanted].grad = None
    merged(module, adapter, x).square().sum().backward()
    torch.testing.assert_close(found, tensors[wanted].grad, rtol=1e-8, atol=1e-8)
    assert all((tensor.grad is not None) == (name == wanted) for name, tensor in tensors.items())


@pytest.mark.parametrize("kind", LAYERS)
def test_beside_another_forward_gradients_are_the_same(kind: str):
    """With dropout, or a forward that does more, the change is added to what the layer gives."""
    module, x = layer_and_input(kind)
    adapter = trained("locon", module)
    x.requires_grad_(True)
    inputs = [x, *adapter.parameters()]
    added = adapter(x, Plain(module, is_plain=False))
    assert "LowRankLayer" not in str(added.grad_fn)
    beside = adapter(x, Plain(module))
    torch.testing.assert_close(added, beside, rtol=1e-10, atol=1e-10)
    assert_equal_gradients(added, beside, inputs)


def test_weights_are_lent_by_a_forward_that_only_multiplies():
    module, x = nn.Linear(4, 3), torch.randn(2, 4)
    lend = low_rank.lender(module.forward, x)
    assert lend is not None
    with lend(x) as (weight, bias):
        assert weight is module.weight and bias is module.bias
    assert low_rank.lender(module.forward, x.double()) is None
    assert low_rank.lender(module.forward, x.to("meta")) is None
    assert low_rank.lender(lambda x: module(x), x) is None
    assert low_rank.lender(module, x) is None

    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    assert low_rank.lender(Doubled(4, 3).forward, x) is None
    module.forward = MethodType(lambda self, x: x, module)  # pyright: ignore[reportAttributeAccessIssue]
    assert low_rank.lender(module.forward, x) is None


@pytest.mark.parametrize("kind", LAYERS)
def test_a_weight_that_is_made_for_each_product_gives_the_same_bits_and_is_gone_between(kind: str):
    module, x = layer_and_input(kind)
    adapter, lent = trained("locon", module), []

    class Made(Plain):
        def lender(self, x: Tensor) -> low_rank.Lender | None:
            @contextmanager
            def lend(like: Tensor) -> Iterator[low_rank.PlainTensors]:
                lent.append(self.module.weight.clone())
                yield lent[-1], self.module.bias
                lent[-1].fill_(torch.nan)

            return lend

    x.requires_grad_(True)
    inputs = [x, *adapter.parameters()]
    found = [torch.autograd.grad(adapter(x, base).square().sum(), inputs) for base in (Plain(module), Made(module))]
    assert len(lent) == 2, "forward and backward"
    assert all(torch.equal(own, made) for own, made in zip(*found, strict=True))


def test_nothing_is_kept_but_input_and_hidden_rows():
    module, x = nn.Linear(48, 64).requires_grad_(False), torch.randn(2, 300, 48, requires_grad=True)
    adapter = trained("lora", module).float()
    kept: set[int] = set()
    known = {tensor.untyped_storage().data_ptr() for tensor in (x, module.weight, *adapter.parameters())}
    sizes: list[int] = []

    def note(tensor: Tensor) -> Tensor:
        pointer = tensor.untyped_storage().data_ptr()
        if pointer not in known | kept:
            kept.add(pointer)
            sizes.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        adapter(x, module.forward)
    assert sizes == [4 * 600 * adapter.rank]


@pytest.mark.parametrize("trick", processor.TRICKS)
@pytest.mark.parametrize("make", [lambda: nn.Linear(128, 192), lambda: nn.Conv2d(128, 192, 1)])
def test_a_trick_of_the_processor_changes_nothing_but_rounding(trick: str, make, monkeypatch: pytest.MonkeyPatch):
    module = make().requires_grad_(False)
    x = torch.randn((2, 128, 24, 24) if isinstance(module, nn.Conv2d) else (2, 576, 128), requires_grad=True)
    adapter = trained("locon", module).float()
    inputs = [x, *adapter.parameters()]
    direction = torch.randn(adapter(x, Plain(module)).shape)
    found: list[list[Tensor]] = []
    for off in ({trick}, set[str]()):
        monkeypatch.setattr(processor, "switched_off", off)
        output = adapter(x, Plain(module))
        found.append([output, *torch.autograd.grad((output * direction).sum(), inputs)])
    for plain, fast in zip(*found, strict=True):
        assert (plain - fast).norm() <= 1e-5 * plain.norm()

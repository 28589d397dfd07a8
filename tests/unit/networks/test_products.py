"""Products and their gradients in float32, by oneDNN and without, against float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from pack.tests.support.cases import combined
from pack.training.networks import processor, products
from torch import Tensor

POINT, SPATIAL = products.POINT, ((2, 2), (1, 1), (1, 1))
# (x, weight, geometry): above and below the size from which oneDNN is asked.
CASES = {
    "linear": ((700, 48), (64, 48), None),
    "linear small": ((7, 48), (64, 48), None),
    "point": ((2, 48, 20, 20), (64, 48, 1, 1), POINT),
    "point one sample": ((1, 48, 20, 20), (64, 48, 1, 1), POINT),
    "point of many channels": ((3, 512, 3, 3), (256, 512, 1, 1), POINT),
    "point small": ((1, 8, 3, 3), (4, 8, 1, 1), POINT),
    "point strided": ((2, 64, 20, 20), (64, 64, 1, 1), SPATIAL),
    "spatial": ((2, 48, 9, 9), (32, 48, 3, 3), SPATIAL),
}
WAYS = list(itertools.product(("plain", "other"), ("oneDNN", "none"), (True, False)))
"""Order in memory, library, whether there is a bias."""
libraries = pytest.mark.parametrize("library", ["oneDNN", "none"])


@pytest.fixture(autouse=True)
def _library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "library" in request.fixturenames and request.getfixturevalue("library") == "none":
        monkeypatch.setattr(processor, "_ONEDNN", None)


def drawn(shape: tuple[int, ...], seed: int, layout: str = "plain") -> Tensor:
    """Numbers, in another memory order where asked for: channels last, or transposed."""
    tensor = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    if layout == "plain":
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor.mT.contiguous().mT


def reference(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: products.Geometry | None) -> Tensor:
    return F.linear(x, weight, bias) if geometry is None else F.conv2d(x, weight, bias, *geometry)


def close(found: Tensor | None, wanted: Tensor) -> None:
    assert found is not None and found.shape == wanted.shape
    assert (found.double() - wanted).norm() <= 1e-5 * wanted.norm()


@pytest.mark.parametrize(("case", "how"), combined(CASES, WAYS, step=4))
def test_products_and_gradients_are_those_of_float64(
    case: str, how: tuple[str, str, bool], monkeypatch: pytest.MonkeyPatch
):
    layout, library, has_bias = how
    if library == "none":
        monkeypatch.setattr(processor, "_ONEDNN", None)
    x_shape, weight_shape, geometry = CASES[case]
    x, weight = drawn(x_shape, 1, layout), drawn(weight_shape, 2, layout)
    bias = drawn(weight_shape[:1], 3) if has_bias else None
    wide_x, wide_weight = x.double().requires_grad_(), weight.double().requires_grad_()
    wanted = reference(wide_x, wide_weight, None if bias is None else bias.double(), geometry)
    close(products.product(x, weight, bias, geometry), wanted.detach())

    grad = drawn(tuple(wanted.shape), 4, layout)
    wanted.backward(grad.double())
    assert wide_x.grad is not None and wide_weight.grad is not None
    both = products.gradients(grad, x, weight, geometry, needs_x=True, needs_weight=True)
    close(both[0], wide_x.grad)
    close(both[1], wide_weight.grad)
    for needs_x, needs_weight in ((True, False), (False, True), (False, False)):
        found = products.gradients(grad, x, weight, geometry, needs_x=needs_x, needs_weight=needs_weight)
        assert [one is not None for one in found] == [needs_x, needs_weight]
        for one, other, is_wanted in zip(found, both, (needs_x, needs_weight), strict=True):
            if is_wanted:
                torch.testing.assert_close(one, other)


@libraries
@pytest.mark.parametrize("shape", [(700, 48), (3, 250, 48), (2, 5, 90, 48), (48,), (0, 48), (2, 0, 48)])
def test_layer_product_is_differentiable(shape: tuple[int, ...], library: str):
    x, weight, bias = drawn(shape, 1), drawn((64, 48), 2), drawn((64,), 3)
    inputs = [x.requires_grad_(), weight.requires_grad_()]
    wide = [one.detach().double().requires_grad_() for one in inputs]
    wanted = F.linear(wide[0], wide[1], bias.double())
    found = products.layer_product(x, weight, bias, None)
    close(found.detach(), wanted.detach())
    direction = drawn(tuple(wanted.shape), 4)
    grads = torch.autograd.grad((found * direction).sum(), inputs)
    for one, other in zip(grads, torch.autograd.grad((wanted * direction).sum(), wide), strict=True):
        close(one, other)


def test_a_frozen_weight_keeps_no_input():
    kept: list[Tensor] = []
    x, weight = drawn((700, 48), 1).requires_grad_(), drawn((64, 48), 2)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        products.layer_product(x, weight, None, None).sum().backward()
    assert [tensor.data_ptr() for tensor in kept] == [weight.data_ptr()]
    torch.testing.assert_close(x.grad, weight.sum(0).expand_as(x))


def test_onednn_is_asked_for_large_float32_alone(monkeypatch: pytest.MonkeyPatch):
    if processor._ONEDNN is None:
        assert not torch.backends.mkldnn.is_available()
        return
    asked: list[torch.dtype] = []

    def spy(x: Tensor, weight: Tensor, bias: Tensor | None, *_: object) -> Tensor:
        asked.append(x.dtype)
        return F.linear(x, weight, bias)

    monkeypatch.setattr(processor, "_ONEDNN", spy)
    x, weight = drawn((700, 48), 1), drawn((64, 48), 2)
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        products.linear(x.to(dtype), weight.to(dtype))
    products.linear(x[:7], weight)
    products.linear(x.repeat(100, 1), weight[:4])
    products.linear(x.to("meta"), weight.to("meta"))
    with torch.backends.mkldnn.flags(enabled=False):
        products.linear(x, weight)
    assert asked == []
    products.linear(x, weight)
    assert asked == [torch.float32]

"""The second device behaves as a card: what a card refuses is refused, what it does is counted."""

import gc

import pytest
import torch

pytestmark = pytest.mark.comfy


def test_tensors_of_two_devices_meet_in_no_operation(device):
    here, there = torch.ones(3, device=device.DEVICE), torch.ones(3)
    for operation in (lambda: here + there, lambda: torch.stack([here, there]), lambda: here.copy_(here @ there)):
        with pytest.raises(RuntimeError, match="same device"):
            operation()
    with pytest.raises(RuntimeError, match="same device"):
        here + torch.ones(3, device="npu:1")
    assert (here * torch.tensor(2.0)).tolist() == [2.0] * 3, "a number of the processor may come along"
    assert here[torch.tensor([0, 2])].tolist() == [1.0] * 2, "as an index may"


def test_memory_is_no_number_before_its_use_and_limited(device):
    assert torch.empty(4, device=device.DEVICE).isnan().all()
    before = device.used()
    with device.limited(before + 1000), pytest.raises(torch.OutOfMemoryError):
        torch.zeros(1000, device=device.DEVICE)
    kept = torch.zeros(1000, device=device.DEVICE)
    assert device.used() == before + 4000
    del kept
    gc.collect()
    assert device.used() == before
    with device.failing_after(2, "words of a driver"):
        torch.zeros(1, device=device.DEVICE), torch.zeros(1, device=device.DEVICE)
        with pytest.raises(RuntimeError, match="words of a driver"):
            torch.zeros(1, device=device.DEVICE)


def test_kernels_waits_and_copies_are_counted(device):
    tensors = [torch.ones(3, device=device.DEVICE) for _ in range(300)]
    before = device.counts()
    torch._foreach_mul_(tensors, 2.0)
    tensors[0].view(3, 1).t()
    assert device.counts().launches - before.launches == 3, "a card's kernel takes 110 tensors at once; views are none"
    before = device.counts()
    with device.listening() as waits:
        tensors[0].sum().item()
        torch.ones(4).to(device.DEVICE)
        torch.ones(4).pin_memory().to(device.DEVICE, non_blocking=True)
    found = device.counts() - before
    assert (found.waits, found.copies_up, found.bytes_up) == (2, 2, 32)
    assert len(waits) == 2 and "test_device.py" in waits[0].place


def test_a_device_may_lack_float64(device):
    x = torch.ones(3, device=device.DEVICE)
    with device.without_float64():
        for make in (lambda: x.double(), lambda: x.to("cpu", torch.float64)):
            with pytest.raises(TypeError, match="float64"):
                make()
        assert x.cpu().double().dtype == torch.float64

"""The notice of a card that overflows into main memory."""

import importlib
from types import SimpleNamespace

import pytest
import torch

pytestmark = pytest.mark.comfy

GIB = 2**30


@pytest.mark.parametrize(
    ("os_name", "device", "reserved_gib", "is_said"),
    [("nt", "cuda", 9, True), ("nt", "cuda", 7, False), ("posix", "cuda", 9, False), ("nt", "cpu", 9, False)],
)
def test_a_full_card_is_noticed_only_where_drivers_hide_it(comfy, monkeypatch, os_name, device, reserved_gib, is_said):
    spill = importlib.import_module("pack.nodes.comfy_bridge.host.spill")
    # The card is the one thing that is not here.
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=8 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: reserved_gib * GIB)
    warning = spill.spill_warning(torch.device(device), os_name)
    assert (warning is not None) == is_said
    assert warning is None or "8.0 GiB are full" in warning

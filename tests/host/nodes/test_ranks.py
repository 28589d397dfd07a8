"""How processes on cards find each other: by NCCL where torch has it, by gloo on Windows."""

import pytest
import torch
import torch.distributed as dist

pytestmark = pytest.mark.comfy


@pytest.mark.parametrize(("has_nccl", "backend"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_gloo_stands_in_where_torch_has_no_nccl(comfy, monkeypatch, has_nccl, backend):
    from pack.nodes.comfy_bridge.host import ranks

    asked = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(comfy.module("comfy.model_management"), "get_torch_device", lambda: torch.device("cuda", 1))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: asked.append(str(device)))
    monkeypatch.setattr(dist, "is_nccl_available", lambda: has_nccl)
    monkeypatch.setattr(dist, "init_process_group", lambda backend, timeout: asked.append(backend))
    monkeypatch.setattr(ranks, "TorchRanks", lambda: "joined")
    monkeypatch.setattr(ranks, "_ranks", [])
    assert ranks.join_ranks() == "joined"
    assert asked == ["cuda:1", backend]

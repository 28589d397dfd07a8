"""The benchmark's own claims on a small U-Net: memory as on paper, no copy of the model, no growth, equal peers."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from pack.tests.support.cases import chosen
from pack.workbench.bench import paper
from pack.workbench.bench.contest import Case
from pack.workbench.bench.meters import LiveMeter, module_tensors, storage_bytes
from pack.workbench.layouts import SD15, SDXL, TINY, diffusers_model, host_model, map_weights, write_weights

pytestmark = pytest.mark.comfy
# 144 and 36 positions: no activation has the shape of a weight.
CASE = Case(layout_name="tiny", latent=12)
NUM_THREADS = 1


@pytest.fixture(scope="module")
def weights(comfy: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    path = tmp_path_factory.mktemp("bench") / "tiny.bin"
    write_weights(TINY, path)
    return map_weights(TINY, path)


@pytest.fixture
def memory(comfy: Any) -> ModuleType:
    """The counts, which need ComfyUI to be imported."""
    return importlib.import_module("pack.workbench.bench.memory")


@pytest.fixture
def model(weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The small U-Net with fused attention, which the calculation is about."""
    from comfy.ldm.modules import attention

    monkeypatch.setattr(attention, "optimized_attention", attention.attention_pytorch)
    monkeypatch.setattr(attention, "optimized_attention_masked", attention.attention_pytorch)
    threads = torch.get_num_threads()
    torch.set_num_threads(NUM_THREADS)
    yield host_model(TINY, weights)
    torch.set_num_threads(threads)


def test_layouts_have_the_real_sizes(comfy):
    from pack.workbench.layouts import weight_shapes

    counts = {
        layout.name: sum(torch.Size(s).numel() for s in weight_shapes(layout).values()) for layout in (SD15, SDXL)
    }
    assert counts == {"sd15": 859_520_964, "sdxl": 2_567_463_684}


def test_diffusers_has_the_same_model(model, weights):
    latents, timestep, context = torch.randn(2, 4, 12, 12), torch.tensor([3, 700]), torch.randn(2, 77, 768)
    ours = model.model.diffusion_model(latents, timestep, context=context, transformer_options={})
    torch.testing.assert_close(diffusers_model(TINY, weights)(latents, timestep, context).sample, ours)


@pytest.mark.parametrize("targets", ["attention_feed_forward", "all"])
@pytest.mark.parametrize("batch", [1, 3])
def test_activations_are_those_on_paper(memory, model, targets, batch):
    case = replace(CASE, targets=targets, algorithm="locon" if targets == "all" else "lora", batch=batch)
    count, copies = memory.count_activations(case, model)
    assert count.counted == pytest.approx(count.on_paper, rel=0.1)
    assert copies == 0


def test_activations_grow_with_the_adapters_as_on_paper(memory, model):
    frozen = paper.activation_bytes(TINY, paper.Workload(latent=12, batch=1))
    added_on_paper = paper.activation_bytes(TINY, paper.Workload(latent=12, batch=1, adapted="attention_feed_forward"))
    count, _ = memory.count_activations(CASE, model)
    assert count.counted - frozen == pytest.approx(added_on_paper - frozen, rel=0.2)


def test_adapters_and_optimizer_are_those_on_paper(memory, model):
    count = memory.count_state(CASE, model)
    assert count.counted == pytest.approx(count.on_paper, rel=0.1)


def test_a_step_costs_what_the_first_steps_cost(memory, model):
    counts = memory.live_per_step(CASE, model, num_steps=6)
    assert len(set(counts[2:])) == 1


def test_training_holds_no_second_model(memory, model):
    case = replace(CASE, rank=2)
    peak = memory.live_per_step(case, model, num_steps=2)[-1][1]
    adapters = paper.adapter_bytes(TINY, memory.workload(case))
    most = 6 * adapters + 1.6 * memory.count_activations(case, model)[0].counted
    assert peak < most < storage_bytes(module_tensors(model.model))


def test_checkpointing_halves_even_a_small_model(memory, model):
    full = memory.live_per_step(replace(CASE, latent=24), model, num_steps=2)[-1]
    cut = memory.live_per_step(replace(CASE, latent=24, checkpointing="on"), model, num_steps=2)[-1]
    assert cut[0] == full[0]
    assert cut[1] - cut[0] < (full[1] - full[0]) / 2


@pytest.mark.parametrize("level", chosen(["off", "on", "finer"], ["on"]))
def test_counting_on_shapes_is_counting(level, memory, model):
    sdxl = importlib.import_module("pack.workbench.bench.sdxl")
    case = replace(CASE, rank=sdxl.RANK, checkpointing=level)
    on_shapes, counted = sdxl.count(TINY, torch.float32, case.latent, level), sdxl.count_model(case, model)
    assert on_shapes["peak"] == pytest.approx(counted["peak"], rel=0.03)  # kernels' own results depend on the processor
    assert {**on_shapes, "peak": 0} == {**counted, "peak": 0}
    assert counted["state"] == 3 * paper.adapter_bytes(TINY, memory.workload(case))


def test_a_step_launches_fewer_operations_than_a_plain_module(memory):
    launches = importlib.import_module("pack.workbench.bench.launches")
    ours, plain = (launches.count(TINY, CASE.latent, CASE.rank, name) for name in ("pack", "plain"))
    for passes in ("forward", "backward"):
        assert ours[passes] < plain[passes]
    plain_one_by_one = plain["forward"] + plain["backward"] + plain["after, tensor by tensor"]
    assert ours["forward"] + ours["backward"] + ours["after, lists"] < 0.5 * plain_one_by_one


def test_meter_counts_storages_once_and_releases_them():
    known = torch.zeros(1000)
    with LiveMeter([known]) as meter:
        kept = torch.zeros(1000)
        views = [kept.view(10, 100), kept[:10], known.view(10, 100)]
        temporary = kept + 1
        del temporary
        result = torch.ones(1000, requires_grad=True)
        (result * result).sum().backward()
    assert meter.live == 3 * 4000
    assert meter.peak >= 4 * 4000
    assert len(views) == 3


def test_weights_are_mapped_not_copied(weights, model):
    pointers = {t.data_ptr() for t in weights.values()}
    assert all(p.data_ptr() in pointers for p in model.model.diffusion_model.parameters())


def test_file_of_weights_holds_every_weight(comfy, tmp_path: Path):
    write_weights(TINY, tmp_path / "again.bin")
    assert (tmp_path / "again.bin").stat().st_size == 4 * sum(
        t.numel() for t in map_weights(TINY, tmp_path / "again.bin").values()
    )


class Enough(Exception):
    """A contestant has taken its steps."""


@pytest.mark.parametrize("name", ["bound", "bound_products", "pack", "outside"])
def test_our_contestants_train(name, model, tmp_path):
    worker = importlib.import_module("pack.workbench.bench.worker")
    write_weights(TINY, tmp_path / "tiny.bin")
    train, _ = worker.contestant(name, CASE, tmp_path / "tiny.bin")
    calls: list[str] = []

    def gate() -> None:
        calls.append(name)
        if len(calls) == 2:
            raise Enough

    with pytest.raises(Enough):
        train(gate)

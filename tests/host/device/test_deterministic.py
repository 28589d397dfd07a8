"""Train LoRA's `deterministic`: on while a run trains, as before afterwards, and no part of what a run is."""

import pytest
import torch
from pack.tests.host.device.graphs import load, trained, training_graph
from pack.tests.host.device.steps import base_model, train_steps
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

UNET = NetworkSettings(rank=4, alpha=4.0, parts=("unet",))


def modes():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
    )


STRICT = (True, False, False, False)


@pytest.fixture
def seen(monkeypatch):
    """Torch's modes in every step; a function put into `then` is called after the first."""
    from pack.training.loop import trainer

    class Seen(list):
        then = staticmethod(lambda: None)

    found, train_step = Seen(), trainer.train_step

    def looked(job, state):
        found.append(modes())
        if len(found) > 1:
            found.then()
        return train_step(job, state)

    monkeypatch.setattr(trainer, "train_step", looked)
    return found


@pytest.fixture(params=[False, pytest.param(True, marks=pytest.mark.full)], ids=["", "host's own"])
def before(request):
    """Torch as ComfyUI leaves it, also under its own --deterministic, which only warns."""
    torch.use_deterministic_algorithms(request.param, warn_only=request.param)
    yield modes()
    torch.use_deterministic_algorithms(False)


def test_it_is_on_while_training_and_no_part_of_the_run(comfy, device, seen, before):
    graph = training_graph(comfy, f"deterministic {before}", deterministic=True)
    assert "3 steps" in trained(comfy, graph)
    assert seen == [STRICT] * 3
    assert modes() == before
    graph["train"]["inputs"].pop("deterministic")
    assert "already trained" in trained(comfy, graph), "as an earlier workflow asks, without the input"


def test_it_is_off_after_a_full_memory_and_after_a_cancel(comfy, device, seen, before):
    management = comfy.module("comfy.model_management")

    def fill():
        raise torch.OutOfMemoryError("full")

    for then, status in ((fill, "error"), (management.interrupt_current_processing, "interrupted")):
        seen.clear()
        seen.then = then
        graph = training_graph(comfy, f"deterministic, {status} {before}", deterministic=True, save_every=1)
        assert comfy.run_graph(graph).status == status
        assert seen[:1] == [STRICT]
        assert modes() == before


def test_an_operation_without_such_a_kernel_is_named_with_the_way_out(comfy, device, seen, before):
    seen.then = lambda: torch.zeros(4).put_(torch.tensor([0, 1]), torch.ones(2))
    result = comfy.run_graph(training_graph(comfy, f"undetermined {before}", deterministic=True, save_every=1))
    assert result.status == "error"
    assert "put_" in str(result.error) and "deterministic off on Train LoRA" in str(result.error)
    assert modes() == before


def test_a_card_whose_products_cannot_be_is_refused_before_anything_runs(comfy, device, monkeypatch):
    loaded = load(comfy, "sd15")
    loaded.model.load_device = torch.device("cuda:0")
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    base_model(loaded)
    with pytest.raises(ValueError, match="deterministic.*--deterministic.*CUBLAS_WORKSPACE_CONFIG"):
        base_model(loaded, is_deterministic=True)
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    base_model(loaded, is_deterministic=True)


def test_steps_are_the_same_bits_with_it(comfy, device):
    with_it = train_steps(base_model(load(comfy, "sd15"), is_deterministic=True), UNET, 2)
    without = train_steps(base_model(load(comfy, "sd15")), UNET, 2)
    assert with_it.losses == without.losses
    assert all(torch.equal(without.gradients[name], gradient) for name, gradient in with_it.gradients.items())

"""On the real host: a fault and a full memory inside a step, Stop & keep, one name queued twice and from two hosts."""

import resource
import shutil
import urllib.error

import pytest
from pack.tests.support.cases import chosen
from pack.tests.support.fixtures import comfyui_or_give_up, link_test_nodes
from pack.tests.support.graphs import (
    message,
    node,
    pictures_of,
    run_folder,
    set_aside,
    steps_done,
    training_graph,
    wait_until,
    with_sampler,
    write_dataset,
)
from pack.tests.support.links import link_folder
from pack.tests.support.server import ComfyServer, make_base_folder
from pack.training.files.atomic import TEMPORARY_SUFFIX
from pack.training.run.lines import read_lines
from pack.training.run.state import load_state

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(comfy_server, pocket_checkpoint):
    write_dataset(comfy_server.input / "set")
    return comfy_server


@pytest.fixture
def client(server):
    return server.client()


def weights(client):
    """Digest of what a freshly connected checkpoint computes with."""
    graph = {
        "1": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "2": node("TestWeightsDigest", model=["1", 0], clip=["1", 1]),
    }
    return client.run(graph).outputs["2"]["text"][0]


def failing_graph(client, name, kind, **changes):
    """Training on a MODEL that fails in its third step."""
    graph = training_graph(client, name, "set", save_every=100, **changes)
    graph["fault"] = node("TestFailingModel", model=["1", 0], at_call=3, kind=kind)
    graph["5"]["inputs"]["model"] = ["fault", 0]
    return graph


WHAT_IS_SAID = {
    "error": ["BakeryTrain (5)", "RuntimeError: a fault inside the model"],
    "memory": [
        "BakeryTrain (5)",
        "the device's memory is full at step 3. 2 steps are saved. What needs less memory: gradient_checkpointing on",
        "batch_size 1 with grad_accumulation_steps 2 (now batch_size 2)",
        "a lower resolution on the buckets node",
        "a rank of 8 (now 16)",
    ],
}


@pytest.mark.parametrize("kind", chosen(WHAT_IS_SAID, ["memory"]))
def test_fault_inside_a_step(kind, server, client):
    """What was trained is saved, the next prompt works, the weights are as before, queueing again ends the same."""
    before = weights(client)
    whole = training_graph(client, f"whole {kind}", "set", save_every=100, batch_size=2, seed=len(kind))
    assert message(client.run(whole)) == "new run of 6 steps"
    undisturbed = set_aside(server.output, f"whole {kind}")
    failed = client.run(failing_graph(client, kind, kind, batch_size=2, seed=len(kind)))
    assert failed.status == "error"
    for text in WHAT_IS_SAID[kind]:
        assert text in failed.error
    folder = run_folder(server.output, kind)
    assert list(folder.states()) == [2]
    assert folder.step_lora(2).is_file() and folder.latest_lora.is_file()
    assert weights(client) == before

    again = training_graph(client, kind, "set", save_every=100, batch_size=2, seed=len(kind))
    assert message(client.run(again)) == "continued from step 2 of 6"
    assert folder.state(6).read_bytes() == undisturbed.state(6).read_bytes()
    assert weights(client) == before


def test_disk_that_takes_no_more(server, client):
    """No file of the server may grow beyond 1 MB, as where a quota ends; a LoRA is larger."""

    def limit_files(size):
        resource.prlimit(server._process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    queued = client.queue(training_graph(client, "full", "set", steps=60, save_every=2))
    wait_until(lambda: bool((f := run_folder(server.output, "full")) and f.states()))
    limit_files(2**20)
    try:
        failed = client.wait(queued)
    finally:
        limit_files(resource.RLIM_INFINITY)
    folder = run_folder(server.output, "full")
    step = max(folder.states())
    assert f"could not be saved: File too large. What was saved up to step {step} is safe" in failed.error
    assert all(load_state(path) for path in folder.states().values())
    assert not list(folder.root.rglob(f".*{TEMPORARY_SUFFIX}"))
    again = training_graph(client, "full", "set", steps=step + 2, save_every=2)
    assert message(client.run(again)) == f"continued from step {step} of {step + 2}"


def stop(client, folder):
    return client.post(f"/bakery/runs/{folder.run_id}/stop?name={folder.name}")


def stopped_run(server, client, name, graph):
    """Queues, stops after two steps; (result, folder, step it stopped at)."""
    queued = client.queue(graph)
    wait_until(lambda: steps_done(server.output, name) >= 2)
    folder = run_folder(server.output, name)
    stop(client, folder)
    result = client.wait(queued)
    return result, folder, max(folder.states())


def test_stop_and_keep_goes_on_to_sample_and_queueing_again_trains_the_rest(server, client):
    before = weights(client)
    graph = with_sampler(training_graph(client, "stopped", "set", steps=30, save_every=100, learning_rate=5e-3))
    result, folder, step = stopped_run(server, client, "stopped", graph)
    assert message(result) == (
        f"new run of 30 steps; stopped at step {step} and kept. Queueing again trains the rest; with after_stop 'stay' "
        "it stays as it is"
    )
    assert step < 30 and list(folder.states()) == [step]
    in_graph = pictures_of(client, result, "show")
    loaded = with_sampler(graph, lora=f"stopped/stopped-step{step:06d}.safetensors")
    from_file = pictures_of(client, client.run(loaded), "show")
    assert abs(in_graph - from_file).max() <= 2
    assert weights(client) == before

    rest = client.run(graph)
    assert message(rest) == f"continued from step {step} of 30"
    assert [line["step"] for line in read_lines(folder.metrics)] == list(range(1, 31))
    assert abs(pictures_of(client, rest, "show") - in_graph).max() > 0


def test_commands_to_a_run_that_does_not_train_are_refused(server, client):
    folder = run_folder(server.output, "stopped")
    with pytest.raises(urllib.error.HTTPError) as caught:
        stop(client, folder)
    assert caught.value.code == 404 and b"not training now" in caught.value.read()


@pytest.mark.full
def test_stopped_run_that_stays(server, client):
    graph = training_graph(client, "stays", "set", steps=30, save_every=100, after_stop="stay")
    result, folder, step = stopped_run(server, client, "stays", graph)
    assert result.status == "success"
    said = f"stopped at step {step} of 30 and kept (after_stop 'go on' trains the rest)"
    assert message(client.run(graph)) == said
    assert "5" in client.run(graph).cached_nodes
    other_prompts = training_graph(client, "stays", "set", steps=30, save_every=100, after_stop="stay", prompts="hat")
    assert message(client.run(other_prompts)) == said
    drawn = {path.name for path in folder.previews.glob("*/*.png")}
    assert drawn == {"step000000-00.png", f"step{step:06d}-00.png"}
    assert max(line["step"] for line in read_lines(folder.metrics)) == step
    going_on = training_graph(client, "stays", "set", steps=30, save_every=100)
    assert message(client.run(going_on)) == f"continued from step {step} of 30"


def test_two_queued_prompts_with_one_name(server, client):
    """The second finds what the first left: the same graph is trained already, more steps are added to it."""
    first = client.queue(training_graph(client, "queued", "set", steps=4))
    same = client.queue(training_graph(client, "queued", "set", steps=4, prompts="hat"))
    more = client.queue(training_graph(client, "queued", "set", steps=6))
    assert message(client.wait(first)) == "new run of 4 steps"
    assert message(client.wait(same)) == "already trained: 4 steps, nothing to do"
    assert message(client.wait(more)) == "continued from step 4 of 6"


def test_a_run_whose_folder_was_deleted_is_trained_again(server, client):
    """The host still has the node's result, and would give it out without a file on the disk."""
    graph = training_graph(client, "forgotten", "set", steps=2)
    assert message(client.run(graph)) == "new run of 2 steps"
    assert "5" in client.run(graph).cached_nodes
    folder = run_folder(server.output, "forgotten")
    shutil.rmtree(folder.root)
    again = client.run(graph)
    assert "5" not in again.cached_nodes and message(again) == "new run of 2 steps"
    assert folder.latest_lora.is_file()


@pytest.mark.full
def test_two_hosts_with_one_output_folder(server, client, tmp_path):
    """As with two tabs on two ComfyUIs: the second is told at once, the first is not disturbed."""
    make_base_folder(tmp_path)
    (tmp_path / "output").rmdir()
    link_folder(tmp_path / "output", server.output)
    write_dataset(tmp_path / "input" / "set")
    link_test_nodes(tmp_path)
    other = ComfyServer(comfyui_or_give_up(), tmp_path)
    other.start()
    try:
        graph = training_graph(client, "shared", "set", steps=2000, save_every=1000)
        queued = client.queue(graph)
        wait_until(lambda: steps_done(server.output, "shared") >= 2)
        refused = other.client().run(graph)
        assert refused.status == "error"
        assert "run 'shared' is being trained by another ComfyUI or prompt right now" in refused.error
        folder = run_folder(server.output, "shared")
        stop(client, folder)
        assert client.wait(queued).status == "success"
        step = max(folder.states())
        shorter = training_graph(client, "shared", "set", steps=step + 1, save_every=1000)
        assert message(other.client().run(shorter)) == f"continued from step {step} of {step + 1}"
    finally:
        other.stop()

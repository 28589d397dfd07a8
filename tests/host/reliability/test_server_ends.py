"""On the real host: runs that are canceled, killed, terminated, queued again, or queued with changes."""

import signal
import time

import pytest
from pack.tests.support.cases import case
from pack.tests.support.fixtures import comfyui_or_give_up, link_test_nodes
from pack.tests.support.graphs import (
    message,
    run_folder,
    set_aside,
    steps_done,
    training_graph,
    wait_until,
    write_dataset,
)
from pack.tests.support.server import ComfyServer
from pack.training.files.lora_file import load_lora
from pack.training.run.lines import read_lines
from pack.training.run.stops import is_stopped_at

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def server(tmp_path_factory, pocket_checkpoint):
    """A server of this module's own, since it is killed."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:  # as of tests in the background, which processes inherit
            signal.signal(number, usual)
    found = ComfyServer(comfyui_or_give_up(), tmp_path_factory.mktemp("ends"))
    link_test_nodes(found.base)
    found.start()
    write_dataset(found.input / "set")
    yield found
    found.stop()


def forget_results(client):
    """Makes the host run every node again: it drops its results after the prompt that follows the request."""
    client.free()
    image = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    small = {"1": image, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    client.run(small)
    time.sleep(1)  # asking by further prompts would keep the worker from dropping them


def figures(folder):
    return [{**line, "seconds": 0} for line in read_lines(folder.metrics)]


def pictures(folder):
    return {path.relative_to(folder.previews) for path in folder.previews.glob("*/*.png")}


def test_canceled_and_queued_again(server):
    client = server.client()
    graph = training_graph(client, "canceled", "set", steps=40, save_every=100)
    queued = client.queue(graph)
    wait_until(lambda: steps_done(server.output, "canceled") >= 2)
    client.interrupt()
    assert client.wait(queued).status == "interrupted"
    folder = run_folder(server.output, "canceled")
    done = steps_done(server.output, "canceled")
    assert list(folder.states()) == [done]
    assert folder.step_lora(done).is_file()
    result = client.run(training_graph(client, "canceled", "set", steps=done + 2, save_every=100))
    assert message(result) == f"continued from step {done} of {done + 2}"
    assert [line["step"] for line in figures(folder)] == list(range(1, done + 3))


def test_killed_continues_with_the_bits_of_a_run_that_was_not(server):
    client = server.client()
    whole = training_graph(client, "whole", "set", seed=1)
    queued = client.queue(whole)
    wait_until(lambda: steps_done(server.output, "whole") >= 1)
    client.free()  # as the page's button does; the host unloads models when the prompt has ended
    assert message(client.wait(queued)) == "new run of 6 steps"
    undisturbed = set_aside(server.output, "whole")
    client.queue(training_graph(client, "killed", "set", seed=1))
    wait_until(lambda: bool((f := run_folder(server.output, "killed")) and f.states()))
    server.kill()
    server.start()
    client = server.client()
    result = client.run(training_graph(client, "killed", "set", seed=1))
    assert message(result).startswith(("continued from step", "already trained"))
    killed = run_folder(server.output, "killed")
    assert killed.state(6).read_bytes() == undisturbed.state(6).read_bytes()
    assert figures(killed) == figures(undisturbed)


SERVER_ENDS = [
    case(("run", signal.SIGTERM), is_everyday=False),
    case(("pause", signal.SIGTERM), is_everyday=True),
    case(("run", signal.SIGINT), is_everyday=False),
    case(("pause", signal.SIGINT), is_everyday=False),
    case(("run", signal.SIGHUP), is_everyday=False),
]
"""What the run does, and what ends the server."""


@pytest.mark.parametrize(("doing", "ends_with"), SERVER_ENDS)
def test_a_server_that_is_ended_saves_first(doing, ends_with, server):
    client = server.client()
    name = f"{doing} {ends_with.name}"
    graph = training_graph(client, name, "set", steps=400, save_every=1000)
    client.queue(graph)
    wait_until(lambda: steps_done(server.output, name) >= 2)
    folder = run_folder(server.output, name)
    if doing == "pause":
        client.post(f"/bakery/runs/{folder.run_id}/pause?name={name.replace(' ', '%20')}")
        wait_until(lambda: client.get("/bakery/runs", name=name)["runs"][0]["state"] == "paused")
    server.end(ends_with)
    done = steps_done(server.output, name)
    assert list(folder.states()) == [done]
    assert not is_stopped_at(folder, done)  # no user stopped it: it goes on whatever after_stop says
    server.start()
    result = server.client().run(training_graph(server.client(), name, "set", steps=done + 1, save_every=1000))
    assert message(result) == f"continued from step {done} of {done + 1}"


def test_finished_returns_at_once_and_only_what_changed_is_done(server):
    client = server.client()
    assert message(client.run(training_graph(client, "finished", "set"))) == "new run of 6 steps"
    folder = run_folder(server.output, "finished")
    before = {path: path.stat().st_mtime_ns for path in (*folder.states().values(), *folder.step_loras().values())}
    drawn = pictures(folder)
    assert {path.name for path in drawn} == {"step000000-00.png", "step000006-00.png"}

    forget_results(client)
    again = client.run(training_graph(client, "finished", "set"))
    assert message(again) == "already trained: 6 steps, nothing to do"
    assert pictures(folder) == drawn

    other_prompts = client.run(training_graph(client, "finished", "set", prompts="green creature\nhat"))
    assert message(other_prompts) == "already trained: 6 steps, nothing to do"
    new = pictures(folder) - drawn
    assert {path.name for path in new} == {f"step00000{step}-0{prompt}.png" for step in (0, 6) for prompt in (0, 1)}
    assert {path: path.stat().st_mtime_ns for path in before} == before

    other_rate = client.run(training_graph(client, "finished", "set", learning_rate=2e-4))
    assert message(other_rate).startswith("new run of 6 steps")
    assert run_folder(server.output, "finished").run_id != folder.run_id
    assert list(folder.step_loras()) == [2, 4, 6]

    back = client.run(training_graph(client, "finished", "set"))
    assert message(back).startswith("already trained: 6 steps, nothing to do")
    assert run_folder(server.output, "finished").run_id == folder.run_id

    more = client.run(training_graph(client, "finished", "set", steps=8))
    assert message(more).startswith("continued from step 6 of 8")


def test_edited_caption_and_added_image_are_noticed(server):
    write_dataset(server.input / "edited")
    client = server.client()
    graph = training_graph(client, "edited", "edited", steps=2)
    assert message(client.run(graph)) == "new run of 2 steps"
    cached = client.run(graph)
    assert "5" in cached.cached_nodes
    (server.input / "edited" / "0.txt").write_text("blue creature")
    assert message(client.run(graph)).startswith("new run of 2 steps")
    (server.input / "edited" / "9.png").write_bytes((server.input / "set" / "1.png").read_bytes())
    going_on = {**graph["5"]["inputs"], "on_dataset_change": "continue"}
    result = client.run({**graph, "5": {**graph["5"], "inputs": going_on}})
    assert "(the dataset changed)" in message(result)


def test_a_new_name_trains_nothing(server):
    client = server.client()
    first = training_graph(client, "named first", "set", seed=2)
    assert message(client.run(first)) == "new run of 6 steps"
    renamed = client.run(training_graph(client, "neuer Name", "set", seed=2))
    assert (
        message(renamed) == "already trained: 6 steps, nothing to do; copied from 'named first', where it was trained"
    )
    old, new = (run_folder(server.output, name) for name in ("named first", "neuer Name"))
    assert list(new.step_loras()) == list(old.step_loras()) == [2, 4, 6]
    for step, path in new.step_loras().items():
        copied, trained = load_lora(path), load_lora(old.step_lora(step))
        assert all(tensor.equal(trained.tensors[name]) for name, tensor in copied.tensors.items())
        assert copied.metadata["modelspec.title"] == copied.metadata["ss_output_name"] == "neuer Name"
        assert trained.metadata["modelspec.title"] == "named first"
    assert new.latest_lora.read_bytes() == new.step_lora(6).read_bytes()
    assert figures(new) == figures(old)

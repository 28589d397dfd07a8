"""A test that leaves its run going, or its server hung, fails no other."""

import os
import signal

import pytest
from pack.tests.support.graphs import steps_done, training_graph, wait_until, write_dataset
from pack.tests.support.idle import is_idle, make_idle

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("pocket_checkpoint")]


def leave_a_run_going(server, name):
    write_dataset(server.input / "idle set")
    client = server.client()
    graph = training_graph(client, name, "idle set", steps=100_000, save_every=100_000)
    client.queue(graph)
    client.queue(graph)
    wait_until(lambda: steps_done(server.output, name) >= 1)


@pytest.mark.filterwarnings("ignore:after this test interrupted:pytest.PytestWarning")
def test_leaves_a_run_going_and_one_waiting(comfy_server):
    leave_a_run_going(comfy_server, "left")
    assert not is_idle(comfy_server.client())


def test_starts_idle_all_the_same(comfy_server):
    client = comfy_server.client()
    assert is_idle(client)
    assert client.get("/history") == {}
    assert steps_done(comfy_server.output, "left") < 100_000
    assert client.run(training_graph(client, "next", "idle set", steps=2)).status == "success"


def test_what_ran_is_named(comfy_server):
    leave_a_run_going(comfy_server, "named")
    assert "1 running, 1 waiting" in make_idle(comfy_server)
    assert make_idle(comfy_server) == ""


@pytest.mark.full
def test_a_server_that_does_not_answer_is_started_again(comfy_server):
    url = comfy_server.url
    os.kill(comfy_server._process.pid, signal.SIGSTOP)
    assert "started again" in make_idle(comfy_server, timeout_s=1.0)
    assert comfy_server.url == url
    assert is_idle(comfy_server.client())


@pytest.mark.full
def test_a_server_that_ended_is_started_again(comfy_server):
    comfy_server.kill()
    assert "had ended" in make_idle(comfy_server)
    assert is_idle(comfy_server.client())

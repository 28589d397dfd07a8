"""On the real host: what people do with a name, a test for each order; none takes a LoRA away from them."""

import os
import shutil
import zlib
from urllib.error import HTTPError
from urllib.parse import quote

import numpy as np
import pytest
from pack.tests.support.graphs import message, node, run_folder, steps_done, training_graph, wait_until, write_dataset
from pack.training.files.lora_file import load_lora
from pack.training.run.folder import RunFolder, current_run
from PIL import Image

pytestmark = pytest.mark.server

NUM_SLOW = 120
"""Pictures that take long enough to encode to be canceled meanwhile."""


@pytest.fixture(scope="module")
def server(comfy_server, pocket_checkpoint):
    write_dataset(comfy_server.input / "set")
    write_dataset(comfy_server.input / "edited")
    slow = comfy_server.input / "slow"
    slow.mkdir(exist_ok=True)
    for index in range(NUM_SLOW):
        pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((256, 256), Image.Resampling.BICUBIC).save(slow / f"{index}.png")
        (slow / f"{index}.txt").write_text("red creature")
    return comfy_server


@pytest.fixture
def client(server):
    return server.client()


STEP_ENDINGS = ("-step000002", "-step000004", "-step000006")


def visible(server, name):
    return {path.name: path.read_bytes() for path in (server.output / "loras" / name).glob("*.safetensors")}


def everything(server, name):
    return {path.read_bytes() for path in (server.output / "loras" / name).rglob("*.safetensors")}


def said(result):
    assert result.status == "success", result.error
    return " ".join(result.outputs["5"]["text"])


def seed_of(name):
    """The seed that `training_graph` gives a name."""
    return zlib.crc32(name.encode())


def command(client, folder, name, **content):
    return client.post(f"/bakery/runs/{folder.run_id}/{name}?name={folder.name}", content)


def test_another_rate_canceled_while_images_are_encoded(server, client):
    name = "encoding"
    client.run(training_graph(client, name, "set"))
    before = visible(server, name)
    canceled_while_encoding(server, client, training_graph(client, name, "slow", learning_rate=3e-4))
    assert visible(server, name) == before
    assert message(client.run(training_graph(client, name, "set", prompts="hat"))) == (
        "already trained: 6 steps, nothing to do"
    )


def canceled_while_encoding(server, client, graph):
    with server.client() as watching:
        queued = watching.queue(graph)
        watching.listener.wait_for(lambda e: e.type == "text" and "encoding images" in e.data["text"])
        client.interrupt()
        assert watching.wait(queued).status == "interrupted"


def round_graph(client, name, folder, **changes):
    """Few-Image Round before the training."""
    graph = training_graph(client, name, folder, **changes)
    graph["round"] = node("BakeryRound", dataset=["2", 0], name=name, learning_rate=1e-4, rate_factor=1.0)
    graph["5"]["inputs"] |= {"name": ["round", 0], "lora": ["round", 1]}
    return graph


def test_rounds_are_found_after_what_people_do_in_between(server, client):
    """Canceled while images are encoded, by both nodes' inputs; notes deleted and damaged; folders renamed."""
    write_dataset(server.input / "rounds")
    loras = server.output / "loras"

    def queued(name="chain", **changes):
        result = client.run(round_graph(client, name, "rounds", **changes))
        assert result.status == "success", result.error
        return result.outputs["round"]["text"][0].splitlines()[0], message(result)

    assert queued() == ("chain_round_1 starts from scratch.", "new run of 6 steps")
    before = visible(server, "chain_round_1")
    canceled_while_encoding(server, client, round_graph(client, "chain", "slow"))
    assert queued()[1] == "already trained: 6 steps, nothing to do"
    (server.input / "rounds" / "2.txt").write_text("blue creature")
    assert queued(steps=4) == ("chain_round_2 starts from chain_round_1.", "new run of 4 steps")
    canceled_while_encoding(server, client, round_graph(client, "chain", "slow", learning_rate=3e-4))
    (loras / "chain_round_2" / ".run" / "current").write_text("gone")
    shutil.rmtree(loras / "chain_round_1" / ".run")
    first, said = queued(steps=4)
    assert first == "chain_round_2 starts from chain_round_1."
    assert said.startswith("already trained: 4 steps, nothing to do; the record of which run wrote")
    for number in (1, 2):
        (loras / f"chain_round_{number}").rename(loras / f"other_round_{number}")
    first, said = queued("other", steps=4, seed=seed_of("chain"))
    assert first == "other_round_2 starts from other_round_1."
    assert said.startswith("already trained: 4 steps, nothing to do; files named after chain_round_2 were renamed")
    assert visible(server, "other_round_1") == before


@pytest.mark.full
def test_another_rate_canceled_after_its_first_save(server, client):
    """The next queue says where the LoRA is that the canceled one moved."""
    name = "canceled"
    client.run(training_graph(client, name, "set"))
    first, before = run_folder(server.output, name), visible(server, name)
    other = training_graph(client, name, "set", learning_rate=3e-4, steps=200)
    queued = client.queue(other)
    wait_until(lambda: current_run(first.root) != first.run_id)
    client.interrupt()
    assert client.wait(queued).status == "interrupted"
    assert set(before.values()) <= everything(server, name)
    done = steps_done(server.output, name)
    told = said(client.run(training_graph(client, name, "set", learning_rate=3e-4, steps=done + 1)))
    assert f"continued from step {done} of {done + 1}" in told and first.run_id in told
    assert message(client.run(training_graph(client, name, "set"))).startswith("already trained: 6 steps")
    assert visible(server, name) == before


@pytest.mark.full
def test_run_deleted_to_free_space(server, client):
    name = "freed"
    client.run(training_graph(client, name, "set"))
    before = visible(server, name)
    shutil.rmtree(server.output / "loras" / name / ".run")
    told = said(client.run(training_graph(client, name, "set", learning_rate=7e-4)))
    assert set(before.values()) <= set(visible(server, name).values())
    assert f"{name}-earlier-1.safetensors" in told


def test_a_pick_and_few_kept_steps(server, client):
    name = "picked"
    client.run(training_graph(client, name, "set"))
    folder = run_folder(server.output, name)
    command(client, folder, "pick", step=2)
    result = client.run(training_graph(client, name, "set", keep_last=1))
    assert set(folder.step_loras()) == {2, 6}
    assert "step 2 is the output" in said(result) and "keep_last 1" in said(result)
    more = client.run(training_graph(client, name, "set", keep_last=1, steps=8))
    assert set(folder.step_loras()) == {2, 8} and "step 2 is the output" in said(more)
    renamed = client.run(training_graph(client, "picked elsewhere", "set", steps=8, seed=seed_of(name)))
    assert "copied from 'picked'" in message(renamed) and "step 2 is the output" in said(renamed)


@pytest.mark.full
def test_a_begun_run_hides_no_finished_one(server, client):
    """A caption is edited; canceled before a step; then the weights are gone on from."""
    name = "begun"
    client.run(training_graph(client, name, "edited"))
    first = run_folder(server.output, name)
    (server.input / "edited" / "0.txt").write_text("blue creature")
    for index in range(NUM_SLOW):
        for ending in ("png", "txt"):
            shutil.copy(server.input / "slow" / f"{index}.{ending}", server.input / "edited" / f"new {index}.{ending}")
    with server.client() as watching:
        queued = watching.queue(training_graph(client, name, "edited"))
        watching.listener.wait_for(lambda e: e.type == "text" and "encoding images" in e.data["text"])
        client.interrupt()
        assert watching.wait(queued).status == "interrupted"
    assert run_folder(server.output, name).run_id != first.run_id
    for path in (server.input / "edited").glob("new *"):
        path.unlink()  # only the caption stays changed: quicker to encode
    told = message(client.run(training_graph(client, name, "edited", on_dataset_change="continue")))
    assert f"from the weights of run {first.run_id}@6" in told


@pytest.mark.full
def test_an_empty_marker(server, client):
    name = "marker"
    client.run(training_graph(client, name, "set"))
    first, before = run_folder(server.output, name), visible(server, name)
    (first.root / ".run" / "current").write_text("")
    told = message(client.run(training_graph(client, name, "set", prompts="hat")))
    assert told.startswith("already trained") and first.run_id in told
    assert visible(server, name) == before


@pytest.mark.full
def test_a_lora_to_start_from_without_a_network(server, client):
    """The header says what the file holds, not what the Network node would have been."""
    source = training_graph(client, "source", "set", steps=2)
    source["6"] = node("BakeryNetwork", algorithm="lokr", rank=8)
    source["5"]["inputs"]["network"] = ["6", 0]
    client.run(source)
    graph = training_graph(client, "started", "set", steps=2)
    graph["6"] = node("BakeryLoadLoRA", lora_name="source/source.safetensors")
    graph["5"]["inputs"]["lora"] = ["6", 0]
    client.run(graph)
    start, end = (load_lora(run_folder(server.output, name).latest_lora) for name in ("source", "started"))
    assert "lokr" in end.metadata["ss_network_args"]
    keys = ["ss_network_module", "ss_network_dim", "ss_network_alpha"]
    assert {key: end.metadata[key] for key in keys} == {key: start.metadata[key] for key in keys}
    own = training_graph(client, "started", "set", steps=2)
    own["6"] = node("BakeryLoadLoRA", lora_name="started/started.safetensors")
    own["5"]["inputs"]["lora"] = ["6", 0]
    assert "lora: BakeryLoadLoRA (6)" in client.run(own).error


@pytest.mark.full
def test_stop_and_keep_twice_at_one_step(server, client):
    name = "twice"
    graph = training_graph(client, name, "set", steps=200, save_every=200)
    stops = []
    for before in (0, 1):
        queued = client.queue(graph)
        wait_until(lambda least=before: steps_done(server.output, name) > max([least, *stops]))
        command(client, run_folder(server.output, name), "stop")
        result = client.wait(queued)
        assert "5" not in result.cached_nodes
        stops.append(max(run_folder(server.output, name).states()))
    assert stops[0] < stops[1]


def test_a_folder_renamed_and_copied_in_the_file_manager(server, client):
    name, seed = "renamed", seed_of("renamed")
    client.run(training_graph(client, name, "set"))
    loras, before = server.output / "loras", set(visible(server, name).values())
    (loras / name).rename(loras / "the new name")
    shutil.copytree(loras / "the new name", loras / "a copy")
    for now in ("the new name", "a copy"):
        told = message(client.run(training_graph(client, now, "set", seed=seed)))
        assert told.startswith("already trained") and name in told
        assert set(visible(server, now)) == {f"{now}{end}.safetensors" for end in ("", *STEP_ENDINGS)}
        assert before <= everything(server, now)


@pytest.mark.full
def test_a_folder_renamed_while_it_is_paused(server, client):
    """What follows is saved under the old name, the run goes on under either, and the page shows it."""
    name, graph = "paused", training_graph(client, "paused", "set", steps=30)
    queued = client.queue(graph)
    wait_until(lambda: steps_done(server.output, name) >= 3)
    folder = run_folder(server.output, name)
    command(client, folder, "pause")
    wait_until(lambda: client.get("/bakery/runs", name=name)["runs"][0]["state"] == "paused")
    folder.root.rename(folder.root.with_name("away"))
    assert client.get("/bakery/runs", name=name)["runs"] == [{"id": folder.run_id, "state": "paused"}]
    command(client, folder, "rate", factor=0.5)
    command(client, folder, "resume")
    result = client.wait(queued)
    assert "moved or deleted while it trained" in said(result)
    assert [run["id"] for run in client.get("/bakery/runs", name=name)["runs"]] == [folder.run_id]
    assert max(client.get(f"/bakery/runs/{folder.run_id}", name=name)["loras"]) == 30
    forgotten = {**graph, "5": node("BakeryTrain", **{**graph["5"]["inputs"], "save_every": 3})}
    assert said(client.run(forgotten)).startswith("already trained: 30 steps, nothing to do")


def test_an_emptied_output_folder_hides_no_loader(server, client):
    """Nor does a folder that is gone while the one above it has the same time, as on drives that count in seconds."""
    loras, embeddings = server.output / "loras", server.output / "embeddings"

    def listed():
        found = client.object_info()["LoraLoader"]["input"]["required"]["lora_name"]
        return {name for name in found[0] if name.startswith(("emptied", "gone"))}, "word" in client.get("/embeddings")

    for path in (
        loras / "emptied" / "a.safetensors",
        loras / "gone" / "b.safetensors",
        embeddings / "word.safetensors",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert listed() == ({"emptied/a.safetensors", "gone/b.safetensors"}, True)
    time = loras.stat()
    shutil.rmtree(loras / "gone")
    os.utime(loras, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert listed() == ({"emptied/a.safetensors"}, True)
    (server.output / "checkpoints").mkdir(exist_ok=True)
    (server.output / "checkpoints" / "merged.safetensors").touch()
    assert "merged.safetensors" in str(client.object_info()["CheckpointLoaderSimple"])
    for folder in (loras, embeddings, server.output / "checkpoints"):
        shutil.rmtree(folder)
    assert listed() == (set(), False)
    assert "CheckpointLoaderSimple" in client.object_info()


STEERED = {
    "pause": {}, "resume": {}, "save": {}, "sample": {}, "stop": {}, "rate": {"factor": 0.5}, "try": {"prompt": "hat"},
    "pick": {"step": 2},
}  # fmt: skip


def is_taken(client, path, body):
    """Whether the server does what a POST asks for."""
    try:
        client.post(path, body)
    except HTTPError as error:
        assert error.code in (400, 404), path
        return False
    return True


def test_no_command_about_an_equal_run_of_another_name_reaches_the_one_that_trains(server, client):
    name, twin = "steered", "its twin"
    queued = client.queue(training_graph(client, name, "set", steps=400, save_every=2))
    wait_until(lambda: steps_done(server.output, name) > 2)
    folder = run_folder(server.output, name)
    command(client, folder, "pause")
    wait_until(lambda: client.get(f"/bakery/runs/{folder.run_id}?name={name}")["state"] == "paused")
    copied = shutil.copytree(folder.root, server.output / "loras" / twin)
    shutil.copy(folder.step_lora(2), RunFolder(copied, folder.run_id).step_lora(2))
    try:
        for wish, body in STEERED.items():
            taken = {query: is_taken(client, f"/bakery/runs/{folder.run_id}/{wish}{query}", body)
                     for query in ("", "?name=nobody", f"?name={quote(twin)}")}  # fmt: skip
            assert list(taken.values()) == [False, False, wish == "pick"], wish  # an ended run may be picked from
        view = client.get(f"/bakery/runs/{folder.run_id}?name={name}")
        assert (view["state"], view["waiting"], view["rates"], view["pick"]) == ("paused", [], [], None)
    finally:
        command(client, folder, "stop")
        shutil.rmtree(copied)
    assert client.wait(queued).status == "success"

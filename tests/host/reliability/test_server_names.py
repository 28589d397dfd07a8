"""On the real host: what people do with a name, in an order that takes no LoRA away from them."""

import shutil

import pytest
from pack.tests.support.graphs import message, run_folder, training_graph, wait_until, write_dataset
from pack.training.files.lora_file import load_lora
from pack.training.run.picks import save_pick

pytestmark = pytest.mark.server


@pytest.fixture
def client(comfy_server, pocket_checkpoint):
    write_dataset(comfy_server.input / "set")
    return comfy_server.client()


def visible(server, name):
    return {path.name: path.read_bytes() for path in (server.output / "loras" / name).glob("*.safetensors")}


def test_a_name_in_many_hands(comfy_server, client):
    """Finished; another rate, canceled early; that rate to its end; `.run` deleted; a pick and few kept steps."""
    name = "hands"
    client.run(training_graph(client, name, "set"))
    first, before = run_folder(comfy_server.output, name), visible(comfy_server, name)

    other = training_graph(client, name, "set", learning_rate=3e-4, steps=200, save_every=200)
    queued = client.queue(other)
    wait_until(lambda: run_folder(comfy_server.output, name).run_id != first.run_id)
    client.interrupt()
    assert client.wait(queued).status == "interrupted"
    kept = {path.name: path.read_bytes() for path in first.private.glob("*.safetensors")}
    assert before.items() <= {**visible(comfy_server, name), **kept}.items()

    told = message(client.run(training_graph(client, name, "set", learning_rate=5e-4)))
    assert first.run_id in told
    assert {path.name: path.read_bytes() for path in first.private.glob("*.safetensors")} == before

    shutil.rmtree(comfy_server.output / "loras" / name / ".run")
    orphans = visible(comfy_server, name)
    told = message(client.run(training_graph(client, name, "set", learning_rate=7e-4)))
    assert set(orphans.values()) <= set(visible(comfy_server, name).values())
    assert f"{name}-earlier-1.safetensors" in told

    folder = run_folder(comfy_server.output, name)
    save_pick(folder, 2)
    result = client.run(training_graph(client, name, "set", learning_rate=7e-4, keep_last=1))
    assert set(folder.step_loras()) == {2, 6}
    assert "step 2 is the output" in " ".join(result.outputs["5"]["text"])
    assert load_lora(folder.latest_lora).metadata["ss_steps"] == "6"

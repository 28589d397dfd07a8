"""On the real host: training on top of LoRAs that the graph has applied, and files that are written again."""

from dataclasses import dataclass

import pytest
from pack.tests.support.cases import chosen, combined
from pack.tests.support.graphs import (
    message,
    node,
    pictures_of,
    run_folder,
    set_aside,
    training_graph,
    with_sampler,
    write_dataset,
)
from pack.training.files.lora_file import load_lora

pytestmark = pytest.mark.server

RATE = 5e-3


@pytest.fixture(scope="module")
def server(comfy_server, pocket_checkpoint):
    """A server with a LoRA `first` trained on it."""
    write_dataset(comfy_server.input / "set")
    first = training_graph(comfy_server.client(), "first", "set", steps=4, batch_size=2, learning_rate=RATE)
    assert message(comfy_server.client().run(first)) == "new run of 4 steps"
    return comfy_server


@pytest.fixture
def client(server):
    return server.client()


@dataclass(frozen=True)
class Patch:
    """How the graph lays the LoRA `first` on the model, and how strongly."""

    loader: str
    strength: float = 1.0

    def add(self, graph):
        """Model and clip of the Train node come from the patched ones, which `under` names."""
        if self.loader == "LoraLoader":
            graph["under"] = node(
                "LoraLoader", model=["1", 0], clip=["1", 1], lora_name="first/first.safetensors",
                strength_model=self.strength, strength_clip=self.strength,
            )  # fmt: skip
        else:
            graph["file"] = node("BakeryLoadLoRA", lora_name="first/first.safetensors")
            graph["under"] = node(
                "BakeryApplyLoRA", model=["1", 0], clip=["1", 1], lora=["file", 0], unet_strength=self.strength,
                text_encoder_strength=self.strength,
            )  # fmt: skip
        if "5" in graph:
            graph["5"]["inputs"] |= {"model": ["under", 0], "clip": ["under", 1]}
        return graph


PATCHES = {"core": Patch("LoraLoader"), "ours": Patch("BakeryApplyLoRA")}
NETWORKS = {
    "lora": {"algorithm": "lora", "rank": 4, "train_text_encoder": True},
    "dora": {"algorithm": "lora", "rank": 4, "weight_decompose": True},
    "ia3": {"algorithm": "ia3"},
}


def graph_on_top(client, name, patch, network="lora", **changes):
    graph = training_graph(client, name, "set", steps=4, batch_size=2, learning_rate=RATE, **changes)
    graph["network"] = node("BakeryNetwork", **NETWORKS[network])
    graph["5"]["inputs"]["network"] = ["network", 0]
    return patch.add(graph) if patch else graph


def digest(client):
    """What the bare checkpoint computes with, bit for bit."""
    checkpoint = node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors")
    look = node("TestWeightsDigest", model=["1", 0], clip=["1", 1])
    return client.run({"1": checkpoint, "2": look}, timeout_s=900).outputs["2"]["text"]


@pytest.fixture(scope="module")
def weights(server):
    return digest(server.client())


def applied(server, client, patch, name):
    """Picture of the file of a run, applied by the core loader on the patched model."""
    graph = patch.add({"1": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors")})
    graph["top"] = node(
        "LoraLoader", model=["under", 0], clip=["under", 1], lora_name=f"{name}/{name}.safetensors",
        strength_model=1.0, strength_clip=1.0,
    )  # fmt: skip
    return pictures_of(client, client.run(with_sampler(graph, source="top")), "show")


@pytest.mark.parametrize(("patch", "network"), combined(PATCHES, NETWORKS, 3))
def test_trained_on_top_of_a_lora(patch, network, server, client, weights):
    name, laid = f"top {patch} {network}", PATCHES[patch]
    graph = graph_on_top(client, name, laid, network, save_dtype="float32")
    result = client.run(with_sampler(graph))
    assert message(result).startswith("new run of 4 steps")
    assert digest(client) == weights

    in_graph = pictures_of(client, result, "show")
    assert abs(in_graph - applied(server, client, laid, name)).max() <= 2
    alone = pictures_of(client, client.run(with_sampler(graph, lora=f"{name}/{name}.safetensors")), "show")
    assert abs(in_graph - alone).max() > 2  # the LoRA underneath is part of the picture

    if network != "lora":
        return
    bare = graph_on_top(client, name, None, network, save_dtype="float32")
    assert message(client.run(bare)).startswith("new run of 4 steps")  # the patch is part of what a run is
    weaker = graph_on_top(client, name, Patch(laid.loader, 0.5), network, save_dtype="float32")
    assert message(client.run(weaker)).startswith("new run of 4 steps")
    again = client.run(graph_on_top(client, name, laid, network, save_dtype="float32", prompts="hat"))
    assert message(again).startswith("already trained: 4 steps, nothing to do")


def test_both_ways_to_lay_a_lora_give_the_same_run(server, client):
    """What is trained against depends on the weights, not on the node that made them."""
    trained = []
    for patch, laid in PATCHES.items():
        name = f"either {patch}"
        assert message(client.run(graph_on_top(client, name, laid, seed=1))).startswith("new run of 4 steps")
        trained.append(load_lora(set_aside(server.output, name).step_lora(4)).tensors)
    core, ours = trained
    assert core.keys() == ours.keys()
    assert all(core[name].equal(ours[name]) for name in core)


def test_finished_run_of_a_base_dependent_network_is_returned_as_trained(server, client):
    """(IA)^3's file holds base weights times factors; it must be the same while the model is not loaded."""
    graph = with_sampler(graph_on_top(client, "twice", PATCHES["core"], "ia3"))
    first = pictures_of(client, client.run(graph), "show")
    file = run_folder(server.output, "twice").latest_lora.read_bytes()
    digest(client)  # loads the bare model
    again = client.run(with_sampler(graph_on_top(client, "twice", PATCHES["core"], "ia3", prompts="hat")))
    assert message(again).startswith("already trained: 4 steps, nothing to do")
    assert abs(pictures_of(client, again, "show") - first).max() == 0
    assert run_folder(server.output, "twice").latest_lora.read_bytes() == file


@pytest.mark.parametrize("loader", chosen(["LoraLoader", "LoraLoaderModelOnly", "ours"], ["ours"]))
def test_file_written_again_is_not_served_stale(server, client, loader):
    """A loader in the graph that trains; nothing links the two."""
    name = f"rewritten {loader}"

    def graph(rate, prompts="hat"):
        train = training_graph(client, name, "set", steps=4, batch_size=2, learning_rate=rate, prompts=prompts)
        laid = with_sampler({**train, **loader_nodes(loader, f"{name}/{name}.safetensors")}, source="model")
        if loader == "LoraLoaderModelOnly":
            laid["text"]["inputs"]["clip"] = laid["none"]["inputs"]["clip"] = ["1", 1]
        return laid

    client.run(training_graph(client, name, "set", steps=4, batch_size=2, learning_rate=RATE))
    old = pictures_of(client, client.run(graph(RATE)), "show")
    trained = client.run(graph(2 * RATE)).outputs["5"]["text"]
    assert trained[0].startswith("new run of 4 steps")
    said = f"{loader} (model) may have read its file before this run wrote it: queue again"
    assert any(text.startswith(said) for text in trained) == (loader != "ours")
    new = pictures_of(client, client.run(graph(2 * RATE)), "show")
    in_graph = training_graph(client, name, "set", steps=4, batch_size=2, learning_rate=2 * RATE)
    expected = pictures_of(client, client.run(with_sampler(in_graph)), "show")
    assert abs(new - old).max() > 2
    assert abs(new - expected).max() <= 2
    nothing_written = client.run(graph(2 * RATE, prompts="red creature"))
    assert nothing_written.outputs["5"]["text"][0] == "already trained: 4 steps, nothing to do"


@pytest.mark.parametrize("loader", ["LoraLoader", "ours"])
def test_a_run_on_top_of_its_own_lora_is_refused(server, client, loader):
    """Otherwise every queue would be another run, and train again."""
    graph = training_graph(client, "first", "set", steps=4, seed=len(loader))
    graph |= loader_nodes(loader, "first/first.safetensors")
    graph["5"]["inputs"] |= {"model": ["model", 0], "clip": ["model", 1]}
    result = client.run(graph)
    name = {"LoraLoader": "LoraLoader (model)", "ours": "BakeryLoadLoRA (file)"}[loader]
    assert result.status == "error" and f"{name} applies this run's own LoRA" in result.error
    graph["5"]["inputs"]["name"] = f"on top of first, {loader}"
    assert message(client.run(graph)) == "new run of 4 steps"


def loader_nodes(loader, file):
    """Nodes that lay a LoRA file on the checkpoint; `model` gives MODEL and CLIP."""
    if loader == "ours":
        return {
            "file": node("BakeryLoadLoRA", lora_name=file),
            "model": node(
                "BakeryApplyLoRA", model=["1", 0], clip=["1", 1], lora=["file", 0], unet_strength=1.0,
                text_encoder_strength=1.0,
            ),
        }  # fmt: skip
    clip = {"clip": ["1", 1], "strength_clip": 1.0} if loader == "LoraLoader" else {}
    return {"model": node(loader, model=["1", 0], lora_name=file, strength_model=1.0, **clip)}

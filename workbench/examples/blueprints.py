"""The subgraph blueprints: the most used parts of a workflow as one node, listed by ComfyUI from `subgraphs/`."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .canvas import Canvas, Port
from .layout import COLUMN_GAP, NODE_WIDTH

INPUT_NODE, OUTPUT_NODE = -10, -20
"""Ids that the page gives to the two sides of a subgraph."""
CATEGORY = "LoRA Bakery"
SOURCE = "CheckpointLoaderSimple"
"""Stands for the inputs while the inside is composed."""
TRAINED = ("model", "clip", "lora", "run", "images")
"""Outputs of Train LoRA that every blueprint gives out."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What is shown of a subgraph on its outside."""

    outputs: Sequence[tuple[str, Port]]
    widgets: Sequence[tuple[Port, str]]
    """Of the nodes that these ports belong to, in the order of the outside."""


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A subgraph with model, clip and vae as inputs."""

    name: str
    description: str
    compose: Callable[[Canvas, list[Port]], Inside]


def train_lora(canvas: Canvas, base: list[Port]) -> Inside:
    """From a folder to a LoRA."""
    folder = canvas.add("BakeryLoadDataset", 1)
    captions = canvas.add("BakeryCaptions", 1, dataset=folder[0])
    network = canvas.add("BakeryNetwork", 1)
    optimizer = canvas.add("BakeryOptimizer", 2)
    trained = _train(canvas, base, dataset=captions[0], network=network[0], optimizer=optimizer[0])
    widgets = [
        (folder[0], "folder"), (captions[0], "trigger"), (trained[0], "name"), (trained[0], "steps"),
        (trained[0], "batch_size"), (optimizer[0], "learning_rate"), (network[0], "rank"),
    ]  # fmt: skip
    return Inside(_outputs(trained), widgets)


def train_by_recipe(canvas: Canvas, base: list[Port]) -> Inside:
    """From a folder and a few answers to a LoRA."""
    folder = canvas.add("BakeryLoadDataset", 1)
    captions = canvas.add("BakeryCaptions", 1, dataset=folder[0])
    recipe = canvas.add("BakeryRecipe", 2, dataset=captions[0])
    settings = dict(zip(("network", "optimizer", "objective", "stages"), recipe, strict=False))
    trained = _train(canvas, base, dataset=captions[0], **settings)
    answers = ("subject", "image_quality", "is_known", "family", "vram_gib", "rates")
    widgets = [
        (folder[0], "folder"), (captions[0], "trigger"), (trained[0], "name"),
        *((recipe[0], answer) for answer in answers),
    ]  # fmt: skip
    return Inside([*_outputs(trained), ("notes", recipe[4])], widgets)


def train_a_round(canvas: Canvas, base: list[Port]) -> Inside:
    """One round of a rare character; queued again after pictures were kept, it is the next."""
    folder = canvas.add("BakeryLoadDataset", 1)
    captions = canvas.add("BakeryCaptions", 1, dataset=folder[0])
    this_round = canvas.add("BakeryRound", 2, dataset=captions[0])
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=this_round[4])
    trained = _train(
        canvas, base, dataset=captions[0], name=this_round[0], lora=this_round[1], optimizer=optimizer[0], steps=300
    )
    widgets = [
        (folder[0], "folder"), (captions[0], "trigger"), (this_round[0], "name"), (trained[0], "steps"),
        (trained[0], "batch_size"), (this_round[0], "learning_rate"), (this_round[0], "rate_factor"),
    ]  # fmt: skip
    return Inside([*_outputs(trained), ("name", this_round[0]), ("report", this_round[3])], widgets)


BLUEPRINTS = (
    Blueprint("Train LoRA", "Trains a LoRA on the images of a folder and gives the model with it.", train_lora),
    Blueprint(
        "Train LoRA by Recipe", "Trains a LoRA on a folder with settings that follow from a few answers.",
        train_by_recipe,
    ),
    Blueprint(
        "Train a Round", "One round of a rare character. Keep good pictures in the folder and queue again for the "
        "next.", train_a_round,
    ),
)  # fmt: skip


def _train(canvas: Canvas, base: list[Port], **inputs: Any) -> list[Port]:
    return canvas.add("BakeryTrain", 3, model=base[0], clip=base[1], vae=base[2], **inputs)


def _outputs(trained: list[Port]) -> list[tuple[str, Port]]:
    return list(zip(TRAINED, trained, strict=False))


def compose_blueprint(blueprint: Blueprint, object_info: dict[str, Any]) -> dict[str, Any]:
    """The blueprint as ComfyUI keeps it: a workflow of one node, and the subgraph it stands for."""
    canvas = Canvas(object_info)
    source = canvas.add(SOURCE, 0)
    inside = blueprint.compose(canvas, source)
    subgraph = _subgraph(blueprint, canvas, source, inside)
    widgets = [[str(port.node), name] for port, name in inside.widgets]
    node = {
        "id": 1, "type": subgraph["id"], "pos": [0, 0], "size": [NODE_WIDTH, 60 + 24 * len(widgets) + 24 * 8],
        "flags": {}, "order": 0, "mode": 0,
        "inputs": [{"name": port["name"], "type": port["type"], "link": None} for port in subgraph["inputs"]],
        "outputs": [{"name": port["name"], "type": port["type"], "links": []} for port in subgraph["outputs"]],
        "properties": {"proxyWidgets": widgets}, "widgets_values": [], "title": blueprint.name,
    }  # fmt: skip
    return {
        "revision": 0, "last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "version": 0.4,
        "definitions": {"subgraphs": [subgraph]}, "extra": {},
    }  # fmt: skip


def _subgraph(blueprint: Blueprint, canvas: Canvas, source: list[Port], inside: Inside) -> dict[str, Any]:
    right = canvas.lay_out() + COLUMN_GAP
    links = [_link(link, source[0].node) for link in canvas.links]
    outputs: list[dict[str, Any]] = []
    for slot, (name, port) in enumerate(inside.outputs):
        link = {
            "id": len(links) + 1, "origin_id": port.node, "origin_slot": port.slot, "target_id": OUTPUT_NODE,
            "target_slot": slot, "type": port.type,
        }  # fmt: skip
        links.append(link)
        canvas.nodes[port.node - 1]["outputs"][port.slot]["links"].append(link["id"])
        outputs.append(_side(blueprint, name, port.type, [link["id"]], slot))
    inputs = [
        _side(blueprint, port.type.lower(), port.type, _links_from(links, port.slot), port.slot) for port in source
    ]
    return {
        "id": _id(blueprint, "subgraph"), "version": 1, "revision": 0, "config": {}, "name": blueprint.name,
        "state": {
            "lastGroupId": 0, "lastNodeId": len(canvas.nodes), "lastLinkId": len(links), "lastRerouteId": 0,
        },
        "inputNode": {"id": INPUT_NODE, "bounding": [0, 0, 120, 100]},
        "outputNode": {"id": OUTPUT_NODE, "bounding": [right, 0, 120, 40 + 20 * len(outputs)]},
        "inputs": inputs, "outputs": outputs, "widgets": [], "groups": [], "links": links,
        "nodes": [node for node in canvas.nodes if node["type"] != SOURCE], "extra": {}, "category": CATEGORY,
        "description": blueprint.description,
    }  # fmt: skip


def _link(link: list[Any], source: int) -> dict[str, Any]:
    link_id, origin, slot, target, target_slot, kind = link
    return {
        "id": link_id, "origin_id": INPUT_NODE if origin == source else origin, "origin_slot": slot,
        "target_id": target, "target_slot": target_slot, "type": kind,
    }  # fmt: skip


def _links_from(links: Sequence[dict[str, Any]], slot: int) -> list[int]:
    return [link["id"] for link in links if (link["origin_id"], link["origin_slot"]) == (INPUT_NODE, slot)]


def _side(blueprint: Blueprint, name: str, kind: str, links: list[int], slot: int) -> dict[str, Any]:
    return {
        "id": _id(blueprint, f"{name} {slot} {kind}"), "name": name, "type": kind, "linkIds": links,
        "pos": [20, 20 + 20 * slot],
    }  # fmt: skip


def _id(blueprint: Blueprint, what: str) -> str:
    """The same each time it is composed."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lora-bakery/{blueprint.name}/{what}"))

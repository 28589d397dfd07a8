"""Every input of every node takes what it declares; anything else that a link or a program brings is a ValueError."""

import asyncio
import json
import math
from types import SimpleNamespace

import pytest
import torch
from pack.tests.support.cases import chosen
from pack.tests.support.graphs import write_dataset

pytestmark = pytest.mark.comfy
DEEP = json.loads("[" * 500 + "]" * 500)
WRONG = {
    "nothing": None, "true": True, "zero": 0, "minus one": -1, "a half": 0.5, "two": 2.0, "no number": math.nan,
    "infinity": math.inf, "1e400": float("1e400"), "-1e400": -float("1e400"), "1e308": 1e308, "ten to the 400": 10**400,
    "2^63": 2**63, "2^64": 2**64, "-2^63": -(2**63), "empty text": "", "a text": "abc", "number in a text": "12",
    "half a pair": "\ud800", "a zero byte": "a\x00b", "long text": "x" * 100_000, "long name": "n" * 300,
    "up": "../../x", "absolute": "/etc/passwd", "JSON": '{"a": ' * 2000, "brackets": "(" * 5000, "dashes": "--" * 3000,
    "list": [], "list of text": ["abc"], "deep list": DEEP, "object": {}, "object of text": {"a": "b"}, "tuple": (1, 2),
    "bytes": b"abc", "set": {1}, "function": len, "class": int, "thing": SimpleNamespace(), "tensor": torch.zeros(2),
    "empty tensor": torch.zeros(0, 4, 4, 3), "whole tensor": torch.zeros(1, 4, 4, 3, dtype=torch.int64),
    "tensor of NaN": torch.full((1, 4, 4, 3), math.nan), "flat tensor": torch.zeros(()), "complex": 1j,
}  # fmt: skip


PLACES = ("folder", "metadata", "mask_folder", "name", "lora_name", "filename_prefix")
"""Inputs that name files: an absolute path is not repeated."""


class Reached(ValueError):
    """All inputs were accepted, and the long work would begin."""


@pytest.fixture(scope="module")
def rights(comfy, tiny_sd15, tmp_path_factory):
    """A right value for each type of socket."""
    from pack.training.data.dataset import Dataset
    from pack.training.data.from_images import subset_from_images
    from pack.training.loop.stages import Stage
    from pack.training.networks.settings import NetworkSettings
    from pack.training.objective.settings import ObjectiveSettings
    from pack.training.optimizers.settings import OptimizerSettings
    from pack.training.run.folder import RunFolder
    from pack.training.watch.previews import PreviewSettings

    write_dataset(comfy.base / "input" / "set")
    loaded = comfy.load_checkpoint(tiny_sd15)
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    lora = {f"{layer}.lora_down.weight": torch.ones(2, 320), f"{layer}.lora_up.weight": torch.ones(320, 2),
            f"{layer}.alpha": torch.tensor(2.0)}  # fmt: skip
    picture = torch.rand(1, 32, 32, 3)
    return {
        "MODEL": loaded.model, "CLIP": loaded.clip, "VAE": loaded.vae, "IMAGE": picture, "MASK": picture[..., 0],
        "BAKERY_DATASET": Dataset((subset_from_images([picture[0]], ["a fox"], [], 1, False, 1.0),)),
        "BAKERY_NETWORK": NetworkSettings(), "BAKERY_OPTIMIZER": OptimizerSettings(),
        "BAKERY_OBJECTIVE": ObjectiveSettings(), "BAKERY_STAGES": (Stage(steps=1),),
        "BAKERY_PREVIEW": PreviewSettings(prompts=("fox",)), "LORA_MODEL": lora,
        "BAKERY_RUN": RunFolder(comfy.base / "output" / "loras" / "none", "0" * 12),
    }  # fmt: skip


@pytest.fixture(scope="module")
def nodes(comfy):
    from pack.tests.support.inprocess import pack_nodes

    return asyncio.run(pack_nodes())


@pytest.fixture
def no_long_work(monkeypatch):
    """Training, drawing and the measuring of steps end where they would begin."""
    import pack.nodes.tools.compare as compare
    import pack.nodes.training.recipe as recipe
    import pack.nodes.training.train as train

    def reached(*_, **__):
        raise Reached("all inputs were accepted")

    monkeypatch.setattr(train.HostSession, "run", reached)
    monkeypatch.setattr(recipe, "measured_step", reached)
    monkeypatch.setattr(compare, "compare", reached, raising=False)


def ids(nodes):
    return [node.GET_SCHEMA().node_id for node in nodes]


def right_values(node, rights):
    schema = node.GET_SCHEMA()
    found = {}
    for wanted in schema.inputs:
        kind = wanted.get_io_type()
        default = getattr(wanted, "default", None)
        if kind in rights:
            found[wanted.id] = rights[kind]
        elif default is not None:
            found[wanted.id] = default
    return {name: [value] for name, value in found.items()} if schema.is_input_list else found


def run(node, values):
    node.hidden = SimpleNamespace(unique_id="1", prompt={}, extra_pnginfo={})
    with torch.inference_mode():
        return node.execute(**values)


NUM_NODES = 32


@pytest.mark.parametrize("index", range(NUM_NODES))
def test_every_input_of_a_node_refuses_in_words(nodes, rights, no_long_work, index):
    node = nodes[index]
    schema, right = node.GET_SCHEMA(), right_values(node, rights)
    faults = []
    for wanted in schema.inputs:
        for name, wrong in WRONG.items():
            for value in ([wrong], [[wrong], wrong])[schema.is_input_list]:
                try:
                    run(node, {**right, wanted.id: value})
                except ValueError as error:
                    words = str(error)
                    names_a_path = "/etc/passwd" in words and wanted.id in PLACES
                    if not words or "codec" in words or names_a_path:
                        faults.append(f"{wanted.id} = {name}: {words[:120]!r}")
                except Exception as error:
                    faults.append(f"{wanted.id} = {name}: {type(error).__name__}: {str(error)[:120]}")
    assert not faults, f"{schema.node_id}\n" + "\n".join(faults)


def test_no_node_is_left_out(nodes):
    assert len(nodes) == NUM_NODES


class Anything(str):
    """A type that is never another one."""

    def __ne__(self, other):
        return False

    __hash__ = str.__hash__


class AnyValue:
    """What other packs have as a primitive or a switch: its output fits every input."""

    RETURN_TYPES = (Anything("*"),)
    FUNCTION = "give"
    CATEGORY = "testing"

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"name": ("STRING", {})}}

    def give(self, name):
        return (WRONG[name],)


GIVEN = ("nothing", "1e400", "a text", "object", "deep list", "tensor")


@pytest.mark.parametrize("turn", chosen(range(len(GIVEN)), [0]))
@pytest.mark.parametrize("index", range(NUM_NODES))
def test_wrong_values_over_the_api_end_as_a_refusal_or_a_value_error(comfy, nodes, index, turn):
    """In place of each input one wrong value, by a link from a node of any type; with --full each has all in turn."""
    mappings = comfy.module("nodes").NODE_CLASS_MAPPINGS
    mappings["AnyValue"] = AnyValue
    schema = nodes[index].GET_SCHEMA()
    ends = {}
    for place, wanted in enumerate(schema.inputs):
        name = GIVEN[(place + turn) % len(GIVEN)]
        others = {other.id: ["any", 0] for other in schema.inputs if other.id != wanted.id and not other.optional}
        graph = {
            "any": {"class_type": "AnyValue", "inputs": {"name": "a text"}},
            "wrong": {"class_type": "AnyValue", "inputs": {"name": name}},
            "node": {"class_type": schema.node_id, "inputs": {**others, wanted.id: ["wrong", 0]}},
            "end": {"class_type": "PreviewAny", "inputs": {"source": ["node", 0]}},
        }
        if not schema.outputs:
            del graph["end"]
        try:
            result = comfy.run_graph(graph)
        except ValueError:
            continue  # the host refuses it
        kinds = [data["exception_type"] for event, data in result.messages if event == "execution_error"]
        ends[f"{wanted.id} = {name}"] = kinds[0] if kinds else result.status
    wrong = {case: kind for case, kind in ends.items() if kind not in ("ValueError", "success")}
    assert not wrong, (schema.node_id, wrong)


CONSTANTS = (
    None, 5, -0.0, True, 1.5, 10**400, float("1e400"), "", " ", "nan", "1e400", "0x10", "\uff11\uff12", "\ud800",
    "a\x00b", "n" * 5000, "../x", "C:\\x", "/etc/passwd", "nul", "[trigger]" * 999, {"a": 1}, {"__value__": [1]}, [],
    ["x"], ["x", 0, 0], [1, 0], ["node", 0], ["any", -1], ["any", 99], ["any", "0"], [["any", 0]],
)  # fmt: skip


@pytest.mark.parametrize("name", ["BakeryLoadDataset", "BakerySaveDataset", "BakeryTrain", "BakeryRound"])
def test_constants_of_any_kind_are_validated_in_words(comfy, nodes, name):
    """What a program queues, for the nodes that check a constant before the graph starts."""
    execution, mappings = comfy.module("execution"), comfy.module("nodes").NODE_CLASS_MAPPINGS
    mappings["AnyValue"] = AnyValue
    comfy.object_info()
    schema, faults = next(node for node in nodes if node.GET_SCHEMA().node_id == name).GET_SCHEMA(), []
    for wanted in schema.inputs:
        for constant in CONSTANTS:
            others = {other.id: ["any", 0] for other in schema.inputs if other.id != wanted.id and not other.optional}
            graph = {
                "any": {"class_type": "AnyValue", "inputs": {"name": "a text"}},
                "node": {"class_type": schema.node_id, "inputs": {**others, wanted.id: constant}},
                "end": {"class_type": "PreviewAny", "inputs": {"source": ["node", 0]}},
            }
            if not schema.outputs:
                del graph["end"]
            try:
                said = asyncio.run(execution.validate_prompt("constants", graph, None))
            except Exception as error:
                if not isinstance(constant, list):  # ComfyUI's own: a link that leads nowhere
                    faults.append((wanted.id, str(constant)[:30], repr(error)[:100]))
                continue
            kinds = {error["type"] for node in said[3].values() for error in node["errors"]}
            if any("exception" in kind for kind in kinds) and not isinstance(constant, list):
                faults.append((wanted.id, str(constant)[:30], str(said[3])[:300]))
    assert not faults, (schema.node_id, faults)

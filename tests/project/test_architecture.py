"""The import contracts bite; every node is finished: help page, example, tooltips, limits, one set of defaults."""

import ast
import asyncio
import dataclasses
import importlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from pack.tests.support.paths import ROOT

HOST_PACKAGES = {"aiohttp"}
"""Third-party packages that are part of being a ComfyUI node: its server's routes are aiohttp's."""
NODES = {
    "BakeryApplyLoRA", "BakeryBlockWeights", "BakeryBuckets", "BakeryCaptions", "BakeryCombineDatasets",
    "BakeryExportKohya", "BakeryImportKohya", "BakeryImportKohyaDataset",
    "BakeryCompare", "BakeryExtractLoRA", "BakeryImagesToDataset", "BakeryInspectDataset", "BakeryInspectLoRA",
    "BakeryLoadDataset", "BakeryLoadLoRA", "BakeryMergeIntoModel", "BakeryMergeLoRAs", "BakeryNetwork",
    "BakeryObjective", "BakeryOptimizer", "BakeryPickStep", "BakeryPlotPlan", "BakeryPlotRun", "BakeryPreview",
    "BakeryRecipe", "BakeryResizeLoRA", "BakerySaveDataset", "BakerySaveLoRA", "BakeryStage", "BakeryTrain",
}  # fmt: skip
"""Saved workflows name these, so none may vanish; one that fails to import does."""
SETTINGS = {
    "BakeryBuckets": ["data.buckets.BucketSettings"],
    "BakeryCaptions": ["data.captions.CaptionSettings"],
    "BakeryNetwork": ["networks.settings.NetworkSettings"],
    "BakeryObjective": ["objective.settings.ObjectiveSettings"],
    "BakeryOptimizer": ["optimizers.settings.OptimizerSettings", "optimizers.schedules.ScheduleSettings"],
    "BakeryPreview": ["watch.previews.PreviewSettings"],
    "BakeryStage": ["loop.stages.Stage"],
    "BakeryTrain": ["run.saver.SaveSettings"],
}
"""Node id -> the settings below training/ that its inputs fill in."""
OFF = (None, 0, 0.0, "", "none", "auto", "off", "same", -1)
"""What an input may hold where the setting's default is None."""


def host_modules() -> set[str]:
    """As the import contracts name them."""
    contracts = pyproject()["tool"]["importlinter"]["contracts"]
    return {name for contract in contracts for name in contract.get("forbidden_modules", ())}


def pyproject() -> dict[str, Any]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.11 reads TOML")
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def packages_imported(source: str) -> Iterator[str]:
    """First names of all that a file imports, from its own folders excepted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def test_a_contract_that_is_broken_is_named(tmp_path, monkeypatch, capsys):
    """The contracts themselves, on a tree where each is broken once; `dev.py lint` runs them on ours."""
    from pack.tests.support import import_contracts

    broken = {
        "training/rng.py": "def f():\n    from comfy import utils",
        "training/base_model.py": "from ..nodes import sockets",
        "training/data/captions.py": "from ..loop import job",
        "training/loop/job.py": "",
        "nodes/sockets.py": "import folder_paths",
        "nodes/comfy_bridge/train.py": "import comfy.utils\nfrom .. import sockets",
    }
    for path in (path for room in ("training", "nodes") for path in (ROOT / room).rglob("*.py")):
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(broken.get(path.relative_to(ROOT).as_posix(), ""))
    monkeypatch.setattr(sys.modules["pack"].__spec__, "submodule_search_locations", [str(tmp_path)])
    assert import_contracts.main() == 1
    said = capsys.readouterr().out
    assert "Contracts: 0 kept, 5 broken" in said
    for arrow in ("training.rng -> comfy", "training.data.captions -> pack.training.loop", "sockets -> folder_paths"):
        assert arrow in said


def test_root_module_only_registers():
    assert len((ROOT / "__init__.py").read_text(encoding="utf-8").splitlines()) <= 15


def test_requirements_are_the_same_everywhere_and_no_pins():
    listed = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert sorted(pyproject()["project"]["dependencies"]) == sorted(listed)
    assert all(re.fullmatch(r"[\w-]+>=[\d.]+", line) for line in listed)


def test_every_package_that_is_imported_is_required_and_no_other():
    distributions = {"PIL": "pillow", "pytorch_optimizer": "pytorch-optimizer", "lycoris": "lycoris-lora"}
    imported = set()
    for layer in ("training", "nodes"):
        for path in (ROOT / layer).rglob("*.py"):
            imported |= set(packages_imported(path.read_text(encoding="utf-8")))
    imported |= {"pytorch_optimizer"}  # by name, when an optimizer of it is chosen
    external = imported - set(sys.stdlib_module_names) - host_modules() - HOST_PACKAGES
    listed = {line.split(">=")[0] for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").split()}
    assert {distributions.get(name, name) for name in external} == listed


def schemas() -> dict[str, Any]:
    from pack.tests.support.inprocess import pack_nodes

    found = [node.GET_SCHEMA() for node in asyncio.run(pack_nodes())]
    assert found, "the extension lists no nodes"
    ids = [schema.node_id for schema in found]
    assert len(set(ids)) == len(ids)
    return {schema.node_id: schema for schema in found}


@pytest.mark.comfy
def test_no_node_is_missing(comfy):
    assert sorted(NODES - set(schemas())) == []


@pytest.mark.comfy
def test_ids_and_categories(comfy):
    wrong = [
        name
        for name, schema in schemas().items()
        if not name.startswith("Bakery") or not schema.category.startswith("LoRA Bakery")
    ]
    assert wrong == []


@pytest.mark.comfy
def test_every_input_has_a_tooltip_and_numbers_have_limits(comfy):
    missing = []
    for name, schema in schemas().items():
        for item in schema.inputs:
            if not item.tooltip:
                missing.append(f"{name}.{item.id}: tooltip")
            if item.get_io_type() in ("INT", "FLOAT") and (item.min is None or item.max is None):
                missing.append(f"{name}.{item.id}: min and max")
            if item.get_io_type() in ("INT", "FLOAT", "BOOLEAN", "COMBO") and item.default is None:
                missing.append(f"{name}.{item.id}: default")
        if not schema.description:
            missing.append(f"{name}: description")
    assert missing == []


@pytest.mark.comfy
def test_every_node_has_a_help_page(comfy):
    docs = ROOT / "js" / "docs"
    missing = [
        name
        for name in schemas()
        if not (docs / f"{name}.md").is_file() and not all((docs / name / f"{c}.md").is_file() for c in ("en", "zh"))
    ]
    assert missing == []


@pytest.mark.comfy
def test_eight_nodes_lead_the_menu(comfy):
    from pack.nodes.menu import ADVANCED, LEAD, TOOLS

    places = {name: schema.category for name, schema in schemas().items()}
    assert {name for name, place in places.items() if place == LEAD} == {
        "BakeryLoadDataset", "BakeryCaptions", "BakeryBuckets", "BakeryRecipe", "BakeryPreview", "BakeryTrain",
        "BakeryCompare", "BakeryPickStep",
    }  # fmt: skip
    assert set(places.values()) == {LEAD, ADVANCED, TOOLS}


@pytest.mark.comfy
def test_every_node_is_in_an_example_workflow(comfy):
    used = set()
    for path in (ROOT / "example_workflows").glob("*.json"):
        used |= {node["type"] for node in json.loads(path.read_text(encoding="utf-8"))["nodes"]}
    offered = {name for name, schema in schemas().items() if not schema.is_deprecated}
    assert sorted(offered - used) == []


@pytest.mark.comfy
@pytest.mark.parametrize(("node_id", "path"), [(node, path) for node, paths in SETTINGS.items() for path in paths])
def test_inputs_have_the_defaults_of_the_settings_they_fill(comfy, node_id, path):
    module, _, name = path.rpartition(".")
    settings = getattr(importlib.import_module(f"pack.training.{module}"), name)
    inputs = {
        item.id: item.extra_dict.get("earlier_default", item.default)
        for item in schemas()[node_id].inputs
        if hasattr(item, "default")
    }
    defaults = {field.name: default_of(field) for field in dataclasses.fields(settings)}
    shared = [name for name, default in defaults.items() if name in inputs and is_scalar(default)]
    assert shared, f"{node_id} has no input named as a field of {name}"
    different = {
        name: (inputs[name], defaults[name])
        for name in shared
        if inputs[name] != defaults[name] and not (defaults[name] is None and inputs[name] in OFF)
    }
    assert different == {}


def default_of(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


@pytest.mark.comfy
def test_pack_loads_as_comfyui_loads_it(comfy, monkeypatch):
    nodes = comfy.module("nodes")
    for known in ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"):  # later tests go on with the nodes there are
        monkeypatch.setattr(nodes, known, dict(getattr(nodes, known)))
    before = set(sys.modules)
    assert asyncio.run(nodes.load_custom_node(str(ROOT), module_parent="custom_nodes"))
    assert set(schemas()) <= set(nodes.NODE_CLASS_MAPPINGS)
    assert nodes.EXTENSION_WEB_DIRS[ROOT.name] == str(ROOT / "js")
    for name in set(sys.modules) - before:
        if name.startswith(str(ROOT).replace(".", "_x_")):
            del sys.modules[name]

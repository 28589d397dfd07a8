"""`python dev.py ui` says where things are, and has every file that an example workflow names."""

import json
import os
import subprocess
import sys

import pytest
from pack.tests.support.client import ComfyClient
from pack.tests.support.paths import ROOT
from pack.tests.support.workflow import to_api

pytestmark = pytest.mark.full

MADE_BY_AN_EXAMPLE = {"lora_name"}
"""Inputs that name what an example before it trains, as its note says."""


@pytest.fixture(scope="module")
def playground(pocket_checkpoint, comfy, tmp_path_factory):
    """The lines it greets with, its client and its folder."""
    folder = tmp_path_factory.mktemp("ui")
    command = [sys.executable, ROOT / "tests" / "support" / "alias.py", "pack.workbench.ui", "--folder", folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8", env=os.environ) as process:
        greeting = []
        for line in process.stdout:
            greeting.append(line.strip())
            if line.startswith("Ctrl-C"):
                break
        url = next((line.split()[-1] for line in greeting if "http://" in line), None)
        assert url is not None, greeting
        yield greeting, ComfyClient(url), folder
        process.terminate()


def test_it_says_where_pictures_go_and_how_large(playground):
    greeting, _, folder = playground
    assert str(folder / "input") in next(line for line in greeting if "input folder:" in line)
    assert any("Resolution & Buckets (resolution 64)" in line for line in greeting)


@pytest.mark.parametrize("path", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda path: path.stem)
def test_every_choice_of_an_example_can_be_chosen(playground, path):
    _, client, folder = playground
    object_info = client.object_info()
    for node in to_api(json.loads(path.read_text(encoding="utf-8")), object_info).values():
        inputs = object_info[node["class_type"]]["input"]
        specs = {**inputs.get("required", {}), **inputs.get("optional", {})}
        for name, value in node["inputs"].items():
            if not isinstance(value, list) and name not in MADE_BY_AN_EXAMPLE:
                choices = choices_of(specs.get(name, ["none"]))
                assert choices is None or value in choices, f"{node['class_type']}.{name}"
        mask_folder = node["inputs"].get("mask_folder")
        assert not mask_folder or (folder / "input" / mask_folder).is_dir()


def choices_of(spec):
    """What a combo offers; None for another input."""
    if isinstance(spec[0], list):
        return spec[0]
    return spec[1]["options"] if spec[0] == "COMBO" else None

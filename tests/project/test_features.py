"""docs/features.md names only nodes, inputs and tests that exist, and every node is in it."""

import re

import pytest
from pack.tests.support.paths import ROOT

ROW = re.compile(r"^\| (?P<option>.+?) \| (?P<node>[\w-]+) \| (?P<inputs>[\w, -]+) \| (?P<test>.+) \|$", re.M)
ROWS = [
    match.groupdict()
    for match in ROW.finditer((ROOT / "docs" / "features.md").read_text(encoding="utf-8"))
    if match["node"] not in ("Node", "---")
]
PRESENT = [row for row in ROWS if row["node"] != "-"]


def test_every_line_of_a_table_is_read():
    lines = [
        line
        for line in (ROOT / "docs" / "features.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("| ") and not line.startswith(("| Option |", "| --- |"))
    ]
    assert len(lines) == len(ROWS) > 80


def test_every_test_named_exists():
    assert [row["test"] for row in PRESENT if not (ROOT / "tests" / row["test"]).is_file()] == []


def test_what_is_left_out_or_missing_says_why():
    absent = [row["test"] for row in ROWS if row["node"] == "-"]
    assert absent
    assert all(text.startswith(("left out: ", "missing: ", "not needed: ")) and len(text) > 20 for text in absent)


@pytest.mark.comfy
def test_every_node_and_input_named_exists(comfy):
    import asyncio

    from pack.tests.support.inprocess import pack_nodes

    schemas = [node.GET_SCHEMA() for node in asyncio.run(pack_nodes())]
    inputs = {schema.node_id.removeprefix("Bakery"): {item.id for item in schema.inputs} for schema in schemas}
    wrong = [
        f"{row['node']}.{name}"
        for row in PRESENT
        for name in row["inputs"].split(", ")
        if name not in inputs.get(row["node"], ())
    ]
    assert wrong == []
    named = {row["node"] for row in PRESENT}
    without_options = {
        "Preview",
        "Compare",
        "SaveLoRA",
        "LoadLoRA",
        "ShareLoRA",
    }  # how to look and save, no option of training
    assert set(inputs) - named - without_options == set()

"""The package as users get it trains in a ComfyUI that holds nothing else of the repository."""

import re
import subprocess
import sys

import pytest
from pack.tests.support.fixtures import comfyui_or_give_up
from pack.tests.support.graphs import training_graph, write_dataset
from pack.tests.support.published import copy_published, published_files
from pack.tests.support.server import ComfyServer
from pack.training.files.lora_file import load_lora


def test_what_users_need_is_published_and_nothing_else():
    files = published_files()
    for name in ("__init__.py", "LICENSE", "README.md", "headless.py", "pyproject.toml", "requirements.txt"):
        assert name in files
    for folder in ("nodes", "training", "js", "locales", "example_workflows", "subgraphs"):
        assert any(name.startswith(f"{folder}/") for name in files), folder
    assert not [name for name in files if name.startswith(("tests/", ".", "workbench/pocket", "dev.py"))]


@pytest.mark.server
@pytest.mark.slow
def test_the_published_package_trains_in_a_clean_comfyui(tmp_path, pocket_checkpoint):
    copy_published(tmp_path / "custom_nodes" / "bakery")
    # Only what users have: the test packages are on no path of the server.
    server = ComfyServer(comfyui_or_give_up(), tmp_path, pack=None)
    server.start()
    try:
        write_dataset(server.input / "set")
        client = server.client()
        result = client.run(training_graph(client, "clean", "set", steps=4))
        assert result.status == "success", result.error
        assert load_lora(server.output / "loras" / "clean" / "clean.safetensors").tensors
        assert not re.search(r'File ".*custom_nodes.bakery', server.log_text()), "no traceback goes through our code"
        assert len([name for name in client.object_info() if name.startswith("Bakery")]) >= 30
    finally:
        server.stop()


@pytest.mark.slow
def test_the_published_command_line_works_without_the_repository(tmp_path):
    copy_published(tmp_path / "bakery")
    for command in (["headless.py", "--help"], ["-m", "training.tools", "--help"]):
        done = subprocess.run([sys.executable, *command], cwd=tmp_path / "bakery", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

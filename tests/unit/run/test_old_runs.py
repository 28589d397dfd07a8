"""Runs of an earlier version are found on disk and resume with the bits that it would have produced."""

import zipfile

import pytest
import torch
from pack.tests.support.old_runs import RUNS, archive, expected, go_on, make
from safetensors.torch import load_file

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.mark.parametrize("name", RUNS)
def test_an_old_run_goes_on(name, tmp_path):
    with zipfile.ZipFile(archive(name)) as packed:
        packed.extractall(tmp_path / "old")
    make(name, tmp_path / "now")
    message, tensors = go_on(name, tmp_path / "old")
    assert message.startswith(RUNS[name].message)
    of_now, then = go_on(name, tmp_path / "now")[1], load_file(expected(name))
    assert tensors.keys() == of_now.keys() == then.keys()
    for key, value in then.items():
        assert torch.allclose(tensors[key], value, rtol=1e-3, atol=1e-5), key
        assert torch.allclose(of_now[key], value, rtol=1e-3, atol=1e-5), key
    if states(tmp_path / "old") == states(tmp_path / "now"):  # another processor rounds in another way
        assert all(torch.equal(tensors[key], value) for key, value in of_now.items())


def states(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*.state")}

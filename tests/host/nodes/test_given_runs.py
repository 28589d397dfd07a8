"""The host notices when a Train node's output is no longer the file under its name."""

import pytest
from pack.training.run.folder import RunFolder
from pack.training.run.name import take_name
from pack.training.run.record import RunRecord, save_record

pytestmark = pytest.mark.comfy


@pytest.fixture
def given(comfy, monkeypatch):
    from pack.nodes.comfy_bridge.host import given_runs

    monkeypatch.setattr(given_runs, "_given", {})
    monkeypatch.setattr(given_runs, "_changes", {})
    return given_runs


def trained(root, run_id):
    """A run that has just become the current one of its name."""
    folder = RunFolder(root, run_id)
    save_record(folder.record, RunRecord(base="", dataset="", segments=(), description={}))
    take_name(folder)
    folder.latest_lora.write_bytes(run_id.encode())
    return folder


def test_what_lies_there_as_it_was_given_out_changes_nothing(given, tmp_path):
    root = tmp_path / "one"
    states = [given.given_state(root)]
    for _ in range(2):
        given.note_given(trained(root, "a"))
        states.append(given.given_state(root))
    assert len(set(states)) == 1


def test_a_deleted_lora_changes_it_once(given, tmp_path):
    folder = trained(tmp_path / "one", "a")
    given.note_given(folder)
    before = given.given_state(folder.root), given.given_state(tmp_path / "other"), given.given_state(None)
    folder.latest_lora.unlink()
    after = given.given_state(folder.root), given.given_state(tmp_path / "other"), given.given_state(None)
    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, False]
    given.note_given(trained(folder.root, "a"))
    assert given.given_state(folder.root) == after[0]


def test_a_run_that_takes_the_name_changes_it_each_time(given, tmp_path):
    """A cached result from two queues ago must not be used for the current file."""
    root, states = tmp_path / "one", []
    for run_id in ("a", "b", "a", "b"):
        states.append(given.given_state(root))
        given.note_given(trained(root, run_id))
    states.append(given.given_state(root))
    assert states[0] == states[1] and len(set(states[1:])) == 4


def test_another_program_that_takes_the_name_changes_it(given, tmp_path):
    given.note_given(trained(tmp_path / "one", "a"))
    before = given.given_state(tmp_path / "one")
    trained(tmp_path / "one", "b")
    assert given.given_state(tmp_path / "one") != before

"""Killed processes, here a few times (kill.py does it hundreds of times), and disks that take no more."""

import os
import resource
from pathlib import Path

import pytest
from pack.tests.support.toy_model import At
from pack.tests.support.toy_runs import exit_code, final_bits, forked, left_in, session
from pack.workbench.reliability.kill import kill


def test_killed_runs_lose_little_and_end_the_same(tmp_path):
    tallies = kill(12, tmp_path)
    assert sum(tally.ends for tally in tallies.values()) == 12
    assert sum(tally.finished for tally in tallies.values()) >= 1
    for tally in tallies.values():
        assert (tally.broken, tally.different) == (0, 0)
        assert tally.worst_loss <= 4


def with_file_limit(root: Path, message: Path, limit: int):
    """A session in which no file can become larger than `limit` bytes after step 5."""

    def shrink(job, state):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

    def body():
        try:
            session(root, At(5, shrink))()
        except BaseException as error:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            message.write_text(f"{type(error).__name__}: {error}")
            raise

    return body


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9])
def test_disk_that_takes_no_more(share, tmp_path, capfd):
    """`share` of a state's size still fits: metrics fail, the LoRA, or the state."""
    assert exit_code(forked(session(tmp_path / "whole"))) == 0
    size = max(path.stat().st_size for path in tmp_path.rglob("*.state"))
    root, message = tmp_path / "full", tmp_path / "message"
    assert exit_code(forked(with_file_limit(root, message, int(share * size)))) == 1
    text = message.read_text()
    assert text.startswith("SaveFailed: step ")
    assert "of 'run' could not be saved: File too large. What was saved up to step 4 is safe." in text
    left = left_in(root / "run")
    assert (left.broken, left.steps_saved) == ((), 4)
    assert not list(root.rglob(".*bakery-tmp"))
    capfd.readouterr()

    assert exit_code(forked(session(root))) == 0
    assert final_bits(root / "run") == final_bits(tmp_path / "whole" / "run")


def test_two_processes_with_one_name(tmp_path, capfd):
    reader, writer = os.pipe()

    def tell_and_wait(job, state):
        os.write(writer, b"training")
        os.read(reader_2, 1)

    reader_2, writer_2 = os.pipe()
    first = forked(session(tmp_path, At(2, tell_and_wait)))
    os.read(reader, 8)
    assert exit_code(forked(session(tmp_path))) == 1
    assert "run 'run' is being trained by another ComfyUI or prompt right now" in capfd.readouterr().err
    os.write(writer_2, b"x")
    assert exit_code(first) == 0

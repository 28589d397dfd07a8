"""One process a run; a dead one holds nothing."""

import os
import signal

import pytest
from pack.training.run.lock import locked


@pytest.fixture
def other(tmp_path):
    """A process that holds the lock of `run`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with locked(tmp_path / "run"):
            os.write(writer, b"held")
            signal.pause()
        os._exit(0)
    os.read(reader, 4)
    yield child
    os.close(reader)
    os.close(writer)


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_taken_by_another_process_until_it_dies(tmp_path, other):
    try:
        with pytest.raises(RuntimeError, match="run 'run'"):
            locked(tmp_path / "run").__enter__()
        with locked(tmp_path / "another"):
            pass
    finally:
        end(other)
    with locked(tmp_path / "run"):
        pass


def test_taken_within_the_process(tmp_path):
    with locked(tmp_path / "run"), pytest.raises(RuntimeError, match="another ComfyUI or prompt"):
        locked(tmp_path / "run").__enter__()
    with locked(tmp_path / "run"):
        pass

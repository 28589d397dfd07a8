"""A reader sees the old file or the new one; leftovers are known and go."""

import errno
import os
import stat
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
from pack.tests.support.paths import ROOT
from pack.training.files import atomic
from pack.training.files.atomic import TEMPORARY_SUFFIX, remove_leftovers, write_atomic, write_text_atomic


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_writes_and_makes_missing_folders(tmp_path: Path):
    path = tmp_path / "a" / "b" / "notes.txt"
    write_text_atomic(path, "one\nzwei ü\n")
    assert path.read_bytes() == "one\nzwei ü\n".encode()
    assert names(path.parent) == ["notes.txt"]


def test_data_is_on_the_disk_before_the_name_and_the_name_before_it_returns(tmp_path: Path, monkeypatch):
    done = []
    for name in ("_sync_file", "_replace", "sync_folder"):
        own = getattr(atomic, name)
        monkeypatch.setattr(atomic, name, lambda *paths, name=name, own=own: (done.append(name), own(*paths))[1])
    write_atomic(tmp_path / "file.bin", lambda temporary: temporary.write_bytes(b"new"))
    assert done == ["_sync_file", "_replace", "sync_folder"]


@pytest.mark.parametrize(("number", "is_written"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_drive_that_cannot_flush_folders_is_written_to(number, is_written, tmp_path: Path, monkeypatch):
    """As over SMB; a disk that fails is another matter."""
    flush = os.fsync

    def refuse(descriptor: int):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with nullcontext() if is_written else pytest.raises(OSError, match=os.strerror(number)):
        write_atomic(tmp_path / "file.bin", lambda temporary: temporary.write_bytes(b"new"))
    assert names(tmp_path) == ["file.bin"]


def test_a_failing_writer_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def half(temporary: Path):
        temporary.write_bytes(b"ne")
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, half)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file.bin"]


def test_killed_while_writing_leaves_the_old_file_and_a_leftover_that_goes(tmp_path: Path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from training.files.atomic import write_atomic
def half(temporary):
    temporary.write_bytes(b"ne")
    os.kill(os.getpid(), signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
write_atomic(Path({str(path)!r}), half)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode != 0
    assert path.read_bytes() == b"old"
    leftovers = list(tmp_path.glob(f".*{TEMPORARY_SUFFIX}"))
    assert len(leftovers) == 1
    assert remove_leftovers(tmp_path) == []
    assert remove_leftovers(tmp_path, older_than_s=0) == leftovers
    assert names(tmp_path) == ["file.bin"]


def test_leftovers_are_spared_by_age_and_other_files_always(tmp_path: Path):
    old, young, other = (tmp_path / name for name in (f".a.1{TEMPORARY_SUFFIX}", f".b.2{TEMPORARY_SUFFIX}", ".c.tmp"))
    for file in (old, young, other):
        file.write_bytes(b"x")
    past = time.time() - 7200
    for file in (old, other):
        os.utime(file, (past, past))
    assert remove_leftovers(tmp_path) == [old]
    assert young.exists()
    assert other.exists()


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "The process cannot access the file because it is being used by another process")


def test_a_temporary_file_that_is_held_hides_no_error_and_ends_no_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As held by a virus scanner on Windows: the error is reported, and the file is deleted as a leftover later."""

    def full(temporary: Path):
        temporary.write_bytes(b"ne")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refuse)
        with pytest.raises(OSError, match="No space left"):
            write_atomic(tmp_path / "file.bin", full)
        assert remove_leftovers(tmp_path, older_than_s=0) == []
    assert len(remove_leftovers(tmp_path, older_than_s=0)) == 1


@pytest.mark.parametrize("refusals", [3, 100])
def test_on_windows_a_target_in_use_is_waited_for_a_while(
    refusals: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path, calls = tmp_path / "file.txt", []
    path.write_text("old")
    replace = Path.replace

    def busy(source: Path, target: Path) -> Path:
        calls.append(source)
        return refuse() if len(calls) <= refusals else replace(source, target)  # pyright: ignore

    monkeypatch.setattr(Path, "replace", busy)
    monkeypatch.setattr(atomic, "_WAIT_S", 0.0)
    monkeypatch.setattr(atomic, "is_windows", lambda: True)
    if refusals < 10:
        write_text_atomic(path, "new")
        assert path.read_text() == "new"
    else:
        with pytest.raises(PermissionError):
            write_text_atomic(path, "new")
        assert path.read_text() == "old"
    assert names(tmp_path) == ["file.txt"]

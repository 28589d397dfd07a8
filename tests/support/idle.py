"""A server between two tests: nothing runs or waits, no history. What a test leaves would fail the next ones."""

import shutil
import time
from pathlib import Path

from .client import ComfyClient
from .patience import Deadline
from .server import ComfyServer

IDLE_WITHIN_S = 20.0
"""Seconds of an idle machine that a run may take to notice the interruption; a step of the tests' models takes one."""


def make_idle(server: ComfyServer, timeout_s: float = IDLE_WITHIN_S) -> str:
    """Interrupt what runs, empty the queue and the history; start the server again if that does not help.

    Returns:
        What had to be done beyond emptying the history; an empty string if the server was idle.
    """
    if not server.is_running:
        server.start()
        return "the server had ended and was started again"
    client, said = ComfyClient(server.url, answer_s=timeout_s / 2), ""
    try:
        if not is_idle(client):
            said = f"interrupted what ran on the server ({_what_runs(client)})"
            _interrupt(client, Deadline(timeout_s))
        client.post("/history", {"clear": True})
    except OSError as error:
        server.kill()
        server.start()
        return f"the server was started again, since it did not become idle: {error}"
    return said


def empty(server: ComfyServer) -> None:
    """Delete what tests brought in and what they trained, so that names mean nothing to the next file of tests."""
    make_idle(server)
    empty_folders(server.base)


def empty_folders(base: Path) -> None:
    """Delete what lies in the folders of a ComfyUI that tests write to."""
    for folder in (base / "input", base / "output", base / "temp"):
        for path in folder.iterdir() if folder.is_dir() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_idle(client: ComfyClient) -> bool:
    """Return whether nothing runs and nothing waits."""
    queue = client.get("/queue")
    return not queue["queue_running"] and not queue["queue_pending"]


def what_was_said(server: ComfyServer, num_lines: int = 40) -> str:
    """Return what the server does now and the end of its log, for a report of what failed."""
    try:
        does = _what_runs(ComfyClient(server.url, answer_s=5))
    except OSError as error:
        does = f"no answer: {error}"
    return "\n".join([does, *server.log_text().splitlines()[-num_lines:]])


def _what_runs(client: ComfyClient) -> str:
    queue = client.get("/queue")
    return f"{len(queue['queue_running'])} running, {len(queue['queue_pending'])} waiting"


def _interrupt(client: ComfyClient, deadline: Deadline) -> None:
    while not is_idle(client):
        if deadline.is_over:
            raise TimeoutError("its run did not stop")
        client.post("/queue", {"clear": True})
        client.interrupt()
        time.sleep(0.1)

"""The suite's pytest hooks: order, selection, distribution over processes, reports of failures."""

import contextlib
import shlex
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from .fixtures import SHARED, freeze
from .idle import what_was_said
from .paths import CACHE
from .schedule import ByHost, Stopwatch

LEVELS = ("comfy", "server", "browser")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of ours."""
    group = parser.getgroup("LoRA Bakery")
    group.addoption("--full", action="store_true", help="also run every combination (tests marked `full`)")
    group.addoption("--like-windows", action="store_true", help="files in use cannot be replaced, moved or deleted")
    group.addoption("--write-seconds", action="store_true", help="write how long each file takes: tests/seconds.json")


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples property tests draw, the same each time."""
    set_hypothesis_home_dir(CACHE / "hypothesis")
    examples = 2000 if config.getoption("--full") else 100
    settings.register_profile("suite", derandomize=True, database=None, deadline=None, max_examples=examples)
    settings.load_profile("suite")
    config.pluginmanager.register(Stopping(config))
    if config.getoption("--write-seconds"):
        config.pluginmanager.register(Stopwatch())


class Stopping:
    """Ctrl-C: says at once what has failed so far, and ends the other test processes, their servers and browsers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_keyboard_interrupt(self) -> None:
        """Before pytest collects what is left, which takes its time on a busy machine."""
        terminal = self.config.pluginmanager.getplugin("terminalreporter")
        if terminal is not None and not hasattr(self.config, "workerinput"):
            terminal.ensure_newline()
            for report in (*terminal.stats.get("failed", ()), *terminal.stats.get("error", ())):
                terminal.write_line(f"Failed so far: {report.nodeid}", flush=True)
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByHost:
    """Deal files to processes by what they need."""
    return ByHost(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run what needs no ComfyUI first, then in-process, server and browser tests; `full` ones only on demand."""

    def level(item: pytest.Item) -> int:
        return max((LEVELS.index(mark.name) + 1 for mark in item.iter_markers() if mark.name in LEVELS), default=0)

    items.sort(key=level)
    if not config.getoption("--full"):
        extra = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=extra)
        items[:] = [item for item in items if not item.get_closest_marker("full")]


def pytest_collection_finish() -> None:
    """Keep thousands of tests out of every later collection of garbage."""
    freeze()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Name what failed once more, a line each and last: logs are read from their end, and often cut."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is None or hasattr(config, "workerinput"):
        return
    for kind in ("failed", "error"):
        for report in terminal.stats.get(kind, ()):
            terminal.write_line(f"{kind}: {report.nodeid}", flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[pytest.TestReport]:
    """End what a failure says with the command that runs the test alone; a lone surrogate cannot be sent by xdist."""
    report = yield
    report.sections = [(title, said.encode("utf-8", "backslashreplace").decode()) for title, said in report.sections]
    if report.failed:
        for server in SHARED if item.get_closest_marker("server") or item.get_closest_marker("browser") else ():
            report.sections.append(("what the server said last", what_was_said(server)))
        report.sections.append(("this test alone", f"python dev.py test {shlex.quote(item.nodeid)}"))
    return report

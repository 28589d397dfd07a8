"""What pages' main threads did in a while, by Chromium's own trace: a task that takes long holds up a frame."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CATEGORIES = ("toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline", "__metadata")
TASKS = ("RunTask", "ThreadControllerImpl::RunTask")
OURS = "/extensions/lora-bakery/"
Thread = tuple[int, int]
Event = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """A task of a page's main thread."""

    ms: float
    """By the clock: on a busy machine another program may have had the core meanwhile."""
    cpu_ms: float
    """Processor time of its thread."""
    is_ours: bool
    """Code of the pack ran in it."""


def start(browser: Any) -> None:
    """Begin to trace all pages of a Playwright browser."""
    browser.start_tracing(categories=list(CATEGORIES))


def stop(browser: Any) -> list[Task]:
    """The tasks since `start`."""
    return list(tasks_of(json.loads(browser.stop_tracing())["traceEvents"]))


def tasks_of(events: list[Event]) -> Iterator[Task]:
    """Outermost tasks of the main threads of pages."""
    mains = {thread(event) for event in events if event["name"] == "thread_name" and is_main(event)}
    by_thread = defaultdict[Thread, list[Event]](list)
    for event in events:
        if event.get("ph") == "X" and thread(event) in mains:
            by_thread[thread(event)].append(event)
    for found in by_thread.values():
        found.sort(key=lambda event: (event["ts"], -event["dur"]))
        yield from _outermost(found)


def _outermost(events: list[Event]) -> Iterator[Task]:
    """Tasks in order of time, each with whether a call into the pack lies in it."""
    task: Event | None = None
    is_ours = False
    for event in events:
        if task is not None and event["ts"] < task["ts"] + task["dur"]:
            is_ours = is_ours or OURS in str(event.get("args", {}).get("data", ""))
        elif event["name"] in TASKS:
            if task is not None:
                yield _task(task, is_ours=is_ours)
            task, is_ours = event, False
    if task is not None:
        yield _task(task, is_ours=is_ours)


def _task(event: Event, *, is_ours: bool) -> Task:
    return Task(event["dur"] / 1000, event.get("tdur", event["dur"]) / 1000, is_ours)


def thread(event: Event) -> Thread:
    """Process and thread of an event."""
    return event["pid"], event["tid"]


def is_main(event: Event) -> bool:
    """Whether a name of a thread is that of a page's main one."""
    return bool(event.get("args", {}).get("name") == "CrRendererMain")

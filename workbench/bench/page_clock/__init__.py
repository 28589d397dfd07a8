"""A node pack for the server that `bench --only page` starts: tells how late its event loop is, and sends events.

A task asks the loop for a millisecond again and again. What it gets later than that is what stood in its way: answers
of the loop itself, the thread that trains, or another program that had the core. The processor time of the loop's
thread meanwhile tells the first from the others. Python's search for garbage, which ComfyUI asks for after each
workflow, is counted apart.
"""

import asyncio
import gc
import time
from typing import Any

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
BEAT_S = 0.001


class Clock:
    """Seconds since the last `read`."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.own: list[float] = []
        """Processor time of the loop's thread between two beats."""
        self.collections: list[float] = []
        self._collecting_since: float | None = None
        self._collected_s = 0.0
        self._used_s = time.process_time()
        gc.callbacks.append(self._collects)

    def _collects(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        elif self._collecting_since is not None:
            took = time.perf_counter() - self._collecting_since
            self.collections.append(took)
            self._collected_s, self._collecting_since = self._collected_s + took, None

    def _collected(self) -> float:
        """Seconds of all searches for garbage, the one that is under way too: its end may be told late."""
        since = self._collecting_since
        return self._collected_s + (0.0 if since is None else time.perf_counter() - since)

    async def beat(self) -> None:
        """Measure until the server ends."""
        while True:
            start, used, collected = time.perf_counter(), time.thread_time(), self._collected()
            await asyncio.sleep(BEAT_S)
            self.late.append(time.perf_counter() - start - BEAT_S - (self._collected() - collected))
            if self._collected() == collected:
                self.own.append(time.thread_time() - used)

    def read(self) -> dict[str, float]:
        """Tell what was seen, and begin again; `used` is the processor time of all of the server's threads."""
        late = sorted(self.late) or [0.0]
        used_before, self._used_s = self._used_s, time.process_time()
        told = {
            "used": self._used_s - used_before,
            "in_99": late[int(0.99 * len(late))],
            "own": max(self.own, default=0.0),
            "collection": max(self.collections, default=0.0),
        }
        for seen in (self.late, self.own, self.collections):
            seen.clear()
        return told


async def get_late(request: web.Request) -> web.Response:
    """`Clock.read`; the first call begins to measure."""
    app = request.app
    if "page_clock" not in app:
        app["page_clock"] = clock = Clock()
        app["page_beat"] = asyncio.create_task(clock.beat())
    return web.json_response(app["page_clock"].read())


async def post_event(request: web.Request) -> web.Response:
    """Sends every page an event, as training does."""
    body = await request.json()
    PromptServer.instance.send_sync(body["kind"], body["data"])
    return web.json_response({})


PromptServer.instance.routes.get("/bench/late")(get_late)
PromptServer.instance.routes.post("/bench/event")(post_event)

"""A node pack for the server that `bench --only page` starts: tells how late its event loop is, and sends events.

A task asks the loop for a millisecond again and again; what it gets later than that is what other answers of the loop
were in its way.
"""

import asyncio
import time
from typing import Any

from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
BEAT_S = 0.001
_late: list[float] = []


async def _beat() -> None:
    while True:
        start = time.perf_counter()
        await asyncio.sleep(BEAT_S)
        _late.append(time.perf_counter() - start - BEAT_S)


async def get_late(request: web.Request) -> web.Response:
    """Seconds that the loop was late since the last call, the longest last; the first call begins to measure."""
    app = request.app
    if "page_clock" not in app:
        app["page_clock"] = asyncio.create_task(_beat())
    found = sorted(_late)
    _late.clear()
    return web.json_response(
        {"count": len(found), "longest": found[-20:], "in_99": found[int(0.99 * len(found))] if found else 0.0}
    )


async def post_event(request: web.Request) -> web.Response:
    """Sends every page an event, as training does."""
    body = await request.json()
    PromptServer.instance.send_sync(body["kind"], body["data"])
    return web.json_response({})


PromptServer.instance.routes.get("/bench/late")(get_late)
PromptServer.instance.routes.post("/bench/event")(post_event)

"""What pages asked of a server, asked once more by a process that draws nothing: `pack.workbench.bench.page_replay`.

Chromium takes most of the processor where it runs beside the training, so the time of a step beside it tells little of
what the pages cost the server. The same requests at the same moments, over as many sockets, tell only that.
"""

import asyncio
import json
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import aiohttp

from .rounds import ALIAS

RUN_PATH = re.compile(r"(?<=/bakery/runs/)[0-9a-f]{12}[^/?]*(?=[/?].*)")


@dataclass(frozen=True)
class Asked:
    """A request of a page."""

    at_s: float
    """Seconds after the first moment."""
    method: str
    path: str
    """With the query."""
    body: str | None


class Recorder:
    """Hears what pages ask of the server from now on.

    Args:
        tabs: Playwright pages.
        url: of the server.
    """

    def __init__(self, tabs: list[Any], url: str) -> None:
        self._url, self._since_ms = url, 1000 * time.time()
        self._requests: list[Any] = []
        for tab in tabs:
            tab.on("request", lambda request: self._requests.append(request))

    def asked(self) -> list[Asked]:
        """In order of time, without what came from a page's cache.

        A caption is written whatever it was based on: else the second time it would be refused.
        """
        own = [request for request in self._requests if request.url.startswith(self._url)]
        sent = [request for request in own if request.timing["requestStart"] >= 0]
        found = ((request.timing["startTime"] - self._since_ms, request) for request in sent)
        asked = [
            Asked(max(0.0, at_ms) / 1000, request.method, request.url.removeprefix(self._url), _body(request.post_data))
            for at_ms, request in found
        ]
        return sorted(asked, key=lambda each: each.at_s)


def _body(sent: str | None) -> str | None:
    if not sent or not sent.startswith("{"):
        return None
    return json.dumps({name: value for name, value in json.loads(sent).items() if name != "versions"})


class Replay:
    """A process that asks the same, about another run; begins with `go`, ends with `end`."""

    def __init__(self, url: str, asked: list[Asked], num_tabs: int, names: tuple[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ALIAS), "pack.workbench.bench.page_replay"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        plan = {"url": url, "asked": [asdict(each) for each in asked], "num_tabs": num_tabs, "names": names}
        self._say(json.dumps(plan))
        assert self._process.stdout is not None
        self._process.stdout.readline()  # its sockets are open

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def go(self) -> None:
        """Ask from now on."""
        self._say("go")

    def end(self) -> dict[str, int]:
        """Stop asking; tells how many answers had which status."""
        told, _ = self._process.communicate("end\n")
        return dict(json.loads(told))


class Pages:
    """The sockets of pages, and their requests."""

    def __init__(self, session: aiohttp.ClientSession, plan: dict[str, Any]) -> None:
        self._session, self._url = session, plan["url"]
        self._recorded, self._name = plan["names"]
        self._asked = [Asked(**each) for each in plan["asked"]]
        self._run_id = ""
        self._sockets: list[asyncio.Future[None]] = []
        self.statuses = Counter[int]()

    async def listen(self) -> None:
        """Open a socket and read what comes."""
        socket = await self._session.ws_connect(f"{self._url.replace('http', 'ws', 1)}/ws", max_msg_size=0)
        self._sockets.append(asyncio.ensure_future(_read(socket)))

    async def ask_all(self) -> None:
        """Each request at its moment, whether those before have been answered or not."""
        start = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for asked in self._asked:
                await asyncio.sleep(asked.at_s - (time.monotonic() - start))
                group.create_task(self._ask(asked))

    async def _ask(self, asked: Asked) -> None:
        path = asked.path.replace(self._recorded, self._name)
        if f"name={self._name}" in path:
            path = RUN_PATH.sub(self._run_id, path)
        headers = {"Content-Type": "application/json"} if asked.body else {}
        url = f"{self._url}{path}"
        async with self._session.request(asked.method, url, data=asked.body, headers=headers) as answer:
            told = await answer.read()
            self.statuses[answer.status] += 1
        if path.endswith(f"/bakery/runs?name={self._name}"):
            self._run_id = next((run["id"] for run in json.loads(told)["runs"]), "")


async def _read(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


async def replay() -> None:
    """Reads a plan, then `go` and `end`, from the standard input."""
    plan = json.loads(sys.stdin.readline())
    async with aiohttp.ClientSession() as session:
        pages = Pages(session, plan)
        for _ in range(plan["num_tabs"]):
            await pages.listen()
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        asking = asyncio.create_task(pages.ask_all())
        await asyncio.to_thread(sys.stdin.readline)
        asking.cancel()
        await asyncio.wait([asking])
    print(json.dumps(pages.statuses))


if __name__ == "__main__":
    asyncio.run(replay())

"""Requests of pages are asked again by another process: about the run that is trained now, over as many sockets."""

import asyncio
import threading
from contextlib import contextmanager
from types import SimpleNamespace

from aiohttp import web
from pack.workbench.bench.page_replay import Asked, Recorder, Replay

URL = "http://127.0.0.1:1"
NEW_RUN = "b" * 12


def request(at_ms, path, body=None, *, is_cached=False):
    timing = {"startTime": at_ms, "requestStart": -1 if is_cached else 1}
    return SimpleNamespace(url=URL + path, method="POST" if body else "GET", timing=timing, post_data=body)


def test_what_pages_ask_is_recorded_in_order_of_time(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 10.0)
    tab = SimpleNamespace(on=lambda kind, hear: setattr(tab, kind, hear))
    recorder = Recorder([tab], URL)
    tab.request(request(10_500, "/bakery/dataset/captions", '{"captions": {"a.png": "x"}, "versions": {"a.png": "1"}}'))
    tab.request(request(10_200, "/bakery/runs?name=fox"))
    tab.request(request(10_300, "/view?filename=a.png", is_cached=True))
    tab.request(SimpleNamespace(url="data:image/gif;base64,AA"))
    assert recorder.asked() == [
        Asked(0.2, "GET", "/bakery/runs?name=fox", None),
        Asked(0.5, "POST", "/bakery/dataset/captions", '{"captions": {"a.png": "x"}}'),
    ]


@contextmanager
def served(heard):
    """A server that notes what it hears; gives its address."""

    async def answer(request):
        heard.append((request.method, request.path_qs, await request.text()))
        return web.json_response({"runs": [{"id": NEW_RUN}]}, status=409 if request.method == "POST" else 200)

    async def socket(request):
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        heard.append(("socket", "", ""))
        await opened.receive()
        return opened

    async def serve(started, end):
        app = web.Application()
        app.add_routes([web.get("/ws", socket), web.route("*", "/{path:.*}", answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        started.append(runner.addresses[0][1])
        is_started.set()
        await asyncio.to_thread(end.wait)
        await runner.cleanup()

    started, is_started, end = [], threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(serve(started, end)))
    thread.start()
    is_started.wait(60)
    try:
        yield f"http://127.0.0.1:{started[0]}"
    finally:
        end.set()
        thread.join()


def test_the_same_is_asked_about_another_run():
    heard, old = [], "a" * 12
    asked = [
        Asked(0.0, "GET", "/bakery/runs?name=old", None),
        Asked(0.3, "GET", f"/bakery/runs/{old}?name=old", None),
        Asked(0.3, "GET", f"/bakery/runs/{old}/previews/s/p.png?name=long&size=96", None),
        Asked(0.4, "POST", "/bakery/dataset/captions", '{"captions": {}}'),
        Asked(9000.0, "GET", "/never", None),
    ]
    with served(heard) as url:
        replay = Replay(url, asked, 2, ("old", "new"))
        replay.go()
        while len(heard) < 6:
            threading.Event().wait(0.01)
        assert replay.end() == {"200": 3, "409": 1}
    assert heard[:2] == [("socket", "", "")] * 2
    assert {path for _, path, _ in heard[2:]} == {
        "/bakery/runs?name=new", f"/bakery/runs/{NEW_RUN}?name=new",
        f"/bakery/runs/{old}/previews/s/p.png?name=long&size=96", "/bakery/dataset/captions",
    }  # fmt: skip
    assert heard[-1] == ("POST", "/bakery/dataset/captions", '{"captions": {}}')

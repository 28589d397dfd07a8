"""What four pages cost a server that trains: its event loop, the training's steps, the pages' own frames.

Each page shows a run of 10,000 steps with 1,000 previews that goes on, a dataset of 5,000 images and the run that is
trained meanwhile. One scrolls and types.
"""

import contextlib
import json
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from ...tests.support.browser import find_chromium, launch_chromium, open_comfyui, show_nodes
from ...tests.support.client import ComfyClient
from ...tests.support.graphs import training_graph, write_dataset
from ...tests.support.links import link_folder
from ...tests.support.long_run import RUN, metrics_line, write_large_dataset, write_long_run
from ...tests.support.paths import CACHE, comfyui_folder
from ...tests.support.server import ComfyServer, make_base_folder
from ...training.run.folder import RunFolder, run_ids
from ...training.run.lines import read_lines
from . import page_trace
from .page_replay import Recorder, Replay

NUM_STEPS, NUM_PREVIEWS, NUM_IMAGES, NUM_TABS = 10_000, 1_000, 5_000, 4
TRAINED_STEPS, WATCHED_STEPS, WARM_UP, ROUNDS = 160, 80, 20, 4
"""Steps of each training, fewer beside Chromium; those that are not counted; and how often the training without pages
and the one beside their requests are measured, in turn."""
LONG, DATASET = "page_long", "page_images"
STEP_EVENTS_S, SAMPLE_EVENTS_S = 0.2, 2.0
"""How often the long run tells of steps, and of pictures, for which every page asks for all of the run again."""
SHOWN = ("BakeryTrain", [20, -330]), ("BakeryTrain", [540, -330]), ("BakeryLoadDataset", [1060, 20])
"""Nodes on each page: the long run, the one that is trained, and the dataset."""
ARE_FULL = f"""() => document.querySelectorAll('.bakery-cell').length > 0
  && document.querySelector('.bakery-dataset .bakery-status').textContent.includes('{NUM_IMAGES}')"""
SCROLL = """([part, by]) => { const list = document.querySelector(part); list.scrollBy(by, by); }"""


def measure_page(_: Path) -> dict[str, Any]:
    """Lateness of the loop and seconds of steps: without pages, with four, with their requests; tasks of the pages."""
    path = find_chromium()
    if path is None:
        raise RuntimeError(
            "bench --only page needs Chromium; `python -m playwright install chromium` in .venv gets one"
        )
    with _server() as server, launch_chromium(path) as chromium:
        _train(server, _graph(server, "first"))  # loads the model
        ways: dict[str, list[Round]] = {"alone": [], "watched": [], "asked": []}
        graph = _graph(server, "watched", WATCHED_STEPS)
        with _tabs(server, chromium, graph.name) as tabs:
            recorder = Recorder(tabs, server.url)
            page_trace.start(tabs[0].context.browser)
            ways["watched"].append(_round(server, _train_watched(server, graph, tabs)))
            tasks = page_trace.stop(tabs[0].context.browser)
            asked = recorder.asked()
        statuses = Counter[str]()
        for number in range(ROUNDS):
            alone, beside = _graph(server, f"alone_{number}"), _graph(server, f"asked_{number}")
            ways["alone"].append(_round(server, _train(server, alone)))
            replay = Replay(server.url, asked, NUM_TABS, (graph.name, beside.name))
            replay.go()
            ways["asked"].append(_round(server, _train_told(server, beside)))
            statuses.update(replay.end())
    return _summary(ways, tasks) | {"answers": statuses}


@dataclass(frozen=True)
class Round:
    """One training: seconds of its steps, and what the server's clock saw."""

    seconds: list[float]
    late: dict[str, float]

    @property
    def used_ms(self) -> float:
        """Processor time of the server, by step."""
        return 1000 * self.late["used"] / (len(self.seconds) + WARM_UP)


def _round(server: ComfyServer, seconds: list[float]) -> Round:
    """A training that has just ended."""
    return Round(seconds, _get(server, "/bench/late"))


def _summary(ways: dict[str, list[Round]], tasks: list[page_trace.Task]) -> dict[str, Any]:
    ours = [task for task in tasks if task.is_ours]
    return {
        "step_ms": {way: _spread([s for each in rounds for s in each.seconds]) for way, rounds in ways.items()},
        "round_ms": {way: [1000 * median(each.seconds) for each in rounds] for way, rounds in ways.items()},
        "used_ms": {way: [each.used_ms for each in rounds] for way, rounds in ways.items()},
        "late_ms": {way: _lateness([each.late for each in rounds]) for way, rounds in ways.items()},
        "task_ms": {
            name: [max(task.ms for task in some), max(task.cpu_ms for task in some), len(some)]
            for name, some in {"all": tasks, "with code of the pack": ours}.items()
        },
    }


def _lateness(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Milliseconds: of 99 of 100 beats the middle round's, else the worst one's."""
    worst = {name: 1000 * max(late[name] for late in rounds) for name in rounds[0]}
    return {**worst, "in_99": 1000 * median(late["in_99"] for late in rounds)}


def _spread(seconds: list[float]) -> list[float]:
    """Median, first and third quartile in milliseconds."""
    ordered = sorted(seconds)
    return [1000 * ordered[len(ordered) * share // 4] for share in (2, 1, 3)]


@contextlib.contextmanager
def _server() -> Iterator[ComfyServer]:
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="bench-page-") as base:
        make_base_folder(Path(base))
        link_folder(Path(base) / "custom_nodes" / "page_clock", Path(__file__).with_name("page_clock"))
        server = ComfyServer(comfyui, Path(base))
        write_long_run(server.output / "loras", LONG, NUM_STEPS, NUM_PREVIEWS)
        write_large_dataset(server.input / DATASET, NUM_IMAGES)
        write_dataset(server.input / "trained")
        try:
            server.start()
            body = json.dumps({"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}).encode()
            _post(server, "/settings", body)
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def _tabs(server: ComfyServer, chromium: Any, name: str) -> Iterator[list[Any]]:
    tabs = [open_comfyui(chromium, server.url) for _ in range(NUM_TABS)]
    for tab in tabs:
        values = {"name": LONG}, {"name": name}, {"folder": DATASET}
        show_nodes(tab, [[*node, own] for node, own in zip(SHOWN, values, strict=True)])
        tab.wait_for_function(ARE_FULL, timeout=300_000)
    try:
        yield tabs
    finally:
        for tab in tabs:
            tab.context.close()


@dataclass(frozen=True)
class Graph:
    """A workflow that trains, made beforehand: its maker asks the server for all nodes, which holds the loop."""

    name: str
    client: ComfyClient
    prompt: Any


def _graph(server: ComfyServer, name: str, steps: int = TRAINED_STEPS) -> Graph:
    client = server.client()
    return Graph(name, client, training_graph(client, name, "trained", steps=steps, save_every=steps))


def _train(server: ComfyServer, graph: Graph) -> list[float]:
    """Train; seconds of the steps after the first ones. The loop's lateness is counted from here on."""
    _get(server, "/bench/late")
    result = graph.client.run(graph.prompt, timeout_s=1200.0)
    if result.status != "success":
        raise RuntimeError(f"training failed: {result.error}")
    root = server.output / "loras" / graph.name
    lines = read_lines(RunFolder(root, run_ids(root)[0]).metrics)
    return [line["seconds"] for line in lines if "seconds" in line][WARM_UP:]


def _train_watched(server: ComfyServer, graph: Graph, tabs: list[Any]) -> list[float]:
    """Train while the long run goes on, and one page scrolls and types."""
    trainer_seconds = list[float]()
    trainer = threading.Thread(target=lambda: trainer_seconds.extend(_train_told(server, graph)))
    trainer.start()
    tab, number = tabs[0], 0
    while trainer.is_alive():
        number += 1
        tab.evaluate(SCROLL, [".bakery-strip", 300 if number % 40 < 20 else -300])
        tab.evaluate(SCROLL, [".bakery-images", 400 if number % 60 < 30 else -400])
        if number % 5 == 0:
            field = tab.locator(".bakery-image textarea:visible").nth(number % 3)
            field.press_sequentially(f", typed {number}")
            tab.evaluate("() => document.activeElement.blur()")
        tab.wait_for_timeout(100)
    trainer.join()
    return trainer_seconds


def _train_told(server: ComfyServer, graph: Graph) -> list[float]:
    """Train while the long run goes on."""
    is_over = threading.Event()
    teller = threading.Thread(target=_tell, args=(server, is_over))
    teller.start()
    try:
        return _train(server, graph)
    finally:
        is_over.set()
        teller.join()


def _tell(server: ComfyServer, is_over: threading.Event) -> None:
    """The long run goes on: steps, and now and then pictures."""
    folder = RunFolder(server.output / "loras" / LONG, RUN)
    names = {"run": RUN, "name": LONG, "node": None}
    step, told_at = NUM_STEPS, time.monotonic()
    while not is_over.wait(STEP_EVENTS_S):
        step += 1
        with folder.metrics.open("a") as file:
            file.write(metrics_line(step, 2 * NUM_STEPS))
        figures = {
            "learning_rates": {"unet": 1e-4},
            "rate": 5.0,
            "left": 9.0,
            "epoch": 0,
            "saved": 0,
            "memory_gib": None,
        }
        data = {**names, **figures, "step": step, "total_steps": 2 * NUM_STEPS, "points": [[step, 1 / step]]}
        _event(server, "bakery.step", data)
        if time.monotonic() - told_at > SAMPLE_EVENTS_S:
            told_at = time.monotonic()
            _event(server, "bakery.sample", {**names, "step": step})


def _event(server: ComfyServer, kind: str, data: dict[str, Any]) -> None:
    _post(server, "/bench/event", json.dumps({"kind": kind, "data": data}).encode())


def _post(server: ComfyServer, path: str, body: bytes) -> None:
    request = urllib.request.Request(f"{server.url}{path}", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


def _get(server: ComfyServer, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}") as answer:
        return json.load(answer)

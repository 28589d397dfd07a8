"""Four tabs on a long run and a large dataset do not hold up the server: its loop is free within milliseconds."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from pack.tests.host.nodes.test_json_text import WORST
from pack.tests.support.fixtures import freeze
from PIL import Image

pytestmark = [pytest.mark.comfy, pytest.mark.full]  # times depend on what else the machine does
RUN, NAME, SET = "0a0b0c0d0e0f", "page_load", "abcdefabcdef"
NUM_STEPS, NUM_PREVIEWS, NUM_IMAGES, NUM_TABS, SECONDS = 10_000, 1000, 5000, 4, 6.0
LONGEST_GAP_S = 0.1


@pytest.fixture(autouse=True)
def _settled_heap():
    """Python's search through all objects of ComfyUI and PyTorch stops every thread, whoever makes it due."""
    freeze()


@pytest.fixture
def site(comfy, quick_disk):
    from pack.nodes.comfy_bridge.host.run_folders import loras_output
    from pack.nodes.comfy_bridge.page import routes_register as routes
    from pack.training.run.folder import RunFolder

    folder = RunFolder(loras_output() / NAME, RUN)
    place = folder.previews / SET
    place.mkdir(parents=True, exist_ok=True)
    folder.record.write_text(json.dumps({"format": 1, "base": "", "dataset": "", "segments": [], "description": {}}))
    line = {"total_steps": NUM_STEPS, "epoch": 0, "grad_norm": 1.0, "learning_rates": {"unet": 1e-4}, "seconds": 0.1}
    samples = [{"image": 0, "timestep": 500, "loss": 0.1}]
    steps = ({"step": step, "loss": 1 / step, **line, "samples": samples} for step in range(1, NUM_STEPS + 1))
    folder.metrics.write_text("".join(json.dumps(step) + "\n" for step in steps))
    (place / "settings.json").write_text(json.dumps({"prompts": ["fox", "cat"], "width": 64, "height": 64}))
    Image.new("RGB", (64, 64), (9, 90, 160)).save(place / "step000000-00.png")
    data = (place / "step000000-00.png").read_bytes()
    for step in range(NUM_PREVIEWS // 2):
        for prompt in range(2):
            (place / f"step{step * 20:06d}-{prompt:02d}.png").write_bytes(data)
    images = comfy.base / "input" / NAME
    images.mkdir(exist_ok=True)
    for number in range(NUM_IMAGES):
        (images / f"{number}.png").write_bytes(data)
        (images / f"{number}.txt").write_text(f"fox, number {number}, day, red hair")
    return SimpleNamespace(routes=routes, metrics=folder.metrics, line=line)


async def beat(gaps):
    """How late the loop comes back to a task that asks for a millisecond, as far as this process is to blame.

    Time in which other programs had the processor does not count.
    """
    while True:
        start, used = time.perf_counter(), time.process_time()
        await asyncio.sleep(0.001)
        gaps.append(min(time.perf_counter() - start - 0.001, time.process_time() - used))


async def tab(client, number, site, answers, end):
    """What a page asks while it trains and someone edits."""
    while time.perf_counter() < end:
        step = NUM_STEPS + len(answers)
        with site.metrics.open("a") as file:
            file.write(json.dumps({"step": step, "loss": 0.1, **site.line}) + "\n")
        image = f"{(7 * len(answers) + number) % NUM_IMAGES}.png"
        edit = {"folder": NAME, "captions": {image: f"fox, {step}"}, "with_images": True}
        for method, path, body in (
            ("GET", f"/bakery/runs?name={NAME}", None),
            ("GET", f"/bakery/runs/{RUN}?name={NAME}", None),
            ("GET", f"/bakery/runs/{RUN}/previews/{SET}/step000000-00.png?size=256", None),
            ("POST", "/bakery/dataset/captions", edit),
            ("GET", f"/bakery/dataset/picture?folder={NAME}&name={image}&size=128", None),
        ):
            start = time.perf_counter()
            async with client.request(method, path, json=body) as answer:
                await answer.read()
                assert answer.status == 200, (path, await answer.text())
            answers.append((path.split("?")[0], time.perf_counter() - start))


async def measure(site):
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    app = web.Application()
    app.add_routes([web.route(method, path, handler) for method, path, handler in site.routes.ROUTES])
    gaps, answers = [], []
    async with TestClient(TestServer(app)) as client:
        heart = asyncio.create_task(beat(gaps))
        start = time.perf_counter()
        async with client.get(f"/bakery/dataset?folder={NAME}") as answer:
            assert len((await answer.json())["images"]) == NUM_IMAGES
        answers.append(("first listing", time.perf_counter() - start))
        start = time.perf_counter()
        async with client.get(f"/bakery/dataset?folder={NAME}") as answer:
            await answer.read()
        answers.append(("second listing", time.perf_counter() - start))
        end = time.perf_counter() + SECONDS
        await asyncio.gather(*(tab(client, number, site, answers, end) for number in range(NUM_TABS)))
        heart.cancel()
    return gaps, answers


def test_the_servers_loop_is_free(site):
    gaps, answers = asyncio.run(measure(site))
    gaps.sort()
    longest = {
        path: max(took for name, took in answers if name == path) for path in dict.fromkeys(n for n, _ in answers)
    }
    print(f"{len(answers)} answers; the loop was late by {1000 * gaps[-1]:.0f} ms at most, ", end="")
    print(f"{1000 * gaps[int(0.99 * len(gaps))]:.1f} ms in 99 of 100 cases; longest answers:")
    print("\n".join(f"  {1000 * took:5.0f} ms  {path}" for path, took in longest.items()))
    assert gaps[-1] < LONGEST_GAP_S


MOST_S = 0.1
"""What another request may wait for the loop while one of these is answered."""
CAPTIONS = {f"{number}.png": f"fox, number {number}, " + "red hair, " * 30 for number in range(NUM_IMAGES)}
HEAVY = {
    "all captions": ("captions", {"captions": CAPTIONS, "with_images": True}),
    "all marks": ("mark", {"marks": dict.fromkeys(CAPTIONS, "validation"), "with_images": True}),
    "a tag of all": ("tag", {"tag": "day", "new": "night", "with_images": True}),
    "all names": ("remove", {"names": [f"gone {name}" for name in CAPTIONS], "is_removed": True}),
}


async def hold(site, method, path, **options):
    """(longest wait for the loop, status) while one request is answered."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer

    app, gaps = web.Application(), []
    app.add_routes([web.route(*route) for route in site.routes.ROUTES])
    async with TestClient(TestServer(app)) as client:
        heart = asyncio.create_task(beat(gaps))
        async with client.request(method, path, **options) as answer:
            await answer.read()
        heart.cancel()
    return max(gaps), answer.status


def told(kind, longest, status):
    print(f"{kind}: status {status}, the loop was late by {1000 * longest:.0f} ms at most")
    assert status < 500
    assert longest < MOST_S


@pytest.mark.parametrize("kind", HEAVY)
def test_no_edit_of_a_large_folder_holds_the_loop(site, kind):
    action, values = HEAVY[kind]
    body = json.dumps({"folder": NAME, **values}).encode()
    options = {"data": body, "headers": {"Content-Type": "application/json"}}
    told(kind, *asyncio.run(hold(site, "POST", f"/bakery/dataset/{action}", **options)))


@pytest.mark.parametrize("kind", WORST)
def test_no_body_holds_the_loop(site, kind):
    body = b'{"folder": "x", "captions": ' + WORST[kind]
    options = {"data": body, "headers": {"Content-Type": "application/json"}}
    told(kind, *asyncio.run(hold(site, "POST", "/bakery/dataset/captions", **options)))


def test_no_large_picture_holds_the_loop(site, comfy):
    Image.new("RGBA", (7000, 5000), (9, 9, 9, 99)).save(comfy.base / "input" / NAME / "large.png", compress_level=1)
    path = f"/bakery/dataset/picture?folder={NAME}&name=large.png&size=512"
    told("35 million pixels", *asyncio.run(hold(site, "GET", path)))

"""HTTP routes of runs: view a run, control it, and its preview pictures.

```
GET  /bakery/runs?name=NAME                      ids of a name's runs, newest first
GET  /bakery/runs/{id}                           figures, previews, saved steps, state
GET  /bakery/runs/{id}/previews/{set}/{file}     a picture; ?size= for a thumbnail
POST /bakery/runs/{id}/{command}                 pause resume save sample stop; rate {factor}; try {prompt, seed,
                                                 strength}; pick {step}, null takes back; with `was` only that step
```
All take `?name=` to tell apart equal runs of two names, and are refused without it where two names have the run.
"""

from pathlib import Path
from typing import Any

from aiohttp import web

from ....training.data.thumbnail import thumbnail
from ....training.run.folder import RunFolder, current_run, run_ids
from ....training.run.picks import forget_pick, load_pick, save_pick
from ....training.run.view import PREVIEW_FILE, PREVIEW_SET, run_view
from ....training.watch.control import COMMANDS, MAX_RATE_FACTOR, MIN_RATE_FACTOR, TryPrompt
from ..host.run_folders import loras_output, run_root
from .fields import OPTIONAL, Field, Fields, digits, number, or_null, text, whole
from .live import live_ids, live_run, live_status, tell_heard, tell_picked
from .routes_checks import find_run, in_thread, is_below, json_answer, json_errors, read_body, read_query

MAX_PROMPT_LENGTH = 4000
MAX_SEED = 0xFFFFFFFFFFFFFFFF
MAX_STRENGTH = 10.0
MAX_STEP = 1_000_000_000
THUMBNAIL_SIZES = (32, 512)
STEP = or_null(whole(0, MAX_STEP))
BODIES: dict[str, Fields] = {
    **{command: {} for command in COMMANDS},
    "rate": {"factor": Field(number(MIN_RATE_FACTOR, MAX_RATE_FACTOR))},
    "try": {
        "prompt": Field(text(MAX_PROMPT_LENGTH)),
        "seed": Field(whole(0, MAX_SEED), 0),
        "strength": Field(number(-MAX_STRENGTH, MAX_STRENGTH), 1.0),
    },
    "pick": {"step": Field(STEP), "was": Field(STEP, OPTIONAL)},
}
"""By command."""
SIZE = {"size": Field(digits(*THUMBNAIL_SIZES), None)}
PICTURE_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}


@json_errors
async def get_runs(request: web.Request) -> web.StreamResponse:
    """Runs of a name, newest first."""
    return await json_answer(_runs_of, read_query(request, {"name": Field(text(MAX_PROMPT_LENGTH), "")})["name"])


def _runs_of(name: str) -> dict[str, Any]:
    try:
        root = run_root(name)
    except ValueError:  # such as a name that is being typed
        return {"name": name, "current": None, "runs": []}
    there = run_ids(root) if root.is_dir() and is_below(root, loras_output()) else []
    ids = [*(run_id for run_id in live_ids(name) if run_id not in there), *there]  # its folder may have been moved
    return {"name": name, "current": current_run(root) if ids else None,
            "runs": [{"id": run_id, "state": live_status(run_id, name)["state"]} for run_id in ids]}  # fmt: skip


@json_errors
async def get_run(request: web.Request) -> web.StreamResponse:
    """Everything that the page needs to show a run."""
    return await json_answer(_view, request)


def _view(request: web.Request) -> dict[str, Any]:
    folder = find_run(request)
    # State first: metrics newer than the state do no harm, but a newer state ("paused") beside older metrics would.
    return {**live_status(folder.run_id, folder.name), **run_view(folder), "file": _file_below_output(folder)}


def _file_below_output(folder: RunFolder) -> str | None:
    """Path of the latest LoRA below the host's output folder; None if it belongs to another run."""
    if current_run(folder.root) != folder.run_id or not folder.latest_lora.is_file():
        return None
    return folder.latest_lora.relative_to(loras_output().parent).as_posix()


@json_errors
async def get_preview(request: web.Request) -> web.StreamResponse:
    """A preview picture."""
    return await picture_response(request, await in_thread(_preview_path, request))


def _preview_path(request: web.Request) -> Path:
    name, file = request.match_info["set"], request.match_info["file"]
    if not PREVIEW_SET.fullmatch(name) or not PREVIEW_FILE.fullmatch(file):
        raise ValueError("previews are named <12 hexadecimal digits>/step000000-00.png")
    path = find_run(request).previews / name / file
    if not path.is_file() or not is_below(path, loras_output()):
        raise LookupError("there is no such preview")
    return path


async def picture_response(request: web.Request, path: Path) -> web.StreamResponse:
    """A picture as stored, or as JPEG with `?size=` pixels on the longer side."""
    size = read_query(request, SIZE)["size"]
    if size is None:
        return web.FileResponse(path, headers=PICTURE_HEADERS)
    return web.Response(body=await in_thread(thumbnail, path, size), headers=PICTURE_HEADERS, content_type="image/jpeg")


@json_errors
async def post_command(request: web.Request) -> web.StreamResponse:
    """Give a command to a training run, or pick a step of any run."""
    command: Any = request.match_info["command"]
    if command not in BODIES:
        raise LookupError(f"commands are {', '.join(BODIES)}")
    body = await read_body(request, BODIES[command])
    folder: RunFolder = await in_thread(find_run, request)
    if command == "pick":
        answer = await json_answer(_pick, folder, body)
        tell_picked(folder)
        return answer
    run = live_run(folder.name, folder.run_id)
    if run is None:
        raise LookupError(f"run {folder.run_id} of {folder.name!r} is not training now")
    if command == "try":
        run.control.try_prompt(TryPrompt(**body))
    else:
        run.control.command(command, **body)
    tell_heard(run)
    return web.json_response(live_status(folder.run_id, folder.name))


def _pick(folder: RunFolder, body: dict[str, Any]) -> dict[str, Any]:
    if body["step"] is not None:
        return {"pick": save_pick(folder, body["step"]).step}
    picked = load_pick(folder)
    if picked is not None and body.get("was", picked.step) != picked.step:
        return {"pick": picked.step}
    forget_pick(folder)
    return {"pick": None}


ROUTES = (
    ("GET", "/bakery/runs", get_runs),
    ("GET", "/bakery/runs/{id}", get_run),
    ("GET", "/bakery/runs/{id}/previews/{set}/{file}", get_preview),
    ("POST", "/bakery/runs/{id}/{command}", post_command),
)

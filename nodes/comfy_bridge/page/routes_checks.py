"""Checks of what routes are sent, and answers in JSON. A handler raises; what it raised decides the status.

Text is only ever sent as JSON; the page shows it as text.
"""

import asyncio
import functools
import json
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from aiohttp import web

from ....training.files.changed import Changed
from ....training.run.folder import RunFolder
from ..host.run_folders import loras_output, run_root
from .live import live_run

RUN_ID = re.compile(r"[0-9a-f]{12}(-[1-9][0-9]{0,3})?", re.ASCII)
MAX_BODY_BYTES = 1 << 20
READ_BYTES = 1 << 16
"""Read at once; a larger body is parsed outside the event loop."""

_WORKERS = ThreadPoolExecutor(3, thread_name_prefix="lora-bakery-page")
"""Few: each takes its turn with the event loop and with the training thread, and all wait for Python's lock."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_errors(handler: Handler) -> Handler:
    """ValueError becomes status 400, LookupError 404, `Changed` 409, OSError 500, each with `{"error": text}`."""

    @functools.wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except LookupError as error:
            return web.json_response({"error": str(error)}, status=404)
        except Changed as error:
            return web.json_response({"error": str(error), **error.answer}, status=409)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        except OSError as error:
            # Only the reason: the text of an OSError holds the path on this machine.
            return web.json_response({"error": error.strerror or "the disk could not be read or written"}, status=500)

    return answer


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Runs what touches the disk outside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, functools.partial(function, *arguments))


async def json_answer(function: Callable[..., Any], *arguments: Any) -> web.Response:
    """What `function` returns, computed and written as JSON outside the event loop."""
    text = await in_thread(lambda: json.dumps(function(*arguments), allow_nan=False))
    return web.Response(text=text, content_type="application/json", headers={"Cache-Control": "no-store"})


async def read_body(request: web.Request, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The JSON object that was sent; empty where nothing was.

    Raises:
        ValueError: It is no JSON object, not declared as JSON, or larger than `max_bytes`.
    """
    if not request.can_read_body:
        return {}
    if request.content_type != "application/json":
        raise ValueError(f"the content type must be application/json, got {request.content_type[:60]!r}")
    parts = list[bytes]()
    size = 0
    while more := await request.content.read(min(max_bytes + 1 - size, READ_BYTES)):
        parts.append(more)
        size += len(more)
        if size > max_bytes:
            raise ValueError(f"the body must be at most {max_bytes} bytes")
    raw = b"".join(parts)
    try:
        body = json.loads(raw or b"{}") if size < READ_BYTES else await in_thread(json.loads, raw)
    except (ValueError, RecursionError):
        raise ValueError("the body must be JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def text_of(body: dict[str, Any], name: str, max_length: int, default: str | None = None) -> str:
    """A text of the body.

    Raises:
        ValueError: It is missing, no text or too long.
    """
    value = body.get(name, default)
    if not isinstance(value, str) or len(value) > max_length:
        raise ValueError(f"{name} must be a text of at most {max_length} characters")
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        raise ValueError(f"{name} must be valid Unicode")
    return value


def number_of(
    body: dict[str, Any], name: str, low: float, high: float, default: float | None = None, *, is_whole: bool = False
) -> float:
    """A number of the body in low..high; an int where `is_whole`.

    Raises:
        ValueError: It is missing, no number or out of range.
    """
    value = body.get(name, default)
    kinds = int if is_whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "a whole number" if is_whole else "a number"
        raise ValueError(f"{name} must be {kind} from {low:g} to {high:g}")
    return value


def find_run(request: web.Request) -> RunFolder:
    """The run that a request names by `{id}` and, where two names have a run of that id, `?name=`. Reads the disk.

    Raises:
        ValueError: The id or name has another form.
        LookupError: There is no such run.
    """
    run_id, name = request.match_info["id"], request.query.get("name")
    if not RUN_ID.fullmatch(run_id):
        raise ValueError("a run's id is 12 hexadecimal digits, with -2, -3, ... where it was started over")
    live = live_run(run_id)
    if live is not None and name in (None, live.folder.name):
        return live.folder
    loras = loras_output()
    for root in sorted(loras.glob("*")) if name is None else [run_root(name)]:
        folder = RunFolder(root, run_id)
        if folder.record.is_file() and is_below(folder.private, loras):
            return folder
    raise LookupError(f"there is no run {run_id}")


def is_below(path: Path, folder: Path) -> bool:
    """True if the path lies in the folder also once links are followed."""
    return path.resolve().is_relative_to(folder.resolve())

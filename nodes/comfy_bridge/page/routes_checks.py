"""Reads requests and writes JSON answers. A handler's exception decides the status.

Text is only ever sent as JSON; the page shows it as text.
"""

import asyncio
import errno
import functools
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from re import ASCII
from re import compile as regex
from typing import Any

from aiohttp import web

from ....training.files.changed import Changed
from ....training.run.folder import RunFolder
from ....training.run.naming import is_too_long
from ..host.run_folders import loras_output, run_root
from .fields import Field, Fields, read_fields, shown, text
from .json_text import json_bytes, parse_json
from .live import live_folders

RUN_ID = regex(r"[0-9a-f]{12}(-[1-9][0-9]{0,3})?", ASCII)
NAME: Fields = {"name": Field(text(4000), None)}
MAX_BODY_BYTES = 1 << 20
READ_BYTES = 1 << 16
PARSED_AT_ONCE = 1 << 12
"""Bytes; larger bodies are parsed outside the event loop."""
IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.ENOENT, errno.ELOOP)
"""Errors of a path that is not what the request needs, or disappears meanwhile."""

_PARSER = ThreadPoolExecutor(1, thread_name_prefix="lora-bakery-body")
"""A separate thread, so that large bodies only delay each other."""
_WORKERS = ThreadPoolExecutor(3, thread_name_prefix="lora-bakery-page")
"""Few, since each competes with the event loop and the training thread for Python's lock."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def json_errors(handler: Handler) -> Handler:
    """ValueError becomes status 400, LookupError 404, `Changed` 409, OSError see `_disk_error`: `{"error": text}`."""

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
            return _disk_error(error)

    return answer


def _disk_error(error: OSError) -> web.Response:
    """400 if the request's names are at fault, 403 if the folder must not be changed, else 500.

    Only the reason is sent: the text of an OSError contains a path on this machine.
    """
    if is_too_long(error):
        return web.json_response({"error": "a name is too long for this disk; shorten it"}, status=400)
    reason = error.strerror or "the disk could not be read or written"
    if error.errno in IN_THE_WAY:
        return web.json_response({"error": f"{reason}: a file or folder of that name is in the way"}, status=400)
    status = 403 if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) else 500
    return web.json_response({"error": reason}, status=status)


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run what accesses the disk outside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, functools.partial(function, *arguments))


async def json_answer(function: Callable[..., Any], *arguments: Any) -> web.Response:
    """The result of `function`, computed and written as JSON outside the event loop."""
    body = await in_thread(lambda: json_bytes(function(*arguments)))
    headers = {"Cache-Control": "no-store"}
    return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)


async def read_body(request: web.Request, fields: Fields, max_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """The fields of the JSON object in the body; an empty body is an object without fields.

    The content type is required even then: a page of another site cannot send JSON without a preflight request.

    Raises:
        ValueError: It is compressed, not declared as JSON, not a JSON object, larger than `max_bytes`, or a field is
            invalid.
    """
    if request.content_type != "application/json":
        raise ValueError(f"the content type must be application/json, got {request.content_type[:60]!r}")
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding != "identity":  # a small compressed body may be a very large one
        raise ValueError(f"the body must not be compressed, got Content-Encoding {shown(encoding)}")
    raw = bytearray()
    while more := await request.content.read(READ_BYTES):
        raw += more
        if len(raw) > max_bytes:
            raise ValueError(f"the body must be at most {max_bytes} bytes")
    if len(raw) <= PARSED_AT_ONCE:
        return _object(raw, fields)
    return await asyncio.get_running_loop().run_in_executor(_PARSER, _object, raw, fields)


def _object(raw: bytearray, fields: Fields) -> dict[str, Any]:
    body = parse_json(raw) if raw else {}
    if not isinstance(body, dict):
        raise ValueError(f"the body must be a JSON object, got {shown(body)}")
    return read_fields(fields, body)


def read_query(request: web.Request, fields: Fields) -> dict[str, Any]:
    """The fields of the query; others, such as those against caching, are ignored.

    Raises:
        ValueError: A field occurs twice or is invalid.
    """
    twice = next((name for name in fields if len(request.query.getall(name, [])) > 1), None)
    if twice:
        raise ValueError(f"{twice} must be there once")
    return read_fields(fields, dict(request.query), is_open=True)


def find_run(request: web.Request) -> RunFolder:
    """The run of a request's `{id}` and, if two names have a run with that id, `?name=`. Reads the disk.

    Raises:
        ValueError: The id or name has another form, or several names have the run and none is given.
        LookupError: There is no such run.
    """
    run_id, name = request.match_info["id"], read_query(request, NAME)["name"]
    if not RUN_ID.fullmatch(run_id):
        raise ValueError("a run's id is 12 hexadecimal digits, with -2, -3, ... where it was started over")
    found = {folder.name: folder for folder in _runs_with(run_id, name)}
    if len(found) > 1:
        raise ValueError(f"several names have run {run_id}: {shown(', '.join(found))}; say which one with ?name=")
    if not found:
        raise LookupError(f"there is no run {run_id}" if name is None else f"{shown(name)} has no run {run_id}")
    return next(iter(found.values()))


def _runs_with(run_id: str, name: str | None) -> Iterator[RunFolder]:
    """Runs with an id, of one name or of all: in training, whose folders may have been moved, then on disk."""
    for folder in live_folders():
        if folder.run_id == run_id and name in (None, folder.name):
            yield folder
    loras = loras_output()
    for root in sorted(loras.glob("*")) if name is None else [run_root(name)]:
        folder = RunFolder(root, run_id)
        if folder.record.is_file() and is_below(folder.private, loras):
            yield folder


def is_below(path: Path, folder: Path) -> bool:
    """True if the path is in the folder even after following links."""
    return path.resolve().is_relative_to(folder.resolve())

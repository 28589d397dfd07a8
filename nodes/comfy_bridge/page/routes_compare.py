"""HTTP routes of comparisons: look at one, vote on its pictures, choose one.

```
GET  /bakery/compare/{id}                 what it shows, votes and choice
GET  /bakery/compare/{id}/{file}          a picture; ?size= for a thumbnail
POST /bakery/compare/{id}/votes   {votes: [[winner, loser], ...]}   all votes, as indices of cells
POST /bakery/compare/{id}/choice  {cell}                            null takes it back
```
The POSTs answer as the first GET does.
"""

from pathlib import Path
from typing import Any

from aiohttp import web

from ....training.compare.store import (
    COMPARISON_ID,
    PICTURE_FILE,
    Comparison,
    comparison_view,
    load_comparison,
    save_choice,
    save_votes,
)
from ..host.run_folders import comparisons_folder
from .routes import picture_response
from .routes_checks import in_thread, is_below, json_answer, json_errors, read_body


@json_errors
async def get_comparison(request: web.Request) -> web.StreamResponse:
    """A comparison."""
    return await json_answer(lambda: comparison_view(*_find(request)))


@json_errors
async def get_picture(request: web.Request) -> web.StreamResponse:
    """One of its pictures."""
    return await picture_response(request, await in_thread(_picture_path, request))


def _find(request: web.Request) -> tuple[Path, Comparison]:
    key = request.match_info["id"]
    if not COMPARISON_ID.fullmatch(key):
        raise ValueError("a comparison's id is 24 hexadecimal digits")
    folder = comparisons_folder() / key
    comparison = load_comparison(folder) if is_below(folder, comparisons_folder()) else None
    if comparison is None:
        raise LookupError(f"there is no comparison {key}")
    return folder, comparison


def _picture_path(request: web.Request) -> Path:
    folder, _ = _find(request)
    file = request.match_info["file"]
    if not PICTURE_FILE.fullmatch(file):
        raise ValueError("pictures are named 0000.png, ...")
    path = folder / file
    if not path.is_file() or not is_below(path, folder):
        raise LookupError("there is no such picture")
    return path


@json_errors
async def post_votes(request: web.Request) -> web.StreamResponse:
    """Keeps the votes."""
    body = await read_body(request)
    votes = body.get("votes")
    if not isinstance(votes, list):
        raise ValueError("votes must be a list of [winner, loser]")
    return await json_answer(_change, request, lambda folder, comparison: save_votes(folder, comparison, votes))


@json_errors
async def post_choice(request: web.Request) -> web.StreamResponse:
    """Keeps the choice."""
    body = await read_body(request)
    if "cell" not in body:
        raise ValueError("cell must be a number or null")
    return await json_answer(_change, request, lambda folder, comparison: save_choice(folder, comparison, body["cell"]))


def _change(request: web.Request, change: Any) -> dict[str, Any]:
    folder, comparison = _find(request)
    change(folder, comparison)
    return comparison_view(folder, comparison)


ROUTES = (
    ("GET", "/bakery/compare/{id}", get_comparison),
    ("GET", "/bakery/compare/{id}/{file}", get_picture),
    ("POST", "/bakery/compare/{id}/votes", post_votes),
    ("POST", "/bakery/compare/{id}/choice", post_choice),
)

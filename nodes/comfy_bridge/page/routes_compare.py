"""HTTP routes of comparisons: view one, vote on its pictures, choose one.

```
GET  /bakery/compare/{id}                 what it shows, votes and choice
GET  /bakery/compare/{id}/{file}          a picture; ?size= for a thumbnail
POST /bakery/compare/{id}/votes   {add: [winner, loser]}            one vote more, as indices of cells
                                  {take_back: [winner, loser]}      one vote less
                                  {votes: [[winner, loser], ...]}   all votes, in place of those before
POST /bakery/compare/{id}/choice  {cell, based_on}                  null takes it back
```
The POSTs answer like the first GET. If a vote no longer exists, or the chosen cell is not `based_on` (if given), the
answer is status 409 with the current state as `comparison`.
"""

from pathlib import Path
from typing import Any

from aiohttp import web

from ....training.compare.store import (
    COMPARISON_ID,
    MAX_VOTES,
    PICTURE_FILE,
    Comparison,
    comparison_view,
    load_comparison,
)
from ....training.compare.voting import add_vote, change_choice, replace_votes, take_back_vote
from ....training.files.changed import Changed
from ..host.run_folders import comparisons_folder
from .fields import OPTIONAL, Field, list_of, or_null, whole
from .routes import picture_response
from .routes_checks import in_thread, is_below, json_answer, json_errors, read_body

CELL = whole(0, 9999)
VOTE = list_of(CELL, 2, 2)
VOTES = {
    "add": Field(VOTE, OPTIONAL),
    "take_back": Field(VOTE, OPTIONAL),
    "votes": Field(list_of(VOTE, 0, MAX_VOTES), OPTIONAL),
}
CHOICE = {"cell": Field(or_null(CELL)), "based_on": Field(or_null(CELL), OPTIONAL)}
VOTE_CHANGES = {"add": add_vote, "take_back": take_back_vote, "votes": replace_votes}


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
    """Save the votes."""
    body = await read_body(request, VOTES)
    if len(body) != 1:
        raise ValueError(f"exactly one of {', '.join(VOTES)} must be there, got {', '.join(body) or 'none'}")
    ((name, votes),) = body.items()
    change = VOTE_CHANGES[name]
    return await json_answer(_change, request, lambda folder, comparison: change(folder, comparison, votes))


@json_errors
async def post_choice(request: web.Request) -> web.StreamResponse:
    """Save the choice."""
    body = await read_body(request, CHOICE)
    return await json_answer(_change, request, lambda folder, comparison: change_choice(folder, comparison, body))


def _change(request: web.Request, change: Any) -> dict[str, Any]:
    folder, comparison = _find(request)
    try:
        change(folder, comparison)
    except Changed as error:
        error.answer = {"comparison": comparison_view(folder, comparison)}
        raise
    return comparison_view(folder, comparison)


ROUTES = (
    ("GET", "/bakery/compare/{id}", get_comparison),
    ("GET", "/bakery/compare/{id}/{file}", get_picture),
    ("POST", "/bakery/compare/{id}/votes", post_votes),
    ("POST", "/bakery/compare/{id}/choice", post_choice),
)

"""HTTP routes of datasets: list a folder below ComfyUI's input folder, edit its captions, add generated images.

```
GET  /bakery/dataset?folder=                     images, captions, tags with counts; problems, formats, total
GET  /bakery/dataset/picture?folder=&name=&size= a thumbnail
GET  /bakery/dataset/prompt?filename=&subfolder=&type=&node=     what a generated picture was made from
POST /bakery/dataset/captions {folder, captions: {name: text}}      both answer {before: {name: text}} for undo
POST /bakery/dataset/tag      {folder, tag, new}                    new empty: the tag is removed everywhere
POST /bakery/dataset/mark     {folder, marks: {name: mark}}         regularization, validation or null; {before}
POST /bakery/dataset/exclude  {folder, name, is_excluded}           answers {name}
POST /bakery/dataset/remove   {folder, names, is_removed}           takes back what was added, or that; {names}
POST /bakery/dataset/keep     {folder, images: [{filename, subfolder, type}], caption}   answers {names}
```
All except the last two GETs take Load Dataset's `caption_extension` and `metadata`. `captions` takes `versions`
({name: version of the listing}) and `mark` takes `based_on` ({name: mark}): if these are outdated, nothing is written,
and the answer is status 409 with the current images. `with_images: true` adds the changed images to the answer.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web

from ....training.data.caption_files import CaptionRules
from ....training.data.editor import (
    Changed,
    edit_tag,
    image_path,
    keep_files,
    list_folder,
    list_some,
    save_captions,
    set_excluded,
    set_marks,
    set_removed,
)
from ....training.data.entries import MAX_ENTRIES, Entry, tag_counts
from ....training.data.folder import image_extensions
from ....training.data.marks import MARKS
from ....training.data.thumbnail import thumbnail
from ..host.folders import input_folder, new_input_folder, safe_join
from .fields import Field, by_name, digits, flag, line, list_of, one_of, or_empty, or_null, path, record, text, word
from .picture_prompt import prompt_of_picture
from .routes import PICTURE_HEADERS, THUMBNAIL_SIZES
from .routes_checks import in_thread, json_answer, json_errors, read_body, read_query

MAX_NAME, MAX_CAPTION, MAX_TAG, MAX_VERSION = 500, 20_000, 500, 100
MAX_CAPTIONS, MAX_KEPT = 200_000, 500
MAX_EDIT_BYTES = 64 << 20
"""For captions or names; undoing an edit of a large folder sends them all."""
ENTRY_FIELDS = tuple(field.name for field in fields(Entry))

FOLDER, IMAGE = path(MAX_NAME), path(MAX_NAME, takes_backslash=True)
MARK = or_null(one_of(*MARKS))
SOURCE = {
    "folder": Field(FOLDER),
    "caption_extension": Field(word(MAX_NAME), ".txt"),
    "metadata": Field(or_empty(FOLDER), ""),
}
EDIT = {**SOURCE, "with_images": Field(flag, False)}
CAPTIONS = {
    **EDIT,
    "captions": Field(by_name(IMAGE, text(MAX_CAPTION), 1, MAX_CAPTIONS)),
    "versions": Field(by_name(IMAGE, text(MAX_VERSION), 0, MAX_CAPTIONS), {}),
}
TAG = {**EDIT, "tag": Field(line(MAX_TAG)), "new": Field(line(MAX_TAG, is_empty_ok=True), "")}
EXCLUDE = {**EDIT, "name": Field(IMAGE), "is_excluded": Field(flag)}
MARK_FIELDS = {
    **EDIT,
    "marks": Field(by_name(IMAGE, MARK, 1, MAX_CAPTIONS)),
    "based_on": Field(by_name(IMAGE, MARK, 0, MAX_CAPTIONS), {}),
}
REMOVE = {**EDIT, "names": Field(list_of(IMAGE, 1, MAX_CAPTIONS)), "is_removed": Field(flag)}
GENERATED = {
    "filename": Field(IMAGE),
    "subfolder": Field(or_empty(FOLDER), ""),
    "type": Field(one_of("output", "temp", "input"), "output"),
}
KEEP = {
    **SOURCE,
    "images": Field(list_of(record(GENERATED), 1, MAX_KEPT)),
    "caption": Field(text(MAX_CAPTION), ""),
}
PICTURE = {"folder": Field(FOLDER), "name": Field(IMAGE), "size": Field(digits(*THUMBNAIL_SIZES), 128)}
PROMPT = {**GENERATED, "node": Field(text(MAX_NAME), "")}


@json_errors
async def get_dataset(request: web.Request) -> web.StreamResponse:
    """Images, captions and tags of a folder; `exists` is false if there is none yet."""
    return await json_answer(_listing, read_query(request, SOURCE))


def _listing(query: dict[str, str]) -> dict[str, Any]:
    name = query["folder"]
    folder = input_folder(name, is_exact=True)
    about = {"folder": name, "exists": folder.is_dir(), "formats": sorted(image_extensions())}
    if not about["exists"]:
        return {**about, "images": [], "tags": [], "total": 0, "problems": []}
    listing = list_folder(folder, _rules(query))
    return {
        **about, "images": [_view(entry) for entry in listing.entries[:MAX_ENTRIES]],
        "tags": tag_counts(listing.entries), "total": len(listing.entries), "problems": listing.problems,
    }  # fmt: skip


@json_errors
async def get_picture(request: web.Request) -> web.StreamResponse:
    """A thumbnail as JPEG."""
    query = read_query(request, PICTURE)
    body = await in_thread(lambda: thumbnail(image_path(_folder(query), query["name"]), query["size"]))
    return web.Response(body=body, headers=PICTURE_HEADERS, content_type="image/jpeg")


@json_errors
async def get_prompt(request: web.Request) -> web.StreamResponse:
    """The positive prompt in a generated picture; empty if there is none."""
    query = read_query(request, PROMPT)
    return await json_answer(lambda: {"prompt": prompt_of_picture(_generated(query), query["node"])})


@json_errors
async def post_captions(request: web.Request) -> web.StreamResponse:
    """Write captions."""
    return await json_answer(_edit, await read_body(request, CAPTIONS, MAX_EDIT_BYTES), _captions)


def _captions(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    return {"before": save_captions(folder, body["captions"], rules, body["versions"])}, list(body["captions"])


@json_errors
async def post_tag(request: web.Request) -> web.StreamResponse:
    """Rename or remove a tag everywhere."""
    return await json_answer(_edit, await read_body(request, TAG), _tag)


def _tag(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    before = edit_tag(folder, body["tag"], body["new"], rules)
    return {"before": before}, list(before)


@json_errors
async def post_exclude(request: web.Request) -> web.StreamResponse:
    """Exclude an image from training, or restore it."""
    return await json_answer(_edit, await read_body(request, EXCLUDE), _exclude)


def _exclude(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    moved = set_excluded(folder, body["name"], body["is_excluded"], rules)
    return {"name": moved}, [moved]


@json_errors
async def post_mark(request: web.Request) -> web.StreamResponse:
    """Mark images as regularization or validation images, or as neither."""
    return await json_answer(_edit, await read_body(request, MARK_FIELDS, MAX_EDIT_BYTES), _mark)


def _mark(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    return {"before": set_marks(folder, body["marks"], body["based_on"])}, list(body["marks"])


@json_errors
async def post_remove(request: web.Request) -> web.StreamResponse:
    """Remove added images, or bring them back."""
    return await json_answer(_edit, await read_body(request, REMOVE, MAX_EDIT_BYTES), _remove)


def _remove(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    moved = set_removed(folder, body["names"], body["is_removed"], rules)
    return {"names": moved}, [] if body["is_removed"] else moved


Edit = Callable[[Path, CaptionRules, dict[str, Any]], tuple[dict[str, Any], Sequence[str]]]


def _edit(body: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """The answer to an edit: its result, and the changed images if requested."""
    folder, rules = _folder(body), _rules(body)
    try:
        answer, names = edit(folder, rules, body)
    except Changed as error:
        error.answer = {"images": _images(folder, error.names, rules)}
        raise
    return {**answer, "images": _images(folder, names, rules)} if body["with_images"] else answer


def _images(folder: Path, names: Sequence[str], rules: CaptionRules) -> list[dict[str, Any]]:
    return [_view(entry) for entry in list_some(folder, names, rules)]


def _view(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ENTRY_FIELDS}  # asdict copies, which is ten times slower


@json_errors
async def post_keep(request: web.Request) -> web.StreamResponse:
    """Copy generated images into a dataset."""
    body = await read_body(request, KEEP)
    return await json_answer(_keep, body)


def _keep(body: dict[str, Any]) -> dict[str, Any]:
    pictures = [_generated(image) for image in body["images"]]
    folder = new_input_folder(body["folder"], is_exact=True)
    return {"names": keep_files(pictures, folder, body["caption"], _rules(body))}


def _folder(source: dict[str, Any]) -> Path:
    """The folder that a request names, which must exist."""
    folder = input_folder(source["folder"], is_exact=True)
    if not folder.is_dir():
        raise LookupError("there is no such folder below ComfyUI's input folder")
    return folder


def _rules(source: dict[str, Any]) -> CaptionRules:
    """Load Dataset's rules for the captions of the folder."""
    folder, metadata = source["folder"], source["metadata"].strip()
    file = input_folder(f"{folder}/{metadata}", is_exact=True) if metadata else None
    return CaptionRules(source["caption_extension"], file)


def _generated(image: dict[str, str]) -> Path:
    """File of an image, in the form that ComfyUI's nodes use."""
    source, subfolder, filename = image["type"], image["subfolder"], image["filename"]
    root = Path(folder_paths.get_directory_by_type(source) or "")
    name = f"{subfolder}/{filename}" if subfolder else filename
    found = safe_join(root, name, f"ComfyUI's {source} folder", is_exact=True)
    if found.suffix.lower() not in image_extensions() or not found.is_file():
        raise LookupError(f"there is no image {filename[:80]!r}")
    return found


ROUTES = (
    ("GET", "/bakery/dataset", get_dataset),
    ("GET", "/bakery/dataset/picture", get_picture),
    ("GET", "/bakery/dataset/prompt", get_prompt),
    ("POST", "/bakery/dataset/captions", post_captions),
    ("POST", "/bakery/dataset/tag", post_tag),
    ("POST", "/bakery/dataset/mark", post_mark),
    ("POST", "/bakery/dataset/exclude", post_exclude),
    ("POST", "/bakery/dataset/remove", post_remove),
    ("POST", "/bakery/dataset/keep", post_keep),
)

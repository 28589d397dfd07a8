"""HTTP routes of datasets: look at a folder below ComfyUI's input folder, edit its captions, add generated images.

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
All but the last two GETs take `caption_extension` and `metadata` as Load Dataset has them. `captions` takes `versions`
({name: version of the listing}) and `mark` takes `based_on` ({name: mark}): where that is not so any more, nothing is
written, and status 409 comes with the images as they are now. `with_images: true` adds the images that were changed.
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
    save_captions,
    set_excluded,
    set_marks,
    set_removed,
)
from ....training.data.entries import MAX_ENTRIES, Entry, entries_of, read_listing, tag_counts
from ....training.data.folder import image_extensions
from ....training.data.marks import MARKS
from ....training.data.thumbnail import thumbnail
from ..host.folders import input_folder, safe_join
from .picture_prompt import prompt_of_picture
from .routes import PICTURE_HEADERS, thumbnail_size
from .routes_checks import in_thread, json_answer, json_errors, read_body, text_of

MAX_NAME, MAX_CAPTION, MAX_TAG = 500, 20_000, 500
MAX_CAPTIONS, MAX_KEPT = 200_000, 500
MAX_EDIT_BYTES = 64 << 20
"""Of captions or names; taking back what was done to a large folder sends them all."""
SOURCES = ("output", "temp", "input")
ENTRY_FIELDS = tuple(field.name for field in fields(Entry))


@json_errors
async def get_dataset(request: web.Request) -> web.StreamResponse:
    """Images, captions and tags of a folder; `exists` is false where there is none yet."""
    return await json_answer(_listing, dict(request.query))


def _listing(query: dict[str, str]) -> dict[str, Any]:
    name = query.get("folder", "")
    folder = input_folder(name)
    about = {"folder": name, "exists": folder.is_dir(), "formats": sorted(image_extensions())}
    if not about["exists"]:
        return {**about, "images": [], "tags": [], "total": 0, "problems": []}
    listing = read_listing(folder, _rules(query))
    return {
        **about, "images": [_view(entry) for entry in listing.entries[:MAX_ENTRIES]],
        "tags": tag_counts(listing.entries), "total": len(listing.entries), "problems": listing.problems,
    }  # fmt: skip


@json_errors
async def get_picture(request: web.Request) -> web.StreamResponse:
    """A thumbnail as JPEG."""
    size = thumbnail_size(request.query.get("size", "128"))
    path = await in_thread(lambda: image_path(_folder(request.query), request.query.get("name", "")))
    body = await in_thread(thumbnail, path, size)
    return web.Response(body=body, headers=PICTURE_HEADERS, content_type="image/jpeg")


@json_errors
async def get_prompt(request: web.Request) -> web.StreamResponse:
    """The positive prompt that a generated picture carries; empty where it carries none."""
    query = dict(request.query)
    return await json_answer(lambda: {"prompt": prompt_of_picture(_generated(query), query.get("node", ""))})


@json_errors
async def post_captions(request: web.Request) -> web.StreamResponse:
    """Writes captions."""
    body = await read_body(request, MAX_EDIT_BYTES)
    return await json_answer(_edit, body, _captions)


def _captions(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    captions, versions = body.get("captions"), body.get("versions", {})
    if not isinstance(captions, dict) or not 0 < len(captions) <= MAX_CAPTIONS:
        raise ValueError(f"captions must be an object of 1 to {MAX_CAPTIONS} texts by image name")
    if not isinstance(versions, dict):
        raise ValueError("versions must be an object of texts by image name")
    checked = {name: text_of(captions, name, MAX_CAPTION) for name in captions}
    return {"before": save_captions(folder, checked, rules, versions)}, list(checked)


@json_errors
async def post_tag(request: web.Request) -> web.StreamResponse:
    """Renames or removes a tag everywhere."""
    return await json_answer(_edit, await read_body(request), _tag)


def _tag(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    tag, new = text_of(body, "tag", MAX_TAG).strip(), text_of(body, "new", MAX_TAG, "").strip()
    if not tag or "\n" in tag + new:
        raise ValueError("tag must be a text on one line, and not empty")
    before = edit_tag(folder, tag, new, rules)
    return {"before": before}, list(before)


@json_errors
async def post_exclude(request: web.Request) -> web.StreamResponse:
    """Leaves an image out of training, or puts it back."""
    return await json_answer(_edit, await read_body(request), _exclude)


def _exclude(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    name, is_excluded = text_of(body, "name", MAX_NAME), body.get("is_excluded")
    if not isinstance(is_excluded, bool):
        raise ValueError("is_excluded must be true or false")
    moved = set_excluded(folder, name, is_excluded, rules)
    return {"name": moved}, [moved]


@json_errors
async def post_mark(request: web.Request) -> web.StreamResponse:
    """Marks images as regularization or validation images, or as neither."""
    return await json_answer(_edit, await read_body(request, MAX_EDIT_BYTES), _mark)


def _mark(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    marks, based_on = body.get("marks"), body.get("based_on", {})
    if not isinstance(marks, dict) or not 0 < len(marks) <= MAX_CAPTIONS:
        raise ValueError(f"marks must be an object of 1 to {MAX_CAPTIONS} marks by image name")
    if not isinstance(based_on, dict):
        raise ValueError("based_on must be an object of marks by image name")
    if any(mark is not None and mark not in MARKS for mark in marks.values()):
        raise ValueError(f"a mark must be {', '.join(MARKS)} or null")
    return {"before": set_marks(folder, marks, based_on)}, list(marks)


@json_errors
async def post_remove(request: web.Request) -> web.StreamResponse:
    """Takes added images back, or brings them back."""
    return await json_answer(_edit, await read_body(request, MAX_EDIT_BYTES), _remove)


def _remove(folder: Path, rules: CaptionRules, body: dict[str, Any]) -> tuple[dict[str, Any], Sequence[str]]:
    names, is_removed = body.get("names"), body.get("is_removed")
    if not isinstance(names, list) or not 0 < len(names) <= MAX_CAPTIONS:
        raise ValueError(f"names must be a list of 1 to {MAX_CAPTIONS}")
    if not isinstance(is_removed, bool):
        raise ValueError("is_removed must be true or false")
    checked = [text_of({"name": name}, "name", MAX_NAME) for name in names]
    moved = set_removed(folder, checked, is_removed, rules)
    return {"names": moved}, [] if is_removed else moved


Edit = Callable[[Path, CaptionRules, dict[str, Any]], tuple[dict[str, Any], Sequence[str]]]


def _edit(body: dict[str, Any], edit: Edit) -> dict[str, Any]:
    """The answer of an edit, which gives it with the names of the images it has changed."""
    folder, rules = _folder(body), _rules(body)
    try:
        answer, names = edit(folder, rules, body)
    except Changed as error:
        error.answer = {"images": _images(folder, error.names, rules)}
        raise
    return {**answer, "images": _images(folder, names, rules)} if body.get("with_images") is True else answer


def _images(folder: Path, names: Sequence[str], rules: CaptionRules) -> list[dict[str, Any]]:
    return [_view(entry) for entry in entries_of(folder, names, rules)]


def _view(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in ENTRY_FIELDS}  # asdict copies, ten times slower


@json_errors
async def post_keep(request: web.Request) -> web.StreamResponse:
    """Copies generated images into a dataset."""
    body = await read_body(request)
    images, caption = body.get("images"), text_of(body, "caption", MAX_CAPTION, "")
    if not isinstance(images, list) or not 0 < len(images) <= MAX_KEPT:
        raise ValueError(f"images must be a list of 1 to {MAX_KEPT}")
    target = input_folder(text_of(body, "folder", MAX_NAME))
    return await json_answer(
        lambda: {"names": keep_files([_generated(image) for image in images], target, caption, _rules(body))}
    )


def _folder(source: Any) -> Path:
    """The folder a request names, which must be there."""
    folder = input_folder(text_of(source, "folder", MAX_NAME))
    if not folder.is_dir():
        raise LookupError("there is no such folder below ComfyUI's input folder")
    return folder


def _rules(source: Any) -> CaptionRules:
    """Where Load Dataset finds the captions of the folder."""
    metadata = text_of(source, "metadata", MAX_NAME, "").strip()
    folder = text_of(source, "folder", MAX_NAME)
    file = input_folder(f"{folder}/{metadata}") if metadata else None
    return CaptionRules(text_of(source, "caption_extension", MAX_NAME, ".txt"), file)


def _generated(image: Any) -> Path:
    """File of an image as ComfyUI's nodes name it."""
    if not isinstance(image, dict):
        raise ValueError("each image must be an object with filename, subfolder and type")
    source = text_of(image, "type", 10, "output")
    if source not in SOURCES:
        raise ValueError(f"type must be one of {', '.join(SOURCES)}")
    root = Path(folder_paths.get_directory_by_type(source) or "")
    subfolder, filename = text_of(image, "subfolder", MAX_NAME, ""), text_of(image, "filename", MAX_NAME)
    path = safe_join(root, f"{subfolder}/{filename}" if subfolder else filename, f"ComfyUI's {source} folder")
    if path.suffix.lower() not in image_extensions() or not path.is_file():
        raise LookupError(f"there is no image {filename[:80]!r}")
    return path


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

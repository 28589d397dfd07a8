"""HTTP routes of datasets: look at a folder below ComfyUI's input folder, edit its captions, add generated images.

```
GET  /bakery/dataset?folder=                     images, captions, tags with counts
GET  /bakery/dataset/picture?folder=&name=&size= a thumbnail
POST /bakery/dataset/captions {folder, captions: {name: text}}      both answer {before: {name: text}} for undo
POST /bakery/dataset/tag      {folder, tag, new}                    new empty: the tag is removed everywhere
POST /bakery/dataset/mark     {folder, marks: {name: mark}}         regularization, validation or null; {before}
POST /bakery/dataset/exclude  {folder, name, is_excluded}           answers {name}
POST /bakery/dataset/remove   {folder, names, is_removed}           takes back what was added, or that; {names}
POST /bakery/dataset/keep     {folder, images: [{filename, subfolder, type}], caption}   answers {names}
```
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import folder_paths
from aiohttp import web

from ....training.data.editor import (
    edit_tag,
    image_path,
    keep_files,
    list_entries,
    save_captions,
    set_excluded,
    set_marks,
    set_removed,
    tag_counts,
)
from ....training.data.folder import image_extensions
from ....training.data.marks import MARKS
from ..host.folders import input_folder, safe_join
from .routes import PICTURE_HEADERS, thumbnail, thumbnail_size
from .routes_checks import in_thread, json_answer, json_errors, read_body, text_of

MAX_NAME, MAX_CAPTION, MAX_TAG = 500, 20_000, 500
MAX_CAPTIONS, MAX_KEPT = 5000, 500
SOURCES = ("output", "temp", "input")


@json_errors
async def get_dataset(request: web.Request) -> web.StreamResponse:
    """Images, captions and tags of a folder; `exists` is false where there is none yet."""
    return await json_answer(_listing, request.query.get("folder", ""))


def _listing(name: str) -> dict[str, Any]:
    folder = input_folder(name)
    entries = list_entries(folder) if folder.is_dir() else []
    return {
        "folder": name, "exists": folder.is_dir(), "images": [asdict(entry) for entry in entries],
        "tags": tag_counts(entries),
    }  # fmt: skip


@json_errors
async def get_picture(request: web.Request) -> web.StreamResponse:
    """A thumbnail as JPEG."""
    size = thumbnail_size(request.query.get("size", "128"))
    path = await in_thread(lambda: image_path(_folder(request.query), request.query.get("name", "")))
    body = await in_thread(thumbnail, path, size)
    return web.Response(body=body, headers=PICTURE_HEADERS, content_type="image/jpeg")


@json_errors
async def post_captions(request: web.Request) -> web.StreamResponse:
    """Writes captions."""
    body = await read_body(request)
    captions = body.get("captions")
    if not isinstance(captions, dict) or not 0 < len(captions) <= MAX_CAPTIONS:
        raise ValueError(f"captions must be an object of 1 to {MAX_CAPTIONS} texts by image name")
    checked = {name: text_of(captions, name, MAX_CAPTION) for name in captions}
    return await json_answer(lambda: {"before": save_captions(_folder(body), checked)})


@json_errors
async def post_tag(request: web.Request) -> web.StreamResponse:
    """Renames or removes a tag everywhere."""
    body = await read_body(request)
    tag, new = text_of(body, "tag", MAX_TAG).strip(), text_of(body, "new", MAX_TAG, "").strip()
    if not tag or "\n" in tag + new:
        raise ValueError("tag must be a text on one line, and not empty")
    return await json_answer(lambda: {"before": edit_tag(_folder(body), tag, new)})


@json_errors
async def post_exclude(request: web.Request) -> web.StreamResponse:
    """Leaves an image out of training, or puts it back."""
    body = await read_body(request)
    name, is_excluded = text_of(body, "name", MAX_NAME), body.get("is_excluded")
    if not isinstance(is_excluded, bool):
        raise ValueError("is_excluded must be true or false")
    return await json_answer(lambda: {"name": set_excluded(_folder(body), name, is_excluded)})


@json_errors
async def post_mark(request: web.Request) -> web.StreamResponse:
    """Marks images as regularisation or validation images, or as neither."""
    body = await read_body(request)
    marks = body.get("marks")
    if not isinstance(marks, dict) or not 0 < len(marks) <= MAX_CAPTIONS:
        raise ValueError(f"marks must be an object of 1 to {MAX_CAPTIONS} marks by image name")
    if any(mark is not None and mark not in MARKS for mark in marks.values()):
        raise ValueError(f"a mark must be {', '.join(MARKS)} or null")
    return await json_answer(lambda: {"before": set_marks(_folder(body), marks)})


@json_errors
async def post_remove(request: web.Request) -> web.StreamResponse:
    """Takes added images back, or brings them back."""
    body = await read_body(request)
    names, is_removed = body.get("names"), body.get("is_removed")
    if not isinstance(names, list) or not 0 < len(names) <= MAX_KEPT:
        raise ValueError(f"names must be a list of 1 to {MAX_KEPT}")
    if not isinstance(is_removed, bool):
        raise ValueError("is_removed must be true or false")
    checked = [text_of({"name": name}, "name", MAX_NAME) for name in names]
    return await json_answer(lambda: {"names": set_removed(_folder(body), checked, is_removed)})


@json_errors
async def post_keep(request: web.Request) -> web.StreamResponse:
    """Copies generated images into a dataset."""
    body = await read_body(request)
    images, caption = body.get("images"), text_of(body, "caption", MAX_CAPTION, "")
    if not isinstance(images, list) or not 0 < len(images) <= MAX_KEPT:
        raise ValueError(f"images must be a list of 1 to {MAX_KEPT}")
    target = input_folder(text_of(body, "folder", MAX_NAME))
    return await json_answer(lambda: {"names": keep_files([_generated(image) for image in images], target, caption)})


def _folder(source: Any) -> Path:
    """The folder a request names, which must be there."""
    folder = input_folder(text_of(source, "folder", MAX_NAME))
    if not folder.is_dir():
        raise LookupError("there is no such folder below ComfyUI's input folder")
    return folder


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
    ("POST", "/bakery/dataset/captions", post_captions),
    ("POST", "/bakery/dataset/tag", post_tag),
    ("POST", "/bakery/dataset/mark", post_mark),
    ("POST", "/bakery/dataset/exclude", post_exclude),
    ("POST", "/bakery/dataset/remove", post_remove),
    ("POST", "/bakery/dataset/keep", post_keep),
)

"""A dataset written as a folder that `scan_folder` reads: PNG pictures and UTF-8 caption files."""

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from .captions import put_trigger_first
from .dataset import Dataset, Subset
from .images import ImageItem, open_image, open_mask
from .marks import REGULARIZATION, VALIDATION, Mark, write_marks

TEMPORARY_PREFIX = ".bakery-tmp-"


def write_dataset(dataset: Dataset, folder: Path) -> None:
    """Write pictures and captions into a new folder, which appears only when complete.

    Subsets become `N_name` folders, unless there is only one, shown once. Captions include tag edits and the trigger
    word, but nothing random. Regularization and validation images are marked. Masks have the same names in a folder
    beside it, `NAME_masks`. If exactly this content exists already, nothing is written.

    Raises:
        ValueError: A folder of that name has other content.
        OSError: A picture cannot be read, or the disk is full.
    """
    temporary = folder.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex[:8]}")
    pictures, masks = temporary / "pictures", temporary / "masks"
    try:
        marks: dict[str, Mark] = {}
        for item, subset, mark, path in _named_items(dataset):
            _write_item(item, subset, pictures / path, masks / path)
            if mark:
                marks[path.as_posix()] = mark
        write_marks(pictures, marks)
        for written, target in ((pictures, folder), (masks, mask_folder_of(folder))):
            _refuse_other_content(written, target)
        for written, target in ((pictures, folder), (masks, mask_folder_of(folder))):
            if written.exists() and not target.exists():
                written.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def mask_folder_of(folder: Path) -> Path:
    """Folder of the masks of a written dataset."""
    return folder.with_name(f"{folder.name}_masks")


def _named_items(dataset: Dataset) -> Iterator[tuple[ImageItem, Subset, Mark | None, Path]]:
    marked: list[tuple[Subset, Mark | None]] = [(subset, _mark(subset)) for subset in dataset.subsets]
    for subset in dataset.held_out:
        marked.append((subset, VALIDATION))
    folders = {(subset.name, subset.repeats) for subset, _ in marked}
    is_plain = len(folders) == 1 and dataset.subsets[0].repeats == 1
    number = 0
    written: set[tuple[str, str]] = set()
    for subset, mark in marked:
        for item in subset.items:
            key = (subset.name, f"{item.content_hash} {item.captions}")
            if key in written:  # the same image at a further resolution
                continue
            written.add(key)
            number += 1
            name = f"{number:04d}.png"
            path = Path(name) if is_plain else Path(f"{subset.repeats}_{_file_name(subset.name)}", name)
            yield item, subset, mark, path


def _mark(subset: Subset) -> Mark | None:
    return REGULARIZATION if subset.is_regularization else None


def _file_name(name: str) -> str:
    return "".join("_" if c in '<>:"/\\|?*' or c < " " else c for c in name).strip(" .") or "images"


def _write_item(item: ImageItem, subset: Subset, path: Path, mask_path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    open_image(item.source).save(path)
    lines = (put_trigger_first(line, subset.captions) for line in item.captions)
    path.with_suffix(".txt").write_bytes("\n".join(lines).encode())
    if item.mask is not None:
        mask_path.parent.mkdir(parents=True, exist_ok=True)
        open_mask(item.mask).save(mask_path)


def _refuse_other_content(written: Path, target: Path) -> None:
    if target.exists() and _content(target) != _content(written):
        raise ValueError(f"there is already a folder {target.name!r} with different content; choose another name")


def _content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

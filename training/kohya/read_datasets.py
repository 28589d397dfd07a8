"""Reads the images of a setup's datasets from this machine's folders, as sd-scripts would."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from ..data.dataset import Dataset, Subset, combine
from ..data.folder import NUMBERED_FOLDER, scan_folder
from .datasets import KohyaDatasets, KohyaSubset

FindFolder = Callable[[str], Path | None]
"""The folder on this machine for a path of a setup; None if there is none."""


def build_dataset(setup: KohyaDatasets, find_folder: FindFolder) -> Dataset:
    """Read the images of a setup.

    Raises:
        ValueError: Folders or files are missing (all are named), or have no readable image.
    """
    named = [name for subset in setup.subsets for name in (subset.folder, subset.mask_folder) if name]
    found = {name: find_folder(name) for name in dict.fromkeys(named)}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise ValueError(
            "put these folders, under their last name, into ComfyUI's input folder (copied or linked within it): "
            + ", ".join(missing)
        )
    return combine([_read(subset, cast("Mapping[str, Path]", found)) for subset in setup.subsets])


def _read(subset: KohyaSubset, folders: Mapping[str, Path]) -> Dataset:
    folder = folders[subset.folder]
    dataset = scan_folder(
        folder,
        subset.caption_extension,
        1,
        _metadata_file(subset, folder),
        folders[subset.mask_folder] if subset.mask_folder else None,
        subset.class_tokens,
    )
    is_numbered = subset.form == "numbered folders"
    kept = [found for one in dataset.subsets if (found := _as_sd_scripts_reads(one, is_numbered))]
    if not kept:
        wanted = "in subfolders such as 10_name" if is_numbered else "that are not in subfolders"
        raise ValueError(f"the folder {folder.name!r} must have images {wanted}, as sd-scripts reads them")

    def settled(one: Subset) -> Subset:
        return replace(
            one, repeats=one.repeats * subset.repeats if is_numbered else subset.repeats,
            is_regularization=one.is_regularization or subset.is_regularization,
            captions=subset.captions, buckets=subset.buckets,
        )  # fmt: skip

    return replace(dataset, subsets=tuple(kept)).map(settled)


def _as_sd_scripts_reads(subset: Subset, is_numbered: bool) -> Subset | None:
    """Keep only images of `N_name` subfolders, or only those in the folder itself."""

    def is_read(name: str) -> bool:
        parents = name.split("/")[:-1]
        return len(parents) == 1 and bool(NUMBERED_FOLDER.fullmatch(parents[0])) if is_numbered else not parents

    items = tuple(item for item in subset.items if is_read(item.name))
    return replace(subset, items=items) if items else None


def _metadata_file(subset: KohyaSubset, folder: Path) -> Path | None:
    if not subset.metadata:
        return None
    name = subset.metadata.replace("\\", "/").rpartition("/")[2]
    path = folder / name
    if not path.is_file():
        raise ValueError(f"put the metadata file {name!r} into the folder {folder.name!r}")
    return path

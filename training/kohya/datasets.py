"""Imports datasets of sd-scripts: a dataset TOML or JSON, or command-line options; unsupported ones are listed.

A subset's value overrides its dataset's, which overrides `[general]`, which overrides the command line's.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from ..data.buckets import BucketSettings
from ..data.captions import CaptionSettings, separator_settings
from .dataset_tables import (
    BUCKET_OPTIONS,
    CAPTION_OPTIONS,
    COMMAND_CAPTION_OPTIONS,
    COMMAND_OPTIONS,
    ELSEWHERE,
    WITHOUT_EQUIVALENT,
)
from .options import Options
from .reading import parse_table, read_kohya
from .tables import Kind

CAPTION_EXTENSION, MIN_SIZE, MAX_SIZE = ".caption", 256, 1024
"""sd-scripts' defaults."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KohyaSubset:
    """One folder of a setup, before its images are read."""

    folder: str
    """As the setup names it, usually a path on another machine."""
    form: Literal["folder", "numbered folders"]
    """Uses the folder's own images, or those of its `N_name` subfolders, whose numbers are repeats."""
    repeats: int
    is_regularization: bool
    class_tokens: str
    """Caption of images without one."""
    caption_extension: str
    metadata: str
    """Name of a metadata file; empty if captions are files beside the images."""
    mask_folder: str
    captions: CaptionSettings
    buckets: BucketSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class KohyaDatasets:
    """The datasets of a setup."""

    subsets: tuple[KohyaSubset, ...]
    elsewhere: tuple[str, ...]
    """Options of other nodes, with their values."""
    lost: tuple[str, ...]
    """Options without an equivalent."""

    def text(self) -> str:
        """What is left to do and what is lost, in lines."""
        to_do = ["To set on other nodes:", *(f"- {line}" for line in self.elsewhere)] if self.elsewhere else []
        lost = ["Without equivalent:", *(f"- {line}" for line in self.lost)] if self.lost else []
        return "\n".join([*to_do, *lost]) or "Everything was taken over."


def import_datasets(text: str, command: str = "") -> KohyaDatasets:
    """The datasets of a dataset config, or of the dataset options of a command line.

    `command` is the command line used with a config; its options apply where the config has none.

    Raises:
        ValueError: The text cannot be read, names no images, or a value is out of range.
    """
    notes = _Notes()
    table = parse_table(text)
    is_config = table is not None and "datasets" in table
    line = read_kohya(command if is_config else text).options.left_over() if command or not is_config else {}
    base = {name: value for name, value in line.items() if name in COMMAND_OPTIONS}
    other = sorted(line.keys() - base.keys() - {"dataset_config"})
    if other:
        notes.elsewhere.append(f"{', '.join(other)}: Import Kohya Setup")
    if table is not None and is_config:
        for name in ("train_data_dir", "reg_data_dir", "in_json"):
            if name in base:
                notes.lost.append(f"{name} {base.pop(name)}: not read beside a dataset config, by sd-scripts neither")
        subsets = [_subset(values, notes) for values in _config_subsets(table, base)]
    else:
        subsets = _folders_of_command(base, notes)
    return KohyaDatasets(
        subsets=tuple(subsets),
        elsewhere=tuple(dict.fromkeys(notes.elsewhere)),
        lost=tuple(dict.fromkeys(notes.lost)),
    )


class _Notes:
    """Notes collected on the way."""

    def __init__(self) -> None:
        self.elsewhere: list[str] = []
        self.lost: list[str] = []


def _config_subsets(table: Mapping[str, Any], base: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Values that hold for each subset."""
    shared = {**base, **_table("general", table.get("general", {}))}
    unknown = sorted(table.keys() - {"general", "datasets"})
    if unknown:
        raise ValueError(f"a dataset config has [general] and [[datasets]] alone, got {', '.join(unknown)}")
    merged: list[dict[str, Any]] = []
    for number, dataset in enumerate(_tables("datasets", table["datasets"]), 1):
        own = {name: value for name, value in dataset.items() if name != "subsets"}
        subsets = _tables("datasets.subsets", dataset.get("subsets", []))
        if not subsets:
            raise ValueError(f"dataset {number} of the config must have [[datasets.subsets]], got none")
        merged += [{**shared, **own, **subset} for subset in subsets]
    if not merged:
        raise ValueError("a dataset config must have [[datasets]], got none")
    for number, values in enumerate(merged, 1):
        folder = values.get("image_dir")
        if not isinstance(folder, str) or not folder.strip():
            raise ValueError(f"subset {number} of the config must have image_dir, a folder, got {folder!r}")
    return merged


def _table(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} of a dataset config must be a table, got {value!r}")
    return cast("Mapping[str, Any]", value)


def _tables(name: str, value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        raise ValueError(f"{name} of a dataset config must be tables, [[{name}]], got {value!r}")
    return [_table(name, one) for one in cast(list[Any], value)]


def _folders_of_command(base: Mapping[str, Any], notes: _Notes) -> list[KohyaSubset]:
    values = {name: value for name, value in base.items() if name not in ("train_data_dir", "reg_data_dir", "in_json")}
    folders = [("train_data_dir", False), ("reg_data_dir", True)]
    subsets: list[KohyaSubset] = []
    for option, is_reg in folders:
        if option not in base:
            continue
        if base[option] is True:
            raise ValueError(f"{option} must name a folder, got none")
        given = {**values, "image_dir": _first(base[option]), "is_reg": is_reg}
        if "in_json" in base and not is_reg:
            given |= {"metadata_file": _first(base["in_json"])}
        form = "folder" if "in_json" in base else "numbered folders"
        subsets.append(replace(_subset(given, notes), form=form))
    if not subsets:
        raise ValueError(
            "text must be a dataset config with [[datasets]], or name train_data_dir; of --dataset_config paste what "
            "the file holds"
        )
    return subsets


def _subset(values: Mapping[str, Any], notes: _Notes) -> KohyaSubset:
    # a list is a size or a range; anything else is a single value
    options = Options({name: value for name, value in values.items() if name not in ("resolution", "image_dir")})
    subset = KohyaSubset(
        folder=str(values["image_dir"]),
        form="folder",
        repeats=options.integer("num_repeats") or options.integer("dataset_repeats") or 1,
        is_regularization=options.flag("is_reg"),
        class_tokens=options.text("class_tokens") or "",
        caption_extension=options.text("caption_extension") or CAPTION_EXTENSION,
        metadata=options.text("metadata_file") or "",
        mask_folder=options.text("conditioning_data_dir") or "",
        captions=_captions(options),
        buckets=_buckets(options, values.get("resolution"), notes),
    )
    if subset.captions.caption_weights:
        notes.lost.append("weighted_captions: [tag] is no lower weight in ComfyUI's prompts; write (tag:0.9)")
    if subset.metadata:
        notes.lost.append("metadata: images that it does not name are trained too, with their caption files")
    for name, value in options.left_over().items():
        shown = name if value is True else f"{name} {_shown(value)}"
        if name in ELSEWHERE:
            notes.elsewhere.append(f"{shown}: {ELSEWHERE[name]}")
        else:
            notes.lost.append(f"{shown}: {WITHOUT_EQUIVALENT.get(name, 'no equivalent')}")
    return subset


def _captions(options: Options) -> CaptionSettings:
    taken = _take(options, (*CAPTION_OPTIONS, *COMMAND_CAPTION_OPTIONS))
    return CaptionSettings(**taken | separator_settings(taken.get("separator", CaptionSettings().separator)))


def _buckets(options: Options, resolution: Any, notes: _Notes) -> BucketSettings:
    size = _size(resolution)
    sides = (size, size) if isinstance(size, int) else size
    low, high = options.integer("min_bucket_reso"), options.integer("max_bucket_reso")
    is_bucketed, is_upscaled = options.flag("enable_bucket"), not options.flag("bucket_no_upscale")
    taken = _take(options, BUCKET_OPTIONS)
    if sides is None or (is_bucketed and not is_upscaled):  # sd-scripts ignores the limits in this case
        limits: tuple[int | None, int | None] = (None, None)
    elif is_bucketed:
        limits = (low or min(MIN_SIZE, *sides), high or max(MAX_SIZE, *sides))
    else:
        limits = (min(sides), max(sides))
        notes.lost += [f"enable_bucket off: images are cropped to {sides[0]} x {sides[1]} or turned"] * (
            sides[0] != sides[1]
        )
    return BucketSettings(
        resolution=size, min_bucket_size=limits[0], max_bucket_size=limits[1], upscale=is_upscaled or not is_bucketed,
        **taken,
    )  # fmt: skip


def _size(value: Any) -> int | tuple[int, int] | None:
    """`512`, `[512, 768]` or "512,768"."""
    if value is None:
        return None
    texts = cast(list[Any], value) if isinstance(value, list) else str(value).replace("x", ",").split(",")
    numbers = [part for text in texts for part in str(text).split(",") if part.strip()]
    try:
        sides = [int(number) for number in numbers]
    except ValueError:
        raise ValueError(f"resolution must be a size or width,height, got {value!r}") from None
    if len(sides) not in (1, 2):
        raise ValueError(f"resolution must be a size or width,height, got {value!r}")
    return sides[0] if len(set(sides)) == 1 else (sides[0], sides[1])


def _take(options: Options, table: Sequence[tuple[str, str, Kind]]) -> dict[str, Any]:
    """Options that only have another name here, if given."""
    readers: Mapping[Kind, Any] = {
        "integer": options.integer, "number": options.number, "flag": options.flag, "text": options.text,
    }  # fmt: skip
    return {field: readers[kind](name) for name, field, kind in table if name in options}


def _first(value: Any) -> Any:
    return cast(list[Any], value)[0] if isinstance(value, list) else value


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return " ".join(map(str, cast(list[Any], value))) if isinstance(value, list) else str(value)

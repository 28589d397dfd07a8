"""Keeping a file's header small enough for those who read only its beginning.

ComfyUI's canvas reads the first 4 MiB of a dropped file to open the workflow in it; its model library shows a file's
metadata only while the header is at most 1 MiB. The list of tensors counts too: half a MiB for SDXL.
"""

import json
from collections.abc import Mapping

from torch import Tensor

from .layout import header_bytes

LIBRARY_LIMIT = 1 << 20
DROP_LIMIT = 4 << 20
NOTE_KEY = "bakery.left_out"

_RESERVE = 1024  # the two hashes and the note come later
_TAGS_KEPT = 100
_OPTIONAL = ("ss_bucket_info", "modelspec.thumbnail", "ss_datasets", "ss_tag_frequency", "prompt")


def fit_header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata, without its largest optional entries where the header would be over a limit.

    Below 1 MiB nothing is left out. Above it the rarest tags go first, then whole optional entries, largest first; the
    workflow stays as long as the header is below 4 MiB. What is missing is named under `bakery.left_out`.
    """
    kept = dict(metadata)
    tensor_bytes = len(header_bytes(tensors, {}))
    left_out: list[str] = []
    if _size(kept, tensor_bytes) > LIBRARY_LIMIT and "ss_tag_frequency" in kept:
        kept["ss_tag_frequency"] = _most_frequent(metadata["ss_tag_frequency"])
    if kept.get("ss_tag_frequency") != metadata.get("ss_tag_frequency"):
        left_out.append(f"ss_tag_frequency below the {_TAGS_KEPT} most frequent")
    for key in sorted((key for key in _OPTIONAL if key in kept), key=lambda key: -len(kept[key])):
        if _size(kept, tensor_bytes) > LIBRARY_LIMIT:
            del kept[key]
            left_out.append(key)
    if _size(kept, tensor_bytes) > DROP_LIMIT and kept.pop("workflow", None) is not None:
        left_out.append("workflow")
    return kept | ({NOTE_KEY: ", ".join(left_out)} if left_out else {})


def _size(metadata: Mapping[str, str], tensor_bytes: int) -> int:
    return tensor_bytes + len(json.dumps(dict(metadata), ensure_ascii=False).encode()) + _RESERVE


def _most_frequent(tag_frequency: str) -> str:
    """The most frequent tags of each folder; the text itself where it is no such list, as other tools may have it."""
    try:
        folders: dict[str, dict[str, int]] = json.loads(tag_frequency)
        shorter = {
            folder: dict(sorted(tags.items(), key=lambda item: (-item[1], item[0]))[:_TAGS_KEPT])
            for folder, tags in folders.items()
        }
    except (ValueError, TypeError, AttributeError):
        return tag_frequency
    return json.dumps(shorter, ensure_ascii=False)

"""Writes the shared folder: the LoRA's file, pictures, the card, and the workflow if wanted."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from PIL import Image

from ..files.atomic import write_atomic, write_text_atomic
from ..files.facts import GraphFacts
from ..files.formats import Tensors
from ..files.hashes import file_hash
from ..files.lora_file import save_lora
from ..files.metadata import SAMPLES, TRIGGER_PHRASE, graph_entries
from ..networks.facts import network_facts
from .card import CardFacts, write_card
from .card_words import ENGLISH
from .samples import Sample, data_url, draw_sheet

CARD, NEW_CARD, SHEET, WORKFLOW = "README.md", "README.new.md", "pictures.png", "workflow.json"
THUMBNAIL_PX, SAMPLE_PX, MAX_SAMPLES = 256, 192, 4
"""Sizes of the header's pictures, and their number."""
_SIGNATURE = "<!-- written by LoRA Bakery: "
_GRAPH = ("workflow", "prompt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """The author's description of a LoRA; an empty entry keeps what the file has."""

    trigger: str = ""
    strength: str = ""
    author: str = ""
    description: str = ""
    license: str = ""

    def entries(self) -> dict[str, str]:
        """Entries of the file's header."""
        told = {
            TRIGGER_PHRASE: self.trigger,
            "modelspec.usage_hint": f"strength {self.strength}" if self.strength.strip() else "",
            "modelspec.author": self.author,
            "modelspec.description": self.description,
            "modelspec.license": self.license,
        }
        return {key: text.strip() for key, text in told.items() if text.strip()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What to share."""

    name: str
    """Name of the folder and the files."""
    tensors: Tensors
    metadata: Mapping[str, str]
    words: Words
    samples: Sequence[Sample] = ()
    graph: GraphFacts | None = None
    """Written if the file contains no workflow. None = share no workflow, and remove the file's own."""
    language: str = ENGLISH
    """Of the card."""
    dtype: torch.dtype | None = None
    """Of the file, where its values fit; None = as the tensors are."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What was written."""

    files: tuple[str, ...]
    card: str
    notes: tuple[str, ...]
    """Notes for the author, a line each."""


def write_share(folder: Path, share: Share) -> Shared:
    """Write all files. Files of an earlier share that are not part of this one are removed; an edited card stays.

    Raises:
        OSError: The disk is full or the folder is read-only.
    """
    file = folder / f"{share.name}.safetensors"
    metadata, rounding = _write_file(file, share)
    pictures = _write_pictures(folder, share)
    workflow = _write_workflow(folder, metadata)
    facts = CardFacts(
        name=share.name, file=file.name, num_bytes=file.stat().st_size, sha256=file_hash(file),
        network=network_facts(share.tensors), metadata=metadata, strength=share.words.strength,
        samples=share.samples, sheet=SHEET if share.samples else "", workflow=workflow,
        language=share.language,
    )  # fmt: skip
    text = write_card(facts)
    card = _write_card(folder, text)
    files = (file.name, *pictures, card, *filter(None, [workflow]))
    return Shared(files, text, (*rounding, *_notes(share, metadata, card)))


def _write_file(file: Path, share: Share) -> tuple[dict[str, str], list[str]]:
    """Its header, and a note where its values do not fit the wanted precision."""
    header = _header(share)
    try:
        return save_lora(file, share.tensors, header, share.dtype), []
    except ValueError:
        if share.dtype is None:
            raise
        return save_lora(file, share.tensors, header), ["values too large for float16: the file stays in float32"]


def _header(share: Share) -> dict[str, str]:
    kept = {key: text for key, text in share.metadata.items() if share.graph is not None or key not in _GRAPH}
    if share.graph is not None and "workflow" not in kept:
        kept |= graph_entries(share.graph)
    entries = kept | {"modelspec.title": share.name, "ss_output_name": share.name} | share.words.entries()
    if share.samples:
        shown = [
            {"prompt": one.prompt, "strength": one.strength, "settings": one.settings,
             "picture": data_url(one.picture, SAMPLE_PX)}
            for one in share.samples[:MAX_SAMPLES]
        ]  # fmt: skip
        entries["modelspec.thumbnail"] = data_url(share.samples[0].picture, THUMBNAIL_PX)
        entries[SAMPLES] = json.dumps(shown, ensure_ascii=False)
    return entries


def _write_pictures(folder: Path, share: Share) -> list[str]:
    """Write the sheet, and the first picture under the name by which programs show it beside the file."""
    cover = f"{share.name}.preview.png"
    if not share.samples:
        for name in (SHEET, cover):
            (folder / name).unlink(missing_ok=True)
        return []
    for name, picture in ((SHEET, draw_sheet(share.samples)), (cover, share.samples[0].picture)):
        write_atomic(folder / name, _png(picture))
    return [SHEET, cover]


def _png(picture: Image.Image) -> Callable[[Path], None]:
    return lambda temporary: picture.save(temporary, "PNG")


def _write_workflow(folder: Path, metadata: Mapping[str, str]) -> str:
    """Name of the workflow's file; empty if none is shared, and then an earlier one is removed."""
    if "workflow" not in metadata:
        (folder / WORKFLOW).unlink(missing_ok=True)
        return ""
    write_text_atomic(folder / WORKFLOW, metadata["workflow"])
    return WORKFLOW


def _write_card(folder: Path, text: str) -> str:
    """Name of the card's file; another name if the existing card was edited by hand."""
    name = NEW_CARD if _is_edited(folder / CARD) else CARD
    write_text_atomic(folder / name, f"{text}\n{_SIGNATURE}{_digest(text)} -->\n")
    return name


def _is_edited(card: Path) -> bool:
    if not card.is_file():
        return False
    text, mark, digest = card.read_text(encoding="utf-8").rpartition(f"\n{_SIGNATURE}")
    return not mark or _digest(text) != digest.split(" ")[0]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


def _notes(share: Share, metadata: Mapping[str, str], card: str) -> list[str]:
    notes: list[str] = []
    if not share.samples:
        notes.append("no pictures: none were drawn at this step; connect pictures to images")
    if not metadata.get(TRIGGER_PHRASE):
        notes.append("no trigger word is known; type it at trigger if there is one")
    if not metadata.get("modelspec.license"):
        notes.append("no license is stated, and the card says so")
    if card == NEW_CARD:
        notes.append(f"{CARD} was edited by hand and stays; the new card is {NEW_CARD}")
    if share.graph is not None and "workflow" not in metadata:
        notes.append("no workflow: neither the LoRA's file nor this queue has one, or it is too long for the file")
    if "workflow" in metadata:
        notes.append("the workflow is in the folder and in the file, with its prompts and folder names")
    return notes

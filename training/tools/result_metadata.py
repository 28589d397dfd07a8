"""Metadata of tools' results: what still holds of the sources', and what was done."""

from collections.abc import Mapping, Sequence

from ..base_model import ModelFamily, PredictionType
from ..files.facts import Description, ModelFacts
from ..files.formats import Tensors
from ..files.metadata import FINGERPRINT_KEY, SAMPLES, TRIGGER_PHRASE, build_metadata
from ..networks.facts import network_facts

MERGED_FROM = "modelspec.merged_from"
_PER_FILE = ("sshs_model_hash", "sshs_legacy_hash", "bakery.left_out", FINGERPRINT_KEY)
_OF_ONE_RUN = ("workflow", "prompt", "modelspec.thumbnail", SAMPLES, "ss_session_id", "ss_output_name")
_OF_THE_MERGE = ("modelspec.title", MERGED_FROM, "modelspec.date", "ss_training_comment")


def resized_metadata(
    metadata: Mapping[str, str], tensors: Tensors, family: ModelFamily, comment: str
) -> dict[str, str]:
    """The source's metadata with the new ranks and the comment."""
    title = metadata.get("modelspec.title", "LoRA")
    new = build_metadata(ModelFacts(family=family), network_facts(tensors), Description(title=title))
    kept = {key: text for key, text in metadata.items() if key not in _PER_FILE and not key.startswith("ss_network_")}
    before = metadata.get("ss_training_comment", "")
    return new | kept | {"ss_training_comment": f"{before}; {comment}" if before not in ("", "None") else comment}


def merged_metadata(
    sources: Sequence[tuple[str, Mapping[str, str]]], tensors: Tensors, family: ModelFamily, comment: str
) -> dict[str, str]:
    """What all sources, (name, metadata), agree on, with their names under `modelspec.merged_from`."""
    description = Description(
        title=" + ".join(name for name, _ in sources),
        merged_from=", ".join(name_with_sources(name, metadata) for name, metadata in sources),
        comment=comment,
    )
    new = build_metadata(ModelFacts(family=family), network_facts(tensors), description)
    first: Mapping[str, str] = sources[0][1]
    agreed = {
        key: text
        for key, text in first.items()
        if key not in (*_PER_FILE, *_OF_ONE_RUN)
        and not key.startswith("ss_network_")
        and all(other.get(key) == text for _, other in sources)
    }
    made = {key: text for key, text in new.items() if key in _OF_THE_MERGE or key.startswith("ss_network_")}
    return new | agreed | made | _triggers([metadata for _, metadata in sources])


def _triggers(sources: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The trigger words of all sources, each once."""
    words = [word.strip() for metadata in sources for word in metadata.get(TRIGGER_PHRASE, "").split(",")]
    found = ", ".join(dict.fromkeys(filter(None, words)))
    return {TRIGGER_PHRASE: found} if found else {}


def name_with_sources(name: str, metadata: Mapping[str, str]) -> str:
    """A file's name, followed in brackets by what it was merged from itself."""
    before = metadata.get(MERGED_FROM, "")
    return f"{name} ({before})" if before else name


def extracted_metadata(
    tensors: Tensors, family: ModelFamily, title: str, comment: str, prediction_type: PredictionType | None = None
) -> dict[str, str]:
    """The minimum, with the source models in the comment."""
    facts = ModelFacts(family=family, prediction_type=prediction_type)
    return build_metadata(facts, network_facts(tensors), Description(title=title, comment=comment))

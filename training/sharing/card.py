"""The card of a shared LoRA, in Markdown: what it is, how to use it, how it was made, which programs read it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..files.facts import NetworkFacts
from ..files.metadata import TRIGGER_PHRASE
from .card_words import ENGLISH, WORDS, CardWords
from .samples import Sample

_NOTHING = ("", "None")


@dataclass(frozen=True, kw_only=True, slots=True)
class CardFacts:
    """The facts that the card is written from."""

    name: str
    file: str
    num_bytes: int
    sha256: str
    network: NetworkFacts
    metadata: Mapping[str, str]
    """Metadata of the file."""
    strength: str = ""
    """Recommended strength, in the author's words."""
    samples: Sequence[Sample] = ()
    sheet: str = ""
    """File of the sheet of pictures; empty without any."""
    workflow: str = ""
    """File of the workflow; empty without one."""
    language: str = ENGLISH
    """One of `WORDS`."""


def write_card(facts: CardFacts) -> str:
    """Write the card. Unknown facts have no line; a missing license is mentioned."""
    words = WORDS[facts.language]
    parts = [
        f"# {_line(facts.name)}",
        facts.metadata.get("modelspec.description", "").strip(),
        f"![{words.pictures_of.format(_line(facts.name))}]({facts.sheet})" if facts.sheet else "",
        _table(_facts(facts, words)),
        f"## {words.use}\n\n" + "\n".join(f"- {line}" for line in _use(facts, words)),
        _pictures(facts.samples, words),
        _made(facts.metadata, words),
        f"## {words.reads}\n\n{_readers(facts.network, words)}",
        f"## {words.license}\n\n{facts.metadata.get('modelspec.license', '').strip() or words.no_license}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _readers(network: NetworkFacts, words: CardWords) -> str:
    """Programs that read a file of this form. Only ComfyUI is tested; for others the key names decide."""
    if network.algorithm in ("lora", "locon", "dylora") and not _has_dora(network):
        return words.plain
    return words.lycoris.format(_named(network.algorithm, network, words))


def _facts(facts: CardFacts, words: CardWords) -> list[tuple[str, str]]:
    told = facts.metadata
    trigger = told.get(TRIGGER_PHRASE, "")
    file = words.comma.join((_code(facts.file), _megabytes(facts.num_bytes), _size(facts.network, words)))
    return [
        (words.file, file),
        (words.base_model, _base_model(told)),
        (words.trigger, _code(trigger) if trigger else words.no_trigger),
        (words.strength, _line(facts.strength)),
        (words.merged_from, _line(told.get("modelspec.merged_from", ""))),
        (words.made_by, _line(told.get("modelspec.author", ""))),
        ("SHA-256", _code(facts.sha256)),
    ]


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} KB"


def _size(network: NetworkFacts, words: CardWords) -> str:
    kernels = network.arguments.get("conv_dim")
    alpha = f"{network.alpha:g}" if isinstance(network.alpha, float) else network.alpha
    size = words.size.format(network.algorithm, network.rank, alpha)
    return _named(size + (words.convolutions.format(kernels) if kernels else ""), network, words)


def _named(text: str, network: NetworkFacts, words: CardWords) -> str:
    return words.with_dora.format(text) if _has_dora(network) else text


def _has_dora(network: NetworkFacts) -> bool:
    return "dora_wd" in network.arguments


def _base_model(told: Mapping[str, str]) -> str:
    family = "SDXL" if "xl" in told.get("modelspec.architecture", "") else "SD1.5"
    prediction = {"v": "v-prediction", "epsilon": "epsilon"}.get(told.get("modelspec.prediction_type", ""), "")
    known = ", ".join(part for part in (family, prediction) if part)
    name = told.get("ss_sd_model_name", "")
    return f"{_code(name)} ({known})" if name not in _NOTHING else known


def _use(facts: CardFacts, words: CardWords) -> list[str]:
    trigger = facts.metadata.get(TRIGGER_PHRASE, "")
    lines = [words.put.format(_code(facts.file))]
    if trigger:
        lines.append(words.write.format(_code(trigger)))
    if facts.metadata.get("modelspec.prediction_type") == "v":
        lines.append(words.v_prediction)
    if facts.workflow:
        lines.append(words.workflow.format(_code(facts.workflow)))
    return lines


def _pictures(samples: Sequence[Sample], words: CardWords) -> str:
    lines = [
        words.comma.join(part for part in (
            _code(sample.prompt) if sample.prompt else words.no_prompt,
            "" if sample.strength is None else words.of_strength.format(sample.strength), _line(sample.settings),
        ) if part)
        for sample in samples
    ]  # fmt: skip
    numbered = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return f"## {words.pictures}\n\n{numbered}" if samples else ""


def _made(told: Mapping[str, str], words: CardWords) -> str:
    rows = [
        (name, _setting(key, told[key])) for key, name in words.made_rows.items() if told.get(key, "") not in _NOTHING
    ]
    return f"## {words.made}\n\n{_table(rows)}" if rows else ""


def _setting(key: str, text: str) -> str:
    return _line(text.strip("()").replace(", ", " x ") if key == "ss_resolution" else text)


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = [f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows if value]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _line(text: str) -> str:
    """A text on one line, with its angle brackets escaped."""
    return " ".join(text.replace("<", "&lt;").split())


def _code(text: str) -> str:
    """A text as code, between more backticks than it contains."""
    flat = " ".join(text.split())
    longest = max((len(run) for run in re.findall("`+", flat)), default=0)
    mark, space = "`" * (longest + 1), " " * (longest > 0)
    return f"{mark}{space}{flat}{space}{mark}"

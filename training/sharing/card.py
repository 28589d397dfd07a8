"""The card of a shared LoRA, in Markdown: what it is, how to use it, how it was made, which programs read it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..files.facts import NetworkFacts
from ..files.metadata import TRIGGER_PHRASE
from .samples import Sample

NO_LICENSE = "Not stated. Ask its maker before you merge it, sell what it draws, or upload it elsewhere."
_MADE = {
    "ss_steps": "steps",
    "ss_num_train_images": "images x repeats",
    "ss_resolution": "resolution",
    "ss_optimizer": "optimizer",
    "ss_learning_rate": "learning rate",
    "ss_unet_lr": "U-Net learning rate",
    "ss_text_encoder_lr": "text encoder learning rate",
    "ss_lr_scheduler": "schedule",
    "ss_min_snr_gamma": "min-SNR gamma",
    "ss_noise_offset": "noise offset",
    "ss_clip_skip": "clip skip",
}
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


def write_card(facts: CardFacts) -> str:
    """Write the card. Unknown facts have no line; a missing license is mentioned."""
    parts = [
        f"# {_line(facts.name)}",
        facts.metadata.get("modelspec.description", "").strip(),
        f"![Pictures of {_line(facts.name)}]({facts.sheet})" if facts.sheet else "",
        _table(_facts(facts)),
        "## How to use it\n\n" + "\n".join(f"- {line}" for line in _use(facts)),
        _pictures(facts.samples),
        _made(facts.metadata),
        f"## What reads it\n\n{readers(facts.network)}",
        f"## License\n\n{facts.metadata.get('modelspec.license', '').strip() or NO_LICENSE}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readers(network: NetworkFacts) -> str:
    """Programs that read a file of this form. Only ComfyUI is tested; for others the key names decide."""
    is_plain = network.algorithm in ("lora", "locon", "dylora") and "dora_wd" not in network.arguments
    if is_plain:
        return "ComfyUI. Its key names are kohya's, which Forge, A1111, diffusers and sd-scripts read too."
    form = f"{network.algorithm} with DoRA" if "dora_wd" in network.arguments else network.algorithm
    return f"ComfyUI. It is a LyCORIS file ({form}): of another program, see first whether it reads that form."


def _facts(facts: CardFacts) -> list[tuple[str, str]]:
    told = facts.metadata
    trigger = told.get(TRIGGER_PHRASE, "")
    return [
        ("File", f"{_code(facts.file)}, {_megabytes(facts.num_bytes)}, {_size(facts.network)}"),
        ("Base model", _base_model(told)),
        ("Trigger", _code(trigger) if trigger else "none"),
        ("Strength", _line(facts.strength)),
        ("Merged from", _line(told.get("modelspec.merged_from", ""))),
        ("Made by", _line(told.get("modelspec.author", ""))),
        ("SHA-256", _code(facts.sha256)),
    ]


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB" if num_bytes >= 1e5 else f"{num_bytes / 1e3:.1f} KB"


def _size(network: NetworkFacts) -> str:
    kernels = network.arguments.get("conv_dim")
    alpha = f"{network.alpha:g}" if isinstance(network.alpha, float) else network.alpha
    rank = f"rank {network.rank}, alpha {alpha}" + (f", convolutions rank {kernels}" if kernels else "")
    return f"{network.algorithm} {rank}" + (" with DoRA" if "dora_wd" in network.arguments else "")


def _base_model(told: Mapping[str, str]) -> str:
    family = "SDXL" if "xl" in told.get("modelspec.architecture", "") else "SD1.5"
    prediction = {"v": "v-prediction", "epsilon": "epsilon"}.get(told.get("modelspec.prediction_type", ""), "")
    known = ", ".join(part for part in (family, prediction) if part)
    name = told.get("ss_sd_model_name", "")
    return f"{_code(name)} ({known})" if name not in _NOTHING else known


def _use(facts: CardFacts) -> list[str]:
    trigger = facts.metadata.get(TRIGGER_PHRASE, "")
    lines = [f"Put {_code(facts.file)} into ComfyUI's `models/loras`."]
    if trigger:
        lines.append(f"Write {_code(trigger)} in the prompt.")
    if facts.metadata.get("modelspec.prediction_type") == "v":
        lines.append("It belongs on v-prediction models.")
    if facts.workflow:
        lines.append(f"{_code(facts.workflow)} is the workflow that made it; the LoRA file holds it too.")
    return lines


def _pictures(samples: Sequence[Sample]) -> str:
    lines = [
        ", ".join(part for part in (
            _code(sample.prompt) if sample.prompt else "prompt not noted",
            "" if sample.strength is None else f"strength {sample.strength:g}", _line(sample.settings),
        ) if part)
        for sample in samples
    ]  # fmt: skip
    numbered = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return f"## Pictures\n\n{numbered}" if samples else ""


def _made(told: Mapping[str, str]) -> str:
    rows = [(name, _line(told[key])) for key, name in _MADE.items() if told.get(key, "") not in _NOTHING]
    return f"## How it was made\n\n{_table(rows)}" if rows else ""


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

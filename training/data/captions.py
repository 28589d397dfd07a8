"""The caption that a sample is trained with: a function of its caption lines, the settings and a named moment.

The order is that of kohya's sd-scripts: prefix and suffix, caption dropout, wildcards, kept and loose tags separated,
tag warmup, shuffle, tag dropout, joined, secondary separator, replacements. Finally, round brackets are escaped unless
they are weights, because ComfyUI's text encoding reads the result like a prompt.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..rng import generator
from .brackets import as_text
from .tags import JOINER, normal, split_tags

_ESCAPED_OPEN, _ESCAPED_CLOSE = "\ue000", "\ue001"  # private-use characters, in no caption


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionSettings:
    """How captions are changed during training."""

    trigger: str = ""
    """Word that comes first in every caption except dropped ones; it is added where missing."""
    prefix: str = ""
    """Text before each caption, with a space between."""
    suffix: str = ""
    """Text behind each caption, with a space between."""
    separator: str = ","
    """What separates tags in the captions."""
    shuffle_tags: bool = False
    """Tags in random order each time, except the kept ones."""
    keep_tags: int = 0
    """Number of first tags that stay in place and are never dropped, in addition to the trigger word."""
    keep_tags_separator: str = ""
    """Text such as `|||` in captions: tags before it are kept, tags after a second one are kept at the end.

    In captions that contain it, it replaces keep_tags. Empty = off.
    """
    secondary_separator: str = ""
    """Text such as `;;;` between tags that move and drop together; becomes the separator. Empty = off."""
    tag_dropout: float = 0.0
    """Chance 0..1 that a tag is left out."""
    caption_dropout: float = 0.0
    """Chance 0..1 that the caption is empty, which trains the unconditional prediction."""
    caption_dropout_every_n_epochs: int = 0
    """Every n-th epoch has empty captions only. 0 = off."""
    use_wildcards: bool = False
    """`{a|b}` becomes one of the choices, `{{` and `}}` are braces, and of several lines one is drawn.
    Off: the first line, as it is."""
    tag_warmup_min: int = 1
    """Tags (not counting kept ones) at the first step of the warmup."""
    tag_warmup_steps: float = 0.0
    """Steps over which the number of tags grows to all; below 1 a share of the first stage. 0 = off."""
    replacements: tuple[tuple[str, str], ...] = ()
    """(text, other text), replaced in the finished caption."""
    caption_weights: bool = False
    """Round brackets are weights, as in prompts: `(tag)`, `(tag:1.3)`. Off: they are text, as taggers write them."""
    keep_separator: bool = False
    """Tags are joined with their own separator and a space, as in sd-scripts since June 2026. Off: with ", "."""

    def __post_init__(self) -> None:
        for name in ("tag_dropout", "caption_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be a chance between 0 and 1, got {getattr(self, name)}")
        for name in ("keep_tags", "caption_dropout_every_n_epochs", "tag_warmup_min", "tag_warmup_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")
        if not self.separator:
            raise ValueError("separator must not be empty; a comma is usual")
        if any(not old for old, _ in self.replacements):
            raise ValueError("replacements must not replace an empty text")

    @property
    def changes_tags(self) -> bool:
        """Whether captions are split and joined again for each sample."""
        return self.shuffle_tags or self.tag_dropout > 0 or self.tag_warmup_steps > 0

    @property
    def joiner(self) -> str:
        """What stands between tags that are joined."""
        return f"{self.separator.rstrip()} " if self.keep_separator else JOINER


def separator_settings(separator: str) -> dict[str, Any]:
    """`separator` and `keep_separator` of a new setup; commas are the default, by which runs are found again."""
    return {"separator": separator, "keep_separator": separator.strip() != JOINER.strip()}


@dataclass(frozen=True, kw_only=True, slots=True)
class CaptionMoment:
    """Names the draws of one caption."""

    seed: int
    epoch: int
    """Counted from 0."""
    image: int
    """Index of the image in the prepared set."""
    repeat: int = 0
    """Which of the image's appearances in the epoch."""
    step: int = 0
    """Optimizer steps done; used by the tag warmup only."""
    total_steps: int = 0
    """Optimizer steps of the run; used only by a tag warmup given as a share."""

    def generator(self, purpose: str) -> torch.Generator:
        """Draws for one feature, independent of other features' draws."""
        return generator(self.seed, f"caption {purpose}", self.epoch, self.image, self.repeat)


def process_caption(captions: Sequence[str], settings: CaptionSettings, moment: CaptionMoment) -> str:
    """The caption trained at this moment, drawn from an image's caption lines."""
    if is_caption_dropped(settings, moment):
        return ""
    text = captions[0]
    if settings.use_wildcards:
        text = captions[_index(len(captions), moment.generator("line"))]
    text = " ".join(part for part in (settings.prefix, text, settings.suffix) if part)
    if settings.use_wildcards:
        text = expand_wildcards(text, moment.generator("wildcard"))
    text = _arrange_tags(text, settings, moment)
    return finish_caption(text, settings)


def is_caption_dropped(settings: CaptionSettings, moment: CaptionMoment) -> bool:
    """Whether the whole caption is left out at this moment."""
    every = settings.caption_dropout_every_n_epochs
    if every and (moment.epoch + 1) % every == 0:
        return True
    if not settings.caption_dropout:
        return False
    return float(torch.rand(1, generator=moment.generator("dropout"))) < settings.caption_dropout


def expand_wildcards(text: str, draws: torch.Generator) -> str:
    """Every `{a|b|c}` replaced by one of its choices; `{{` and `}}` become single braces."""

    def choose(match: re.Match[str]) -> str:
        choices = match[1].split("|")
        return choices[_index(len(choices), draws)]

    text = text.replace("{{", _ESCAPED_OPEN).replace("}}", _ESCAPED_CLOSE)
    text = re.sub(r"\{([^{}]+)\}", choose, text)
    return text.replace(_ESCAPED_OPEN, "{").replace(_ESCAPED_CLOSE, "}")


def finish_caption(text: str, settings: CaptionSettings) -> str:
    """Final changes, the same at every moment: secondary separator, trigger word, replacements, brackets."""
    if settings.secondary_separator:
        text = settings.joiner.join(part.strip() for part in text.split(settings.secondary_separator))
    text = put_trigger_first(text, settings)
    for old, new in settings.replacements:
        text = text.replace(old, new)
    return text if settings.caption_weights else as_text(text)


def put_trigger_first(text: str, settings: CaptionSettings) -> str:
    """Put the trigger word first; a sentence that already contains it is unchanged."""
    trigger = settings.trigger.strip()
    if not trigger:
        return text
    tags = split_tags(text, settings.separator)
    if normal(trigger) in map(normal, tags):
        rest = [tag for tag in tags if normal(tag) != normal(trigger)]
        return text if normal(tags[0]) == normal(trigger) else settings.joiner.join([trigger, *rest])
    if re.search(rf"(?<!\w){re.escape(trigger)}(?!\w)", text, re.IGNORECASE):
        return text
    return settings.joiner.join(part for part in (trigger, text) if part)


def _arrange_tags(text: str, settings: CaptionSettings, moment: CaptionMoment) -> str:
    marked = bool(settings.keep_tags_separator) and settings.keep_tags_separator in text
    if not (settings.changes_tags or marked):
        return text
    head, loose, tail = divide_tags(text, settings)
    if settings.tag_warmup_steps:
        loose = loose[: warmed_up(len(loose), settings, moment)]
    if settings.shuffle_tags:
        order = torch.randperm(len(loose), generator=moment.generator("shuffle"))
        loose = [loose[int(index)] for index in order]
    if settings.tag_dropout:
        draws = torch.rand(len(loose), generator=moment.generator("tag dropout"))
        loose = [tag for tag, draw in zip(loose, draws, strict=True) if float(draw) >= settings.tag_dropout]
    return settings.joiner.join([*head, *loose, *tail])


def divide_tags(text: str, settings: CaptionSettings) -> tuple[list[str], list[str], list[str]]:
    """(kept at the front, loose, kept at the end). A trigger word among the tags is always kept at the front."""
    separator = settings.separator
    if settings.keep_tags_separator and settings.keep_tags_separator in text:
        head, loose, *tail = (split_tags(part, separator) for part in text.split(settings.keep_tags_separator, 2))
        return _with_trigger(head, loose, tail[0] if tail else [], settings.trigger)
    tags = [tag for tag in split_tags(text, separator) if normal(tag) != normal(settings.trigger)]
    has_trigger = len(tags) < len(split_tags(text, separator))
    head = [settings.trigger] * has_trigger + tags[: settings.keep_tags]
    return head, tags[settings.keep_tags :], []


def _with_trigger(
    head: list[str], loose: list[str], tail: list[str], trigger: str
) -> tuple[list[str], list[str], list[str]]:
    if normal(trigger) not in map(normal, loose):
        return head, loose, tail
    return [trigger, *head], [tag for tag in loose if normal(tag) != normal(trigger)], tail


def warmed_up(num_tags: int, settings: CaptionSettings, moment: CaptionMoment) -> int:
    """Number of loose tags shown: from `tag_warmup_min` linearly to all over `tag_warmup_steps`."""
    steps = settings.tag_warmup_steps
    if steps < 1:
        steps = math.floor(steps * moment.total_steps)
    if moment.step >= steps:
        return num_tags
    first = min(settings.tag_warmup_min, num_tags)
    return first + math.floor(moment.step * (num_tags - first) / steps)


def possible_captions(captions: Sequence[str], settings: CaptionSettings) -> tuple[str, ...] | None:
    """All captions that can be drawn from these lines, or None if tags or wildcards make them too many to list."""
    if why_captions_vary(captions, settings):
        return None
    lines = captions if settings.use_wildcards else captions[:1]
    quiet = replace(settings, caption_dropout=0.0, caption_dropout_every_n_epochs=0)
    moment = CaptionMoment(seed=0, epoch=0, image=0)
    possible = [process_caption([line], quiet, moment) for line in lines]
    if settings.caption_dropout or settings.caption_dropout_every_n_epochs:
        possible.append("")
    return tuple(dict.fromkeys(possible))


def why_captions_vary(captions: Sequence[str], settings: CaptionSettings) -> str:
    """The setting that makes an image's captions too many to encode in advance; empty if there is none."""
    if settings.shuffle_tags:
        return "shuffle_tags"
    if settings.tag_dropout:
        return "tag_dropout"
    if settings.tag_warmup_steps:
        return "tag_warmup_steps"
    texts = [*captions, settings.prefix, settings.suffix]
    if settings.use_wildcards and any(re.search(r"\{[^{}]*\|", text.replace("{{", "")) for text in texts):
        return "wildcards"
    return ""


def _index(count: int, draws: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=draws))

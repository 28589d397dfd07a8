"""The trigger word is typed once, in the dataset or its captions; everything else that needs it takes it from there."""

import re
from collections.abc import Sequence
from dataclasses import replace

from ..data.dataset import Dataset, Subset
from ..data.findings import trained_tags
from ..data.images import ImageItem
from ..data.tags import normal
from ..data.traits import is_trait
from ..files.lora_file import load_metadata
from ..files.metadata import TRIGGER_PHRASE
from ..objective.settings import ObjectiveSettings, needs_trigger
from ..run.folder import RunFolder
from ..watch.previews import PreviewSettings

PLACEHOLDER = "[trigger]"
"""Replaced by the trigger word in prompts."""


MAX_WORDS = 4
"""A longer beginning of a caption is a sentence."""
_GENERAL = (
    r"\d\+?(girl|boy|other)s?|solo|no humans|(score|source|rating) [\w ]+|masterpiece|(best|high|good|normal) quality|"
    r"absurdres|highres|newest|very aesthetic|safe"
)
"""Tags that often stand before the trigger word: people, quality, rating."""


def triggers_of(dataset: Dataset) -> tuple[str, ...]:
    """Trigger words of all images, each once: those that are typed, else those with which all captions begin."""
    words = (subset.captions.trigger.strip() for subset in dataset.subsets)
    return tuple(dict.fromkeys(word for word in words if word)) or triggers_in_captions(dataset)


def triggers_in_captions(dataset: Dataset) -> tuple[str, ...]:
    """The tag with which every caption begins, or, of several concepts, that of each; empty if there is none.

    General tags such as `1girl` may stand before it; a trait such as red hair is none. Regularization images do not
    count.
    """
    own = [subset for subset in dataset.subsets if not subset.is_regularization]
    shared = _first_tag(own)
    if shared or not own:
        return (shared,) if shared else ()
    each = [_first_tag([subset]) if len(subset.items) > 1 else "" for subset in own]
    return tuple(dict.fromkeys(each)) if all(each) else ()


def trigger_note(dataset: Dataset) -> str:
    """Names the trigger word that was found in the captions; empty if one is typed, or none was found."""
    is_typed = any(subset.captions.trigger.strip() for subset in dataset.subsets)
    found = () if is_typed else triggers_in_captions(dataset)
    return f"trigger word {', '.join(found)}: every caption begins with it" if found else ""


def _first_tag(subsets: Sequence[Subset]) -> str:
    firsts = [_first_own(item, subset) for subset in subsets for item in subset.items]
    if len({normal(tag) for tag in firsts}) != 1 or len(firsts[0].split()) > MAX_WORDS:
        return ""
    return "" if is_trait(normal(firsts[0])) else firsts[0]


def _first_own(item: ImageItem, subset: Subset) -> str:
    tags = trained_tags(item, subset.captions)
    return next((tag for tag in tags if not re.fullmatch(_GENERAL, normal(tag))), "")


def objective_with_trigger(objective: ObjectiveSettings, dataset: Dataset) -> ObjectiveSettings:
    """Fill in the dataset's trigger word if the objective needs one and has none.

    Raises:
        ValueError: The dataset has none, or more than one.
    """
    if objective.trigger.strip() or not needs_trigger(objective):
        return objective
    wanted_by = f"prior_preservation {objective.prior_preservation}"
    return replace(objective, trigger=_the_one(triggers_of(dataset), wanted_by, "trigger of Loss & Noise"))


def preview_with_trigger(preview: PreviewSettings, dataset: Dataset) -> PreviewSettings:
    """Replace `[trigger]` in the previews' prompts by the dataset's trigger word; see `prompts_with_trigger`.

    With several concepts, a prompt with the placeholder is drawn once for each.
    """
    triggers = triggers_of(dataset)
    words = triggers if len(triggers) > 1 else (PLACEHOLDER,)
    drawn = [
        prompt.replace(PLACEHOLDER, word)
        for prompt in preview.prompts
        for word in (words if PLACEHOLDER in prompt else words[:1])
    ]
    prompts = prompts_with_trigger((*drawn, preview.negative), triggers)
    return replace(preview, prompts=prompts[:-1], negative=prompts[-1])


def prompts_with_trigger(prompts: Sequence[str], triggers: Sequence[str]) -> tuple[str, ...]:
    """Replace `[trigger]` in prompts by the trigger word; prompts without it stay as they are.

    Raises:
        ValueError: A prompt has the placeholder, and there is no trigger word or more than one.
    """
    if not any(PLACEHOLDER in prompt for prompt in prompts):
        return tuple(prompts)
    word = _the_one(triggers, f"{PLACEHOLDER} in the prompts", "the prompts")
    return tuple(prompt.replace(PLACEHOLDER, word) for prompt in prompts)


def trigger_of_run(run: RunFolder) -> str:
    """The trigger words in the header of a run's LoRAs, separated by commas; empty without any."""
    saved = run.step_loras()
    return load_metadata(saved[max(saved)]).get(TRIGGER_PHRASE, "") if saved else ""


def _the_one(triggers: Sequence[str], wanted_by: str, place: str) -> str:
    if not triggers:
        raise ValueError(
            f"{wanted_by} needs a trigger word, and none is set: type it at trigger of Captions, or in {place}"
        )
    if len(triggers) > 1:
        raise ValueError(
            f"{wanted_by} needs one trigger word, and there are {len(triggers)} ({', '.join(triggers)}): type "
            f"the one you mean in {place}"
        )
    return triggers[0]

"""The trigger word is typed once, in the dataset; everything else that needs it takes it from there."""

from collections.abc import Sequence
from dataclasses import replace

from ..data.dataset import Dataset
from ..files.lora_file import load_metadata
from ..files.metadata import TRIGGER_PHRASE
from ..objective.settings import ObjectiveSettings, needs_trigger
from ..run.folder import RunFolder
from ..watch.previews import PreviewSettings

PLACEHOLDER = "[trigger]"
"""Replaced by the trigger word in prompts."""


def triggers_of(dataset: Dataset) -> tuple[str, ...]:
    """Trigger words of all images, each once."""
    words = (subset.captions.trigger.strip() for subset in dataset.subsets)
    return tuple(dict.fromkeys(word for word in words if word))


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
    """Replace `[trigger]` in the previews' prompts by the dataset's trigger word; see `prompts_with_trigger`."""
    prompts = prompts_with_trigger((*preview.prompts, preview.negative), triggers_of(dataset))
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

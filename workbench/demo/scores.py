"""Scores of a LoRA of an original character, and the prompts to measure them.

Identity: the trigger word draws the character. Flexibility: the character appears in places its dataset never showed.
Prior: prompts without the trigger still give what the base model draws.
"""

from collections.abc import Sequence

from PIL import Image

from ..pocket.captions import held_out_creatures
from ..pocket.characters import OriginalCharacter
from ..pocket.measure import flexibility, identity, prior
from ..pocket.world import describe
from .sampling import Pictures

NUM_OTHER_CREATURES = 3


def prompts_to_score(character: OriginalCharacter) -> dict[str, str]:
    """Return prompts and what to write above their pictures."""
    seen = character.caption(character.seen_backgrounds[0])
    unseen = [character.caption(name) for name in character.unseen_backgrounds[:2]]
    others = [describe(creature) for creature in held_out_creatures()[:NUM_OTHER_CREATURES]]
    return {
        seen: f"identity: {seen}",
        **{prompt: f"flexibility: {prompt} (not in the dataset)" for prompt in unseen},
        **{prompt: f"prior: {prompt}" for prompt in others},
    }


def describe_scores(character: OriginalCharacter, base: Pictures, lora: Pictures) -> str:
    """Return the three scores of both, as lines of text."""
    lines = [f"{'':14}{'base':>6}{'LoRA':>7}"]
    rows = zip(scores(character, base, base), scores(character, lora, base), strict=True)
    meanings = {
        "identity": "share of pictures asked for with the trigger that show the character",
        "flexibility": "the same, in front of a background its dataset does not have",
        "prior": "obedience to captions without the trigger, base model = 100 %",
    }
    for (name, meaning), (of_base, of_lora) in zip(meanings.items(), rows, strict=True):
        lines.append(f"  {name:12}{of_base:6.0%}{of_lora:7.0%}   {meaning}")
    return "\n".join(lines)


def scores(character: OriginalCharacter, pictures: Pictures, base: Pictures) -> tuple[float, float, float]:
    """Return identity, flexibility and prior, each 0 to 1; prior relative to the base model's pictures."""
    prompts = list(pictures)
    with_trigger = [prompt for prompt in prompts if prompt.startswith(character.trigger)]
    unseen = [prompt for prompt in with_trigger if prompt != character.caption(character.seen_backgrounds[0])]
    others = [prompt for prompt in prompts if prompt not in with_trigger]
    images, captions = _flat(pictures, unseen)
    other_images, other_captions = _flat(pictures, others)
    return (
        identity(_flat(pictures, with_trigger)[0], character),
        flexibility(images, captions, character),
        prior(other_images, other_captions, _flat(base, others)[0]),
    )


def _flat(pictures: Pictures, prompts: Sequence[str]) -> tuple[list[Image.Image], list[str]]:
    pairs = [(picture, prompt) for prompt in prompts for picture in pictures[prompt]]
    return [picture for picture, _ in pairs], [prompt for _, prompt in pairs]

"""Traits of a subject that are in nearly all captions: learned with their own words, not with the trigger."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from .findings import tag_images
from .prepared import Entry

NEARLY_ALL = 0.8
"""Share of a subset's captions."""
FEWEST_IMAGES = 5
"""With fewer images, a share means nothing."""
BODY = frozenset(
    [
        "antennae",
        "bangs",
        "beard",
        "braid",
        "braids",
        "ear",
        "ears",
        "eye",
        "eyebrows",
        "eyes",
        "fang",
        "fangs",
        "feathers",
        "freckles",
        "fur",
        "hair",
        "halo",
        "horn",
        "horns",
        "mole",
        "mustache",
        "ponytail",
        "scales",
        "scar",
        "scars",
        "skin",
        "stubble",
        "tail",
        "tattoo",
        "twintails",
        "wing",
        "wings",
    ]
)
"""Words of booru tags and sentences for features of a subject that do not depend on clothes or actions."""
PASSING = frozenset(["closed", "covered", "half-closed", "narrowed", "wet", "wide-eyed"])
"""Words beside them that turn a feature into an expression or a temporary state."""


def binding_traits(entries: Sequence[Entry]) -> Iterator[tuple[str, list[str], int]]:
    """(subset, traits, number of its images) for traits in at least four fifths of a subset's captions.

    Regularization images are left out, since they should show traits by their words.
    """
    subsets: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if not entry.subset.is_regularization:
            subsets[entry.subset.name].append(entry)
    for name, members in subsets.items():
        if len(members) >= FEWEST_IMAGES:
            found = tag_images(members).items()
            traits = [tag for tag, images in found if is_trait(tag) and len(images) >= NEARLY_ALL * len(members)]
            if traits:
                yield name, traits, len(members)


def is_trait(tag: str) -> bool:
    """Whether a tag names a feature of the body."""
    words = set(tag.split())
    return bool(words & BODY) and not words & PASSING

"""The example workflows, by file name. Each is for a real checkpoint: choose it, the folder and the name.

The two that the demo and the measured loop queue exist for the pocket model too, named so; of the others that form is
composed when it is run.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .canvas import Canvas
from .dataset_examples import from_one_image, masked_training, regularization_and_prior, several_concepts, style
from .tool_examples import (
    bake_into_a_checkpoint,
    blend_two_styles,
    compare_steps,
    extract_from_a_fine_tune,
    shrink_a_lora,
)
from .training_examples import (
    continue_a_lora,
    from_kohya,
    multi_stage,
    recipe,
    resume_and_branch,
    sdxl_8gb,
    train_then_sample,
)

SMALL_PREFIX = "small_model_"
EXAMPLES: dict[str, Callable[[Canvas], None]] = {
    compose.__name__: compose
    for compose in (
        train_then_sample,
        recipe,
        sdxl_8gb,
        multi_stage,
        resume_and_branch,
        continue_a_lora,
        style,
        several_concepts,
        from_one_image,
        masked_training,
        regularization_and_prior,
        compare_steps,
        blend_two_styles,
        bake_into_a_checkpoint,
        shrink_a_lora,
        extract_from_a_fine_tune,
        from_kohya,
    )
}
SMALL_EXAMPLES: dict[str, Callable[[Canvas], None]] = {
    f"{SMALL_PREFIX}{compose.__name__}": compose for compose in (train_then_sample, from_one_image)
}
SHIPPED = {**EXAMPLES, **SMALL_EXAMPLES}


def composed(name: str, object_info: Mapping[str, Any]) -> Canvas:
    """The canvas of a shipped example."""
    canvas = Canvas(object_info, is_small=name in SMALL_EXAMPLES)
    SHIPPED[name](canvas)
    return canvas

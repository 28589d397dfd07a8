"""The example workflows, by file name. Each runs on the pocket model; the notes say what to change for a real one."""

from collections.abc import Callable

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

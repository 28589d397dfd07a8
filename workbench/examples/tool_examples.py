"""Examples of what to do with finished LoRAs."""

from .canvas import Canvas, Port
from .dataset_examples import other
from .parts import (
    CHECKPOINT,
    TRIGGER,
    Base,
    begin,
    compare_size,
    length,
    network_of,
    prompts,
    quick_rate,
    rate,
    sample,
    street,
    train,
)

FINE_TUNING_RATE = 1e-4
"""Of all weights of the pocket model, where a LoRA takes `RATE`."""


OTHER_CREATURES = """\
creature, square body, green skin, horns, one eye, sand background
creature, tall body, orange skin, ears, two eyes, white background
creature, triangle body, blue skin, antenna, three eyes, brown background"""
OTHER_PEOPLE = """\
1girl, solo, black hair, short hair, glasses, school uniform, classroom
1boy, solo, blonde hair, jacket, street
2girls, smiling, beach, day"""
"""Described whole, so that a LoRA of zorblax has nothing to say there."""


def compare_steps(canvas: Canvas) -> None:
    """A scored grid of saved steps; the best is made ready to share."""
    base = begin(canvas, "compare_steps")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    references = canvas.add("LoadImage", 1, title="Choose a picture of your character", image="zorblax_one.png")[0]
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=rate(canvas))[0]
    trained = train(canvas, 2, base, dataset, "zorblax_steps", optimizer=optimizer, **length(canvas, 1000, 80))
    grid, best, report = canvas.add(
        "BakeryCompare", 3, model=base.model, clip=base.clip, vae=base.vae, run=trained[3], references=references,
        prompts=prompts(canvas), num_steps=4, other_prompts=canvas.pick(OTHER_PEOPLE, OTHER_CREATURES),
        **compare_size(canvas),
    )  # fmt: skip
    canvas.add("PreviewImage", 3, title="The best has a frame", images=grid)
    canvas.add("PreviewAny", 4, title="Scores", source=report)
    canvas.add("BakeryShareLoRA", 4, run=trained[3], lora=best, name="zorblax_best", strength="0.8 to 1")
    picked = canvas.add("BakeryPickStep", 2, run=trained[3], pick="picked in the strip")[0]
    model, clip = canvas.add("BakeryApplyLoRA", 4, model=base.model, clip=base.clip, lora=picked)
    prompt = street(canvas, 5, trained[TRIGGER])
    sample(canvas, 5, "The step picked under the previews", base.after([model, clip]), prompt)


def blend_two_styles(canvas: Canvas) -> None:
    """Two styles in one LoRA."""
    base = begin(canvas, "blend_two_styles")
    styles = [_style(canvas, base, name) for name in ("blueprint", "ember")]
    blend, report = canvas.add(
        "BakeryMergeLoRAs", 3, lora_1=styles[0], strength_1=0.6, lora_2=styles[1], strength_2=0.6
    )  # fmt: skip
    canvas.add("PreviewAny", 3, title="Ranks and error", source=report)
    canvas.add("BakerySaveLoRA", 3, lora=blend, filename_prefix="blueprint_and_ember")
    blended = canvas.add("BakeryApplyLoRA", 4, model=base.model, clip=base.clip, lora=blend)
    sample(canvas, 5, "Both styles", base.after(blended), other(canvas))


def bake_into_a_checkpoint(canvas: Canvas) -> None:
    """A model that has a LoRA in it for good."""
    base = begin(canvas, "bake_into_a_checkpoint")
    style = _style(canvas, base, "blueprint")
    baked = canvas.add(
        "BakeryMergeIntoModel", 3, model=base.model, clip=base.clip, lora=style, unet_strength=0.8,
        text_encoder_strength=0.8,
    )  # fmt: skip
    canvas.add(
        "CheckpointSave", 4, title="Save Checkpoint (muted: writes a whole model)", is_muted=True, model=baked[0],
        clip=baked[1], vae=base.vae, filename_prefix="checkpoints/with_blueprint",
    )  # fmt: skip
    sample(canvas, 5, "From the baked model", base.after(baked), other(canvas))


def shrink_a_lora(canvas: Canvas) -> None:
    """A smaller file with nearly the same pictures, beside those of the large one."""
    base = begin(canvas, "shrink_a_lora")
    large = _style(canvas, base, "blueprint")
    small, report = canvas.add("BakeryResizeLoRA", 3, lora=large, rank=16, rank_method="sv_fro", threshold=0.99)
    canvas.add("PreviewAny", 3, title="Ranks, size and what was lost", source=report)
    canvas.add("BakerySaveLoRA", 3, lora=small, filename_prefix="blueprint_small")
    for column, (title, lora) in enumerate((("As it was", large), ("Smaller", small)), 4):
        applied = canvas.add("BakeryApplyLoRA", column, model=base.model, clip=base.clip, lora=lora)
        sample(canvas, column, title, base.after(applied), other(canvas))


def extract_from_a_fine_tune(canvas: Canvas) -> None:
    """The difference of two models as a LoRA, beside the model it comes from."""
    base = begin(canvas, "extract_from_a_fine_tune")
    tuned = _fine_tune(canvas, base) if canvas.is_small else _another(canvas)
    extracted, report = canvas.add(
        "BakeryExtractLoRA", 3, model=base.model, tuned_model=tuned[0], clip=base.clip, tuned_clip=tuned[1],
        rank=canvas.pick(32, 16),
    )  # fmt: skip
    canvas.add("PreviewAny", 3, title="Ranks, size and error", source=report)
    canvas.add("BakerySaveLoRA", 3, lora=extracted, filename_prefix="blueprint_extracted")
    text, blocks = canvas.add("BakeryInspectLoRA", 4, lora=extracted)
    canvas.add("PreviewAny", 4, title="What is in it", source=text)
    canvas.add("PreviewImage", 4, title="Norm by block", images=blocks)
    sample(canvas, 5, "The fine-tuned model", base.after(tuned), other(canvas))
    applied = canvas.add("BakeryApplyLoRA", 6, model=base.model, clip=base.clip, lora=extracted)
    sample(canvas, 6, "Base with the extracted LoRA", base.after(applied), other(canvas))


def _fine_tune(canvas: Canvas, base: Base) -> list[Port]:
    """Model and CLIP of the pocket model, all its weights trained for a while."""
    folder = canvas.add("BakeryLoadDataset", 1, folder="blueprint_style")[0]
    network = canvas.add("BakeryNetwork", 1, algorithm="full")[0]
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=FINE_TUNING_RATE)[0]
    return train(canvas, 2, base, folder, "blueprint_full", network=network, optimizer=optimizer, steps=120)


def _another(canvas: Canvas) -> list[Port]:
    """Model and CLIP of a second checkpoint, fine-tuned from the first."""
    title = "The fine-tuned checkpoint"
    return canvas.add("CheckpointLoaderSimple", 2, title=title, ckpt_name=CHECKPOINT)


def _style(canvas: Canvas, base: Base, name: str) -> Port:
    """The LoRA of a short training; trained once, whichever example is run first."""
    folder = canvas.add("BakeryLoadDataset", 1, folder=f"{name}_style")[0]
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=quick_rate(canvas), schedule="cosine")[0]
    network = network_of(canvas)
    return train(
        canvas, 2, base, folder, f"{name}_style", network=network, optimizer=optimizer,
        **length(canvas, 1500, 160),
    )[2]  # fmt: skip

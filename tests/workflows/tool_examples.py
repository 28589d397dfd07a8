"""Examples of what to do with finished LoRAs."""

from .canvas import Canvas
from .parts import RATE, begin, compare_size, sample, train


def compare_steps(canvas: Canvas) -> None:
    """A scored grid of saved steps; the best is saved."""
    base = begin(canvas, "compare_steps")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    references = canvas.add("LoadImage", 1, title="What it should look like", image="zorblax_one.png")[0]
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=RATE)[0]
    trained = train(canvas, 2, base, dataset, "zorblax_steps", optimizer=optimizer, steps=80)
    grid, best, report = canvas.add(
        "BakeryCompare", 3, model=base.model, clip=base.clip, vae=base.vae, run=trained[3], references=references,
        prompts="zorblax, sky background\nzorblax, teal background", trigger="zorblax", num_steps=4, **compare_size(),
    )  # fmt: skip
    canvas.add("PreviewImage", 3, title="The best has a frame", images=grid)
    canvas.add("PreviewAny", 4, title="Scores", source=report)
    canvas.add("BakerySaveLoRA", 4, lora=best, filename_prefix="zorblax_best")
    picked = canvas.add("BakeryPickStep", 2, run=trained[3], pick="picked in the strip")[0]
    model, clip = canvas.add("BakeryApplyLoRA", 4, model=base.model, clip=base.clip, lora=picked)
    sample(canvas, 5, "The step picked under the previews", base.after([model, clip]))


def merge_bake_resize_extract(canvas: Canvas) -> None:
    """Two LoRAs become one, smaller, part of a model, and a LoRA again."""
    base = begin(canvas, "merge_bake_resize_extract")
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=RATE)[0]
    loras = []
    for name in ("zorblax", "quindle"):
        dataset = canvas.add("BakeryLoadDataset", 1, folder=name)[0]
        loras.append(train(canvas, 2, base, dataset, f"{name}_short", optimizer=optimizer, steps=40)[2])
    merged = canvas.add("BakeryMergeLoRAs", 3, lora_1=loras[0], lora_2=loras[1], strength_2=0.7)[0]
    small, report = canvas.add("BakeryResizeLoRA", 3, lora=merged, rank=8)
    canvas.add("PreviewAny", 3, title="What resizing lost", source=report)
    canvas.add("BakerySaveLoRA", 4, lora=small, filename_prefix="zorblax_quindle")
    model, clip = canvas.add(
        "BakeryMergeIntoModel", 4, model=base.model, clip=base.clip, lora=small, unet_strength=0.9
    )  # fmt: skip
    canvas.add(
        "CheckpointSave", 4, title="Save Checkpoint (muted: writes a whole model)", is_muted=True, model=model,
        clip=clip, vae=base.vae, filename_prefix="checkpoints/with_zorblax",
    )  # fmt: skip
    extracted = canvas.add("BakeryExtractLoRA", 5, model=base.model, tuned_model=model, rank=8)[0]
    text, blocks = canvas.add("BakeryInspectLoRA", 5, lora=extracted)
    canvas.add("PreviewAny", 5, title="What was extracted", source=text)
    canvas.add("PreviewImage", 5, title="Norm by block", images=blocks)
    again = canvas.add("BakeryApplyLoRA", 5, model=base.model, clip=base.clip, lora=extracted)
    sample(canvas, 6, "With the extracted LoRA", base.after(again))

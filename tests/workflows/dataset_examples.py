"""Examples of what to train on: styles, several subjects, masks, regularization, one image."""

from .canvas import Canvas
from .parts import RATE, begin, compare_size, preview, sample, train

CREATURE = "creature, round body, red skin, two eyes, sky background"


def style(canvas: Canvas) -> None:
    """A way of drawing, measured on held-out pictures."""
    base = begin(canvas, "style")
    folder = canvas.add("BakeryLoadDataset", 1, folder="blueprint_style")[0]
    dataset = canvas.add("BakeryCaptions", 1, dataset=folder, shuffle_tags=True, keep_tags=1, caption_dropout=0.05)[0]
    network = canvas.add("BakeryNetwork", 2, algorithm="locon", rank=16, alpha=8.0)[0]
    network = canvas.add("BakeryBlockWeights", 2, network=network, blocks="IN:1, M:1, OUT:1")[0]
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=RATE, schedule="cosine", ema_decay=0.9)[0]
    objective = canvas.add("BakeryObjective", 2, min_snr_gamma=8.0)[0]
    trained = train(
        canvas, 3, base, dataset, "blueprint", network=network, optimizer=optimizer, objective=objective,
        validation_share=0.1, validate_every=20, preview=preview(canvas, 1, CREATURE),
    )  # fmt: skip
    chart = canvas.add("BakeryPlotRun", 3, run=trained[3], width=800, panel_height=160)[0]
    canvas.add("PreviewImage", 3, title="Loss, and loss of held-out pictures", images=chart)
    sample(canvas, 4, "In the style", base.after(trained), text=CREATURE)
    sample(canvas, 5, "Without the LoRA", base, text=CREATURE)


def several_concepts(canvas: Canvas) -> None:
    """Three characters, shown equally often."""
    base = begin(canvas, "several_concepts")
    names = ("zorblax", "quindle", "fennarock")
    folders = [canvas.add("BakeryLoadDataset", 1, title=name, folder=name)[0] for name in names]
    joined = {f"dataset_{number}": folder for number, folder in enumerate(folders, 1)}
    dataset = canvas.add("BakeryCombineDatasets", 2, balance=True, **joined)[0]
    pages, report = canvas.add("BakeryInspectDataset", 2, dataset=dataset)
    canvas.add("PreviewImage", 2, title="As it is trained", images=pages)
    canvas.add("PreviewAny", 2, title="Buckets, tags, warnings", source=report)
    canvas.add("BakerySaveDataset", 2, dataset=dataset, folder="three_creatures")
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=RATE)[0]
    prompts = "\n".join(f"{name}, sand background" for name in names)
    trained = train(
        canvas, 3, base, dataset, "three_creatures", optimizer=optimizer, preview=preview(canvas, 1, prompts)
    )
    canvas.add("PreviewImage", 3, title="All previews: a row a subject, a column a step", images=trained[4])
    sample(canvas, 4, "One of them", base.after(trained), text="quindle, sky background")


def masked_training(canvas: Canvas) -> None:
    """Only the character, never its background."""
    base = begin(canvas, "masked_training")
    folder = canvas.add("BakeryLoadDataset", 1, folder="zorblax", mask_folder="zorblax_masks")[0]
    image, mask = canvas.add("LoadImage", 1, title="One more picture, with a mask drawn on it", image="zorblax_one.png")
    one = canvas.add("BakeryImagesToDataset", 1, images=image, masks=mask, captions="zorblax, sky background")[0]
    both = canvas.add("BakeryCombineDatasets", 2, dataset_1=folder, dataset_2=one)[0]
    dataset = canvas.add("BakeryBuckets", 2, dataset=both, use_alpha_masks=True, flip=True)[0]
    objective = canvas.add("BakeryObjective", 2, is_mask_area_normalized=True)[0]
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=RATE)[0]
    trained = train(
        canvas, 3, base, dataset, "zorblax_masked", objective=objective, optimizer=optimizer,
        preview=preview(canvas, 2, "zorblax, teal background"),
    )  # fmt: skip
    sample(canvas, 4, "In front of a new background", base.after(trained), text="zorblax, teal background")


def regularization_and_prior(canvas: Canvas) -> None:
    """Regularization images, answered as the base model answers."""
    base = begin(canvas, "regularization_and_prior")
    own = canvas.add("BakeryLoadDataset", 1, title="The subject", folder="zorblax")[0]
    others = canvas.add(
        "BakeryLoadDataset", 1, title="Its class in general", folder="creatures", is_regularization=True
    )[0]
    joined = canvas.add("BakeryCombineDatasets", 2, dataset_1=own, dataset_2=others)[0]
    dataset = canvas.add("BakeryCaptions", 2, dataset=joined, trigger="zorblax")[0]
    objective = canvas.add("BakeryObjective", 2, prior_preservation="regularization_images", prior_loss_weight=1.0)[0]
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=RATE)[0]
    trained = train(
        canvas, 3, base, dataset, "zorblax_prior", objective=objective, optimizer=optimizer,
        preview=preview(canvas, 2, f"zorblax, sand background\n{CREATURE}"),
    )  # fmt: skip
    canvas.add("PreviewImage", 3, title="All previews: the subject, another creature", images=trained[4])
    sample(canvas, 4, "Another creature, with the LoRA", base.after(trained), text=CREATURE)
    sample(canvas, 5, "The same without it", base, text=CREATURE)


def from_one_image(canvas: Canvas) -> None:
    """Two rounds: train, draw variations, keep the good ones, go on."""
    base = begin(canvas, "from_one_image", height=760)
    image = canvas.add("LoadImage", 1, title="The only image", image="zorblax_one.png")[0]
    real = canvas.add(
        "BakeryImagesToDataset", 1, title="Real: counts fully", images=image, captions="zorblax, sky background",
        repeats=4,
    )[0]  # fmt: skip
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=RATE)[0]
    first = train(canvas, 2, base, real, "zorblax_round_1", optimizer=optimizer, steps=40)
    encoded = canvas.add("VAEEncode", 2, pixels=image, vae=base.vae)[0]
    batch = canvas.add("RepeatLatentBatch", 2, samples=encoded, amount=6)[0]
    drawn = sample(
        canvas, 3, "Variations by round 1, numbered from 0", base.after(first),
        text="zorblax, sand background", start=(batch, 0.7),
    )  # fmt: skip
    good = canvas.add("ImageFromBatch", 4, title="The good ones", image=drawn, batch_index=0, length=3)[0]
    made = canvas.add(
        "BakeryImagesToDataset", 4, title="Generated: counts half", images=good, captions="zorblax, sand background",
        loss_weight=0.5,
    )[0]  # fmt: skip
    both = canvas.add("BakeryCombineDatasets", 4, dataset_1=real, dataset_2=made)[0]
    second = train(
        canvas, 5, base, both, "zorblax_round_2", optimizer=optimizer, steps=40, lora=first[2],
        on_dataset_change="continue",
    )  # fmt: skip
    grid = canvas.add(
        "BakeryCompare", 6, model=base.model, clip=base.clip, vae=base.vae, lora_1=first[2], lora_2=second[2],
        prompts="zorblax, sky background\nzorblax, teal background", references=image, **compare_size(),
    )  # fmt: skip
    canvas.add("PreviewImage", 6, title="Base model, round 1, round 2", images=grid[0])

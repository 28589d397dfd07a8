"""Examples of what to train on: styles, several subjects, masks, regularization, one image."""

from collections.abc import Sequence

from .canvas import Canvas, Port
from .data import CHARACTER, ONE_IMAGE, ONE_IMAGE_FOLDER
from .parts import (
    CHECKPOINT,
    TRIGGER,
    Base,
    begin,
    compare_size,
    length,
    network_of,
    preview,
    prompt_of,
    prompts,
    quick_rate,
    rate,
    sample,
    train,
)

CREATURE = "creature, round body, red skin, two eyes, sky background"


def other(canvas: Canvas) -> str:
    """A subject that no dataset here shows."""
    return canvas.pick("1girl, solo, upper body, smiling, red coat, street", CREATURE)


def style(canvas: Canvas) -> None:
    """A way of drawing, measured on held-out pictures."""
    base = begin(canvas, "style")
    folder = canvas.add("BakeryLoadDataset", 1, folder="blueprint_style")[0]
    dataset = canvas.add("BakeryCaptions", 1, dataset=folder, shuffle_tags=True, keep_tags=1, caption_dropout=0.05)[0]
    network = canvas.add(
        "BakeryNetwork", 2, algorithm="locon", **canvas.pick({"rank": 64, "alpha": 32.0}, {"rank": 16, "alpha": 8.0})
    )[0]
    network = canvas.add("BakeryBlockWeights", 2, network=network, blocks="IN:1, M:1, OUT:1")[0]
    optimizer = canvas.add(
        "BakeryOptimizer",
        2,
        learning_rate=quick_rate(canvas),
        schedule="cosine",
        ema_decay=canvas.pick(0.999, 0.9),
    )[0]
    objective = canvas.add("BakeryObjective", 2, min_snr_gamma=8.0)[0]
    trained = train(
        canvas, 3, base, dataset, "blueprint", network=network, optimizer=optimizer, objective=objective,
        validation_share=0.1, validate_every=canvas.pick(250, 40), **length(canvas, 3000, 160, 40),
        preview=preview(canvas, 1, other(canvas), every=40),
    )  # fmt: skip
    chart = canvas.add("BakeryPlotRun", 3, run=trained[3], width=800, panel_height=160)[0]
    canvas.add("PreviewImage", 3, title="Loss, and loss of held-out pictures", images=chart)
    sample(canvas, 4, "In the style", base.after(trained), text=other(canvas))
    sample(canvas, 5, "Without the LoRA", base, text=other(canvas))


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
    network = network_of(canvas)
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=quick_rate(canvas), schedule="cosine")[0]
    place = canvas.pick("smiling, street", "sand background")
    trained = train(
        canvas, 3, base, dataset, "three_creatures", network=network, optimizer=optimizer,
        **length(canvas, 3000, 360, 120),
        preview=preview(canvas, 1, f"[trigger], {place}", every=120),
    )  # fmt: skip
    canvas.add("PreviewImage", 3, title="All previews: a row a subject, a column a step", images=trained[4])
    sample(canvas, 4, "One of them", base.after(trained), prompt_of(canvas, 4, _first(canvas, trained), place, place))


def _first(canvas: Canvas, trained: Sequence[Port]) -> Port:
    """The first of several trigger words; those of the pocket model are known."""
    if canvas.is_small:
        return trained[TRIGGER]
    return canvas.add(
        "RegexExtract", 4, title="One of the trigger words", string=trained[TRIGGER], regex_pattern="[^,]+",
        mode="First Match",
    )[0]  # fmt: skip


def masked_training(canvas: Canvas) -> None:
    """Only the character, never its background."""
    base = begin(canvas, "masked_training")
    folder = canvas.add("BakeryLoadDataset", 1, folder="zorblax", mask_folder="zorblax_masks")[0]
    image, mask = canvas.add("LoadImage", 1, title="One more picture, with a mask drawn on it", image="zorblax_one.png")
    one = canvas.add("BakeryImagesToDataset", 1, images=image, masks=mask, captions="zorblax, sky background")[0]
    if not canvas.is_small:  # its caption names the character
        canvas.muted_group("One picture with its caption (switched off)", image.node)
    both = canvas.add("BakeryCombineDatasets", 2, dataset_1=folder, dataset_2=one)[0]
    dataset = canvas.add("BakeryBuckets", 2, dataset=both, use_alpha_masks=True, flip=canvas.is_small)[0]
    objective = canvas.add("BakeryObjective", 2, is_mask_area_normalized=True)[0]
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=rate(canvas))[0]
    trained = train(
        canvas, 3, base, dataset, "zorblax_masked", objective=objective, optimizer=optimizer,
        **length(canvas, 1000, 160, 40), preview=preview(canvas, 2, prompts(canvas), every=40),
    )  # fmt: skip
    prompt = prompt_of(canvas, 4, trained[TRIGGER], "snow, mountain", "teal background")
    sample(canvas, 4, "In front of a new background", base.after(trained), prompt)


def regularization_and_prior(canvas: Canvas) -> None:
    """Regularization images, answered as the base model answers."""
    base = begin(canvas, "regularization_and_prior")
    own = canvas.add("BakeryLoadDataset", 1, title="The subject", folder="zorblax")[0]
    others = canvas.add(
        "BakeryLoadDataset", 1, title="Its class in general", folder="creatures", is_regularization=True
    )[0]
    dataset = canvas.add("BakeryCombineDatasets", 2, dataset_1=own, dataset_2=others)[0]
    objective = canvas.add("BakeryObjective", 2, prior_preservation="regularization_images", prior_loss_weight=1.0)[0]
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=rate(canvas))[0]
    trained = train(
        canvas, 3, base, dataset, "zorblax_prior", objective=objective, optimizer=optimizer,
        **length(canvas, 2000, 60), preview=preview(canvas, 2, f"{prompts(canvas)}\n{other(canvas)}"),
    )  # fmt: skip
    canvas.add("PreviewImage", 3, title="All previews: the subject, another creature", images=trained[4])
    sample(canvas, 4, "Another creature, with the LoRA", base.after(trained), text=other(canvas))
    sample(canvas, 5, "The same without it", base, text=other(canvas))


def from_one_image(canvas: Canvas) -> None:
    """One round: train, draw variations to keep. Queued again after some were kept, it is the next round."""
    base = begin(canvas, "from_one_image")
    folder = canvas.add("BakeryLoadDataset", 1, title="The picture, and what you keep", folder=ONE_IMAGE_FOLDER)[0]
    dataset = canvas.add("BakeryBuckets", 1, dataset=folder, flip=canvas.is_small)[0]
    this_round = canvas.add("BakeryRound", 1, dataset=dataset, name=CHARACTER, learning_rate=rate(canvas))
    canvas.add("PreviewAny", 1, title="Rounds so far", source=this_round[3])
    optimizer = canvas.add("BakeryOptimizer", 2, learning_rate=this_round[4])[0]
    objective = canvas.add(
        "BakeryObjective",
        2,
        prior_preservation="extra_term",
        trigger=canvas.pick("", CHARACTER),
        trigger_class=canvas.pick("1girl", "creature"),
    )[0]
    trained = train(
        canvas, 2, base, dataset, this_round[0], optimizer=optimizer, objective=objective, lora=this_round[1],
        **length(canvas, 240, 120, 60), preview=preview(canvas, 2, prompts(canvas), every=0),
    )  # fmt: skip
    image = canvas.add("LoadImage", 3, title="Choose your picture: variations start from it", image=ONE_IMAGE)[0]
    encoded = canvas.add("VAEEncode", 3, pixels=image, vae=base.vae)[0]
    varied = canvas.add("RepeatLatentBatch", 3, samples=encoded, amount=canvas.pick(4, 6))[0]
    drawn = base.after(trained)
    places = canvas.pick(
        ("smiling, street", "sitting, indoors", "from side, forest"),
        ("sand background", "white background", "black background"),
    )
    for column, place in enumerate(places, start=4):
        prompt = prompt_of(canvas, column, trained[TRIGGER], place, place)
        of_image = sample(canvas, column, None, drawn, prompt, start=(varied, 0.7))
        fresh = sample(canvas, column, None, drawn, prompt)
        for title, images in (
            ("Variations: keep the good ones", of_image),
            ("New drawings: keep the good ones", fresh),
        ):
            canvas.add("SaveImage", column, title=title, images=images, filename_prefix=this_round[0])
    _other_checkpoint(canvas, 7, trained, varied, this_round[0])
    grid = canvas.add(
        "BakeryCompare", 8, model=base.model, clip=base.clip, vae=base.vae, run=trained[3], is_by_round=True,
        prompts=prompts(canvas), references=image, **compare_size(canvas),
    )  # fmt: skip
    canvas.add("PreviewImage", 8, title="Base model, then a column a round", images=grid[0])


def _other_checkpoint(canvas: Canvas, column: int, trained: Sequence[Port], start: Port, name: Port) -> None:
    """Variations drawn by another model, whose look differs; switched off until there is one."""
    other = Base(*canvas.add("CheckpointLoaderSimple", column, title="Another checkpoint", ckpt_name=CHECKPOINT))
    applied = canvas.add("BakeryApplyLoRA", column, model=other.model, clip=other.clip, lora=trained[2])
    prompt = prompt_of(canvas, column, trained[TRIGGER], "smiling, street", "sand background")
    images = sample(canvas, column, None, other.after(applied), prompt, start=(start, 0.7))
    title = "Of the other checkpoint: keep the good ones"
    canvas.add("SaveImage", column, title=title, images=images, filename_prefix=name)
    canvas.muted_group("Draw with another checkpoint too (switched off)", other.model.node)

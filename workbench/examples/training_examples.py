"""Examples of how to train: settings, stages, going on."""

import re
from dataclasses import replace
from typing import Any

from .canvas import Canvas
from .parts import (
    SDXL_PX,
    TRIGGER,
    begin,
    compare_size,
    length,
    network_of,
    preview,
    prompts,
    quick_rate,
    rate,
    sample,
    street,
    train,
)

KOHYA_COMMAND = """accelerate launch train_network.py
--pretrained_model_name_or_path=base.safetensors --dataset_config=zorblax.json
--network_module=networks.lora --network_dim=16 --network_alpha=16{network}
--network_train_unet_only --learning_rate={rate} --optimizer_type=AdamW --optimizer_args "weight_decay=0.01"
--lr_scheduler=cosine_with_restarts --lr_scheduler_num_cycles=2 --lr_warmup_steps=5%
--max_train_steps={steps} --train_batch_size={batch} --min_snr_gamma=5 --shuffle_caption --mixed_precision=bf16"""
REAL_KOHYA = {"network": "", "rate": "1e-4", "steps": 1000, "batch": 1}
SMALL_KOHYA = {"network": " --network_args conv_dim=16 conv_alpha=16", "rate": "2e-3", "steps": 160, "batch": 4}
KOHYA_DATASET = r"""{
  "general": {"caption_extension": ".txt", "keep_tokens": 1},
  "datasets": [{
    "resolution": <side>, "enable_bucket": true, "min_bucket_reso": <low>, "max_bucket_reso": <high>,
    "batch_size": <batch>,
    "subsets": [{"image_dir": "training/zorblax", "num_repeats": 2, "class_tokens": "zorblax"}]
  }]
}"""
"""A dataset config may be JSON too, which every Python reads."""


def train_then_sample(canvas: Canvas) -> None:
    """Dataset, train, sample: with the LoRA and without it, same seed."""
    base = begin(canvas, "train_then_sample")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    network = network_of(canvas)
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=rate(canvas), schedule="cosine", warmup_steps=0.05)[0]
    trained = train(
        canvas, 2, base, dataset, "zorblax", network=network, optimizer=optimizer, **length(canvas, 1000, 400, 100),
        batch_size=canvas.pick(1, 4), preview=preview(canvas, 1, prompts(canvas), every=100),
    )  # fmt: skip
    canvas.add("PreviewImage", 2, title="All previews: a row a prompt, a column a step", images=trained[4])
    prompt = street(canvas, 3, trained[TRIGGER])
    sample(canvas, 3, "With the LoRA", base.after(trained), prompt)
    sample(canvas, 4, "Without it", base, prompt)


def sdxl_8gb(canvas: Canvas) -> None:
    """The low-VRAM profile of the recipe."""
    base = replace(begin(canvas, "sdxl_8gb"), size=SDXL_PX)
    folder = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    dataset = canvas.add("BakeryBuckets", 1, dataset=folder, cache="disk")[0]
    recipe = canvas.add(
        "BakeryRecipe", 2, dataset=dataset, subject="character C: very elaborate, or with wings, armour or a tail",
        family="sdxl", vram_gib=8.0, profile="low VRAM (SDXL)", rates="fixed",
    )  # fmt: skip
    canvas.add("PreviewAny", 3, title="What was chosen, and why", source=recipe[4])
    trained = train(
        canvas, 3, base, dataset, "zorblax_8gb", network=recipe[0], optimizer=recipe[1], objective=recipe[2],
        stages=recipe[3], save_every=250, preview=preview(canvas, 2, prompts(canvas), every=30),
    )  # fmt: skip
    sample(canvas, 4, "With the LoRA", base.after(trained), street(canvas, 4, trained[TRIGGER]))


def recipe(canvas: Canvas) -> None:
    """Settings from a few answers."""
    base = begin(canvas, "recipe")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    chosen = canvas.add(
        "BakeryRecipe", 2, dataset=dataset, model=base.model, clip=base.clip, accuracy=canvas.pick("normal", "loose"),
        vram_gib=canvas.pick(12.0, 16.0),
        subject="character C: very elaborate, or with wings, armour or a tail",
        **canvas.pick({}, {"algorithm": "locon", "text_encoder": "frozen"}),
    )  # fmt: skip
    canvas.add("PreviewAny", 3, title="What was chosen, and why", source=chosen[4])
    trained = train(
        canvas, 3, base, dataset, "zorblax_recipe", network=chosen[0], optimizer=chosen[1], objective=chosen[2],
        stages=chosen[3], save_every=canvas.pick(250, 20), preview=preview(canvas, 2, prompts(canvas), every=50),
    )  # fmt: skip
    sample(canvas, 4, "With the LoRA", base.after(trained), street(canvas, 4, trained[TRIGGER]))


def multi_stage(canvas: Canvas) -> None:
    """Linear for most of it, then a little cosine at a smaller rate."""
    base = begin(canvas, "multi_stage")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    network = network_of(canvas)
    most = canvas.add(
        "BakeryOptimizer",
        1,
        title="Most of it",
        learning_rate=quick_rate(canvas),
        schedule="linear",
    )[0]
    last = canvas.add("BakeryOptimizer", 1, title="The end", learning_rate=rate(canvas, 1 / 2), schedule="cosine")[0]
    first = canvas.add("BakeryStage", 2, title="Stage 1", optimizer=most, **stage_length(canvas, 800, 150))[0]
    plan = canvas.add("BakeryStage", 2, title="Stage 2", stages=first, optimizer=last, **stage_length(canvas, 200, 50))[
        0
    ]
    canvas.add("BakeryPlotPlan", 2, title="The plan, before training", stages=plan, width=800, panel_height=160)
    trained = train(
        canvas, 3, base, dataset, "zorblax_stages", network=network, stages=plan, save_every=canvas.pick(250, 50),
        preview=preview(canvas, 2, prompts(canvas), every=50),
    )  # fmt: skip
    chart = canvas.add("BakeryPlotRun", 4, run=trained[3], width=800, panel_height=160)[0]
    canvas.add("PreviewImage", 4, title="Loss, rate and norms of both stages", images=chart)
    canvas.add("PreviewImage", 3, title="All previews", images=trained[4])


def resume_and_branch(canvas: Canvas) -> None:
    """A second run starts from a step of the first."""
    base = begin(canvas, "resume_and_branch")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    network = network_of(canvas)
    fast = canvas.add("BakeryOptimizer", 1, title="Of the first run", learning_rate=quick_rate(canvas))[0]
    slow = canvas.add("BakeryOptimizer", 1, title="Of the branch", learning_rate=rate(canvas, 1 / 2))[0]
    first = train(
        canvas, 2, base, dataset, "zorblax_first", network=network, optimizer=fast,
        **length(canvas, 1000, 120, 40),
    )  # fmt: skip
    step = canvas.add("BakeryPickStep", 2, run=first[3], pick="step", step=canvas.pick(500, 80))[0]
    branch = train(
        canvas, 3, base, dataset, "zorblax_branch", network=network, optimizer=slow, lora=step, seed=2,
        **length(canvas, 500, 80, 40),
    )  # fmt: skip
    grid = canvas.add(
        "BakeryCompare", 4, model=base.model, clip=base.clip, vae=base.vae, prompts=prompts(canvas), run=first[3],
        lora_1=branch[2], num_steps=3, **compare_size(canvas),
    )  # fmt: skip
    canvas.add("PreviewImage", 4, title="Steps of the first run, then the branch", images=grid[0])


def continue_a_lora(canvas: Canvas) -> None:
    """A file is trained further."""
    base = begin(canvas, "continue_a_lora")
    dataset = canvas.add("BakeryLoadDataset", 1, folder="zorblax")[0]
    lora = canvas.add("BakeryLoadLoRA", 1, lora_name="zorblax/zorblax.safetensors")[0]
    text, blocks = canvas.add("BakeryInspectLoRA", 2, lora=lora, clip=base.clip)[:2]
    canvas.add("PreviewAny", 2, title="What is in the file", source=text)
    canvas.add("PreviewImage", 2, title="Norm by block", images=blocks)
    optimizer = canvas.add("BakeryOptimizer", 1, learning_rate=rate(canvas, 1 / 4))[0]
    trained = train(
        canvas, 3, base, dataset, "zorblax_more", lora=lora, optimizer=optimizer, **length(canvas, 300, 40),
        preview=preview(canvas, 1, prompts(canvas)),
    )  # fmt: skip
    canvas.add("PreviewImage", 3, title="All previews", images=trained[4])
    sample(canvas, 4, "After a little more training", base.after(trained), street(canvas, 4, trained[TRIGGER]))


def from_kohya(canvas: Canvas) -> None:
    """A setup of sd-scripts, trained here and written back."""
    base = begin(canvas, "from_kohya")
    network, optimizer, objective, stages, notes, dataset = canvas.add(
        "BakeryImportKohya", 2, text=kohya_command(canvas), dataset_config=kohya_dataset(canvas)
    )
    canvas.add("PreviewAny", 2, title="What is set elsewhere, what is lost", source=notes)
    trained = train(
        canvas, 3, base, dataset, "zorblax_kohya", network=network, optimizer=optimizer, objective=objective,
        stages=stages, save_every=canvas.pick(250, 40), preview=preview(canvas, 1, prompts(canvas), every=40),
    )  # fmt: skip
    command, _, config = canvas.add(
        "BakeryExportKohya", 3, network=network, optimizer=optimizer, objective=objective, stages=stages,
        dataset=dataset,
    )  # fmt: skip
    canvas.add("PreviewAny", 3, title="As a command line again", source=command)
    canvas.add("PreviewAny", 3, title="As a dataset config again", source=config)
    sample(canvas, 4, "With the LoRA", base.after(trained), street(canvas, 4, trained[TRIGGER]))


def stage_length(canvas: Canvas, steps: int, small_steps: int) -> dict[str, Any]:
    """Steps of a stage."""
    return {"steps": canvas.pick(steps, small_steps), "batch_size": canvas.pick(1, 4)}


def kohya_command(canvas: Canvas) -> str:
    """A command line of sd-scripts."""
    return canvas.pick(KOHYA_COMMAND.format(**REAL_KOHYA), KOHYA_COMMAND.format(**SMALL_KOHYA))


def kohya_dataset(canvas: Canvas) -> str:
    """The dataset config beside it."""
    sizes = canvas.pick(
        {"side": 768, "low": 384, "high": 1536, "batch": 1}, {"side": 64, "low": 64, "high": 128, "batch": 4}
    )
    return re.sub("<([a-z]+)>", lambda found: str(sizes[found[1]]), KOHYA_DATASET)

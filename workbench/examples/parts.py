"""What the examples have in common: the checkpoint, a note, a sampler."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .canvas import Canvas, Port

NOTES = Path(__file__).resolve().parent / "notes"
SMALL_NOTE = NOTES / "small_model.md"
CHECKPOINT = "pocket.safetensors"
TRIGGER = 6
"""Output of Train LoRA: the trigger word, for the prompts of core's samplers."""
SAMPLED_PX = 768
"""Of core's samplers, which do not follow the model: SD1.5 and SDXL both draw it well."""
SDXL_PX = 1024
"""Of those in an example that is for SDXL alone."""
SMALL_PX, SMALL_CFG = 64, 4.0
RATE, SMALL_RATE = 1e-4, 1e-3
"""Of AdamW at batch size 1, from docs/guide/starting-values.md; the pocket model learns at ten times that."""


@dataclass(frozen=True, slots=True)
class Base:
    """The outputs of the checkpoint loader."""

    model: Port
    clip: Port
    vae: Port
    size: int = SAMPLED_PX
    """Sides of what is sampled from it."""

    def after(self, ports: Sequence[Port]) -> "Base":
        """The same with another model and CLIP: the first two of these ports."""
        return replace(self, model=ports[0], clip=ports[1])


def begin(canvas: Canvas, name: str) -> Base:
    """The note of an example and the checkpoint."""
    text = (NOTES / f"{name}.md").read_text(encoding="utf-8")
    canvas.note(0, canvas.pick(text, f"{text}\n{SMALL_NOTE.read_text(encoding='utf-8')}"))
    return Base(*canvas.add("CheckpointLoaderSimple", 1, ckpt_name=CHECKPOINT))


def train(canvas: Canvas, column: int, base: Base, dataset: Port, name: str | Port, **inputs: Any) -> list[Port]:
    """Train LoRA on the checkpoint; 1000 steps with four saves, a few on the pocket model, unless said otherwise."""
    values = {"seed": 1, "batch_size": canvas.pick(1, 4), **length(canvas, 1000, 60), **inputs}
    return canvas.add(
        "BakeryTrain", column, model=base.model, clip=base.clip, vae=base.vae, dataset=dataset, name=name, **values
    )


def length(canvas: Canvas, steps: int, small_steps: int, small_every: int = 20) -> dict[str, Any]:
    """Steps of Train LoRA, and saves: four in a run, so that the disk holds what one compares and no more."""
    return {"steps": canvas.pick(steps, small_steps), "save_every": canvas.pick(steps // 4, small_every)}


def network_of(canvas: Canvas) -> Port:
    """The default network; on the pocket model convolutions are trained as well, with which it learns most."""
    return canvas.add("BakeryNetwork", 1, algorithm=canvas.pick("lora", "locon"), rank=16, alpha=16.0)[0]


def prompts(canvas: Canvas) -> str:
    """Two prompts of the character: near the pictures, and elsewhere."""
    return canvas.pick(
        "[trigger], smiling, street\n[trigger], from behind, forest, night",
        "zorblax, sky background\nzorblax, teal background",
    )


def prompt_of(canvas: Canvas, column: int, trigger: Port, rest: str, small_rest: str) -> Port | str:
    """The trigger word and what else to draw; typed for the pocket model, whose word is known."""
    if canvas.is_small:
        return f"zorblax, {small_rest}"
    title = "Prompt: the trigger word and"
    return canvas.add("StringConcatenate", column, title=title, string_a=trigger, string_b=rest, delimiter=", ")[0]


def street(canvas: Canvas, column: int, trigger: Port) -> Port | str:
    """Where the pictures of the examples show their character."""
    return prompt_of(canvas, column, trigger, "smiling, street", "brown background")


def rate(canvas: Canvas, factor: float = 1.0) -> float:
    """Learning rate of AdamW, times the factor."""
    return factor * canvas.pick(RATE, SMALL_RATE)


def quick_rate(canvas: Canvas) -> float:
    """The same, twice that on the pocket model, which stands it."""
    return rate(canvas, canvas.pick(1, 2))


def preview(canvas: Canvas, column: int, prompts: str, every: int = 20) -> Port:
    """What is drawn while it trains; `every` counts steps of the pocket model, others draw four times in 1000."""
    drawing = canvas.pick(
        {"every": min(250, every * 250)},
        {"every": every, "width": SMALL_PX, "height": SMALL_PX, "steps": 12, "cfg": SMALL_CFG, "sampler": "euler"},
    )
    return canvas.add("BakeryPreview", column, prompts=prompts, **drawing)[0]


def sample(
    canvas: Canvas, column: int, title: str | None, source: Base, text: str | Port,
    start: tuple[Port, float] | None = None,
) -> Port:  # fmt: skip
    """A core sampler with its prompts; gives the pictures, shown where titled. `start` is (latent, denoise)."""
    size, cfg = canvas.pick(source.size, SMALL_PX), canvas.pick(5.0, SMALL_CFG)
    prompt = canvas.add("CLIPTextEncode", column, title="Prompt", clip=source.clip, text=text)[0]
    negative = canvas.add("CLIPTextEncode", column, title="Negative", clip=source.clip, text="")[0]
    latent, denoise = start or (
        canvas.add("EmptyLatentImage", column, width=size, height=size, batch_size=canvas.pick(2, 4))[0], 1.0
    )  # fmt: skip
    samples = canvas.add(
        "KSampler", column, model=source.model, positive=prompt, negative=negative, latent_image=latent, seed=1,
        steps=canvas.pick(25, 20), cfg=cfg, sampler_name="euler", scheduler="normal", denoise=denoise,
    )[0]  # fmt: skip
    images = canvas.add("VAEDecode", column, samples=samples, vae=source.vae)[0]
    if title is not None:
        canvas.add("PreviewImage", column, title=title, images=images)
    return images


def compare_size(canvas: Canvas) -> dict[str, Any]:
    """How Compare LoRAs draws: as the model wants, on the pocket model as small as it is."""
    small = {"width": SMALL_PX, "height": SMALL_PX, "sampling_steps": 12, "cfg": SMALL_CFG, "sampler": "euler"}
    return {"seed": 1, **canvas.pick({"sampling_steps": 25}, small)}

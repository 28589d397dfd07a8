"""What the examples have in common: the checkpoint, a note, a sampler."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .canvas import Canvas, Port

NOTES = Path(__file__).resolve().parent / "notes"
CHECKPOINT = "pocket.safetensors"
SIZE_PX = 64
CFG = 4.0
RATE = 1e-3
"""Of AdamW on the pocket model, which is small; a real one wants 1e-4."""


@dataclass(frozen=True, slots=True)
class Base:
    """The outputs of the checkpoint loader."""

    model: Port
    clip: Port
    vae: Port

    def after(self, ports: Sequence[Port]) -> "Base":
        """The same with another model and CLIP: the first two of these ports."""
        return Base(ports[0], ports[1], self.vae)


def begin(canvas: Canvas, name: str) -> Base:
    """The note of an example and the checkpoint."""
    canvas.note(0, (NOTES / f"{name}.md").read_text(encoding="utf-8"))
    return Base(*canvas.add("CheckpointLoaderSimple", 1, ckpt_name=CHECKPOINT))


def train(canvas: Canvas, column: int, base: Base, dataset: Port, name: str | Port, **inputs: Any) -> list[Port]:
    """Train LoRA on the checkpoint, a few steps unless said otherwise."""
    values = {"steps": 60, "batch_size": 4, "seed": 1, "save_every": 20, **inputs}
    return canvas.add(
        "BakeryTrain", column, model=base.model, clip=base.clip, vae=base.vae, dataset=dataset, name=name, **values
    )


def preview(canvas: Canvas, column: int, prompts: str, every: int = 20) -> Port:
    """What is drawn while it trains."""
    return canvas.add(
        "BakeryPreview", column, prompts=prompts, width=SIZE_PX, height=SIZE_PX, every=every, steps=12, cfg=CFG
    )[0]


def sample(
    canvas: Canvas, column: int, title: str | None, source: Base, text: str = "zorblax, brown background",
    start: tuple[Port, float] | None = None,
) -> Port:  # fmt: skip
    """A core sampler with its prompts; gives the pictures, shown where titled. `start` is (latent, denoise)."""
    prompt = canvas.add("CLIPTextEncode", column, title="Prompt", clip=source.clip, text=text)[0]
    negative = canvas.add("CLIPTextEncode", column, title="Negative", clip=source.clip, text="")[0]
    latent, denoise = start or (
        canvas.add("EmptyLatentImage", column, width=SIZE_PX, height=SIZE_PX, batch_size=4)[0], 1.0
    )  # fmt: skip
    samples = canvas.add(
        "KSampler", column, model=source.model, positive=prompt, negative=negative, latent_image=latent, seed=1,
        steps=20, cfg=CFG, sampler_name="euler", scheduler="normal", denoise=denoise,
    )[0]  # fmt: skip
    images = canvas.add("VAEDecode", column, samples=samples, vae=source.vae)[0]
    if title is not None:
        canvas.add("PreviewImage", column, title=title, images=images)
    return images


def compare_size() -> dict[str, Any]:
    """Inputs of Compare LoRAs for the pocket model."""
    return {"width": SIZE_PX, "height": SIZE_PX, "sampling_steps": 12, "cfg": CFG, "seed": 1}

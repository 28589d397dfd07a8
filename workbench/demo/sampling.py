"""Pictures of the base model and of the LoRA for the same prompts and seeds, through core nodes only."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ...tests.support.client import ComfyClient, Prompt

Pictures = dict[str, list[Image.Image]]
"""Pictures by prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How to sample; the same for base and LoRA."""

    checkpoint: str
    width: int = 64
    height: int = 64
    num_pictures: int = 4
    """Pictures of each prompt."""
    seed: int = 1
    steps: int = 20
    cfg: float = 4.0
    sampler_name: str = "euler"
    scheduler: str = "normal"
    negative: str = ""


def sample(
    client: ComfyClient, sampling: Sampling, prompts: Sequence[str], lora: str | None = None, timeout_s: float = 900.0
) -> Pictures:
    """Return pictures of every prompt, from the base model or with a LoRA file that core's loader finds.

    Raises:
        RuntimeError: the workflow failed.
    """
    result = client.run(sampling_prompt(sampling, prompts, lora), timeout_s)
    if result.status != "success":
        raise RuntimeError(f"sampling ended with {result.status}: {result.error}")
    return {
        prompt: [_open(client.view(image)) for image in result.outputs[f"show {index}"]["images"]]
        for index, prompt in enumerate(prompts)
    }


def sampling_prompt(sampling: Sampling, prompts: Sequence[str], lora: str | None) -> Prompt:
    """Return a workflow in API form whose node `show <i>` gives the pictures of prompt i."""
    graph: Prompt = {"checkpoint": _node("CheckpointLoaderSimple", ckpt_name=sampling.checkpoint)}
    source = "checkpoint"
    if lora is not None:
        model, clip = ["checkpoint", 0], ["checkpoint", 1]
        strengths = {"strength_model": 1.0, "strength_clip": 1.0}
        graph["lora"] = _node("LoraLoader", model=model, clip=clip, lora_name=lora, **strengths)
        source = "lora"
    size = {"width": sampling.width, "height": sampling.height, "batch_size": sampling.num_pictures}
    graph["latent"] = _node("EmptyLatentImage", **size)
    graph["negative"] = _node("CLIPTextEncode", clip=[source, 1], text=sampling.negative)
    for index, prompt in enumerate(prompts):
        graph[f"text {index}"] = _node("CLIPTextEncode", clip=[source, 1], text=prompt)
        graph[f"sample {index}"] = _sampler(sampling, source, f"text {index}")
        graph[f"decode {index}"] = _node("VAEDecode", samples=[f"sample {index}", 0], vae=["checkpoint", 2])
        graph[f"show {index}"] = _node("PreviewImage", images=[f"decode {index}", 0])
    return graph


def _sampler(sampling: Sampling, source: str, text: str) -> dict[str, Any]:
    return _node(
        "KSampler",
        model=[source, 0],
        positive=[text, 0],
        negative=["negative", 0],
        latent_image=["latent", 0],
        seed=sampling.seed,
        steps=sampling.steps,
        cfg=sampling.cfg,
        sampler_name=sampling.sampler_name,
        scheduler=sampling.scheduler,
        denoise=1.0,
    )


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")

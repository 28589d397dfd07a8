"""What each kind of base model needs: quality tags, preview settings, and deviations of its loss.

Learning rates, rank and length follow from the subject, not from the checkpoint: nothing was found that says otherwise.
Numbers are recommended by the model's makers, on the page named beside them, unless they say otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..base_model import ModelFamily, PredictionType


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseProfile:
    """One kind of base model."""

    family: ModelFamily
    captions: str
    """The form of its training captions."""
    quality: str
    """Its quality tags; they belong into prompts, not into captions of a single subject."""
    pictures: str
    """Sampler, steps and cfg of previews."""
    source: str
    """Page with these values."""
    prediction: PredictionType = "epsilon"
    noise_offset: float = 0.0
    """Noise offset that the model was trained with."""
    trap: str = ""
    """Its most common pitfall."""


PROFILES: Mapping[str, BaseProfile] = {
    "SD1.5 anime": BaseProfile(
        family="sd15",
        captions="booru tags",
        quality="masterpiece, best quality",
        pictures="20 steps, cfg 7, this pack's own values; its makers name none",
        source="https://blog.novelai.net/novelai-improvements-on-stable-diffusion-e10d38db82ac",
        trap="NovelAI's model was trained on the last layer but one: it and what descends from it want CLIP Set Last "
        "Layer at -2, for training and pictures alike",
    ),
    "SDXL base": BaseProfile(
        family="sdxl",
        captions="sentences or short phrases",
        quality="none",
        pictures="50 steps, cfg 5",
        source="https://huggingface.co/docs/diffusers/api/pipelines/stable_diffusion/stable_diffusion_xl",
        noise_offset=0.05,  # https://arxiv.org/abs/2307.01952 section 2.5
    ),
    "Illustrious": BaseProfile(
        family="sdxl",
        captions="booru tags",
        quality="masterpiece, best quality",
        pictures="Euler a, 20 to 28 steps, cfg 5 to 7.5",
        source="https://huggingface.co/OnomaAIResearch/Illustrious-xl-early-release-v0",
    ),
    "NoobAI epsilon": BaseProfile(
        family="sdxl",
        captions="booru and e621 tags",
        quality="masterpiece, best quality, newest, absurdres, highres",
        pictures="Euler a, 25 to 30 steps, cfg 5 to 6",
        source="https://huggingface.co/Laxhar/noobai-XL-1.0",
    ),
    "NoobAI v-prediction": BaseProfile(
        family="sdxl",
        captions="booru and e621 tags",
        quality="masterpiece, best quality, newest, absurdres, highres",
        pictures="Euler, 28 to 35 steps, cfg 4 to 5",
        source="https://huggingface.co/Laxhar/noobai-XL-Vpred-1.0",
        prediction="v_prediction",
        trap="a merge may load as epsilon and draw noise or burnt colors: put ModelSamplingDiscrete (v_prediction, "
        "zsnr on) between checkpoint and Train LoRA",
    ),
    "Pony": BaseProfile(
        family="sdxl",
        captions="booru tags, with a score and a source",
        quality="score_9, score_8_up, score_7_up, score_6_up, score_5_up, score_4_up",
        pictures="Euler a, 25 steps",
        source="https://civitai.com/models/257749",
        trap="CLIP Set Last Layer at -2, for training and pictures alike; without it pictures are blobs",
    ),
}
"""In the order of the list of choices."""


def profile_reasons(name: str) -> tuple[str, ...]:
    """What the profile adds besides settings, a line each."""
    profile = PROFILES[name]
    lines = [
        f"captions: {profile.captions}, what {name} learned from",
        f"quality: {profile.quality}: in prompts, not in captions",
        f"previews: {profile.pictures} ({profile.source})",
    ]
    return (*lines, f"{name}: {profile.trap}") if profile.trap else tuple(lines)


def check_model(name: str, family: ModelFamily, prediction: PredictionType | None) -> None:
    """Refuse a model of another kind than the profile; names that are not a base model's profile fit all.

    Raises:
        ValueError: With the model's kind and the remedy.
    """
    profile = PROFILES.get(name)
    if profile is None:
        return
    if family != profile.family:
        raise ValueError(f"profile {name} is for {profile.family}, the connected model is {family}: choose another")
    if prediction != profile.prediction:
        sampling = "v_prediction, zsnr on" if profile.prediction == "v_prediction" else "eps"
        raise ValueError(
            f"profile {name} is for models that predict {profile.prediction}, the connected one predicts {prediction}: "
            "choose another profile, or, if the checkpoint's file does not say what it predicts, put "
            f"ModelSamplingDiscrete ({sampling}) between checkpoint and Recipe"
        )

"""MODEL, CLIP and VAE on any devices, as the host's Select Device nodes put them there: all of a run works."""

from itertools import product

import pytest
from pack.tests.host.device.graphs import bytes_of_others, node, trained, training_graph
from pack.tests.support.cases import case

pytestmark = pytest.mark.comfy

PLACES = ("cpu", "gpu:0", "gpu:1")
CASES = list(product(PLACES, PLACES, PLACES))
EVERYDAY = [("gpu:1", "cpu", "gpu:0")]


def placed(graph, model, clip, vae):
    """The VAE's node offers no CPU, so it is put there by the loader's own word for it."""
    graph |= {
        "m": node("SelectModelDevice", model=["1", 0], device=model),
        "c": node("SelectCLIPDevice", clip=["1", 1], device=clip),
        "v": node("TestVaeOnCpu", vae=["1", 2]) if vae == "cpu" else node("SelectVAEDevice", vae=["1", 2], device=vae),
    }
    graph["train"]["inputs"] |= {"model": ["m", 0], "clip": ["c", 0], "vae": ["v", 0]}
    return graph


def offer_vae_on_cpu(comfy):
    """As a loader does under --cpu-vae."""

    class VaeOnCpu:
        RETURN_TYPES, FUNCTION, CATEGORY = ("VAE",), "move", "testing"

        @classmethod
        def INPUT_TYPES(cls):  # noqa: N802 - the host's name
            return {"required": {"vae": ("VAE",)}}

        def move(self, vae):
            torch = comfy.module("torch")
            vae.device = vae.patcher.load_device = torch.device("cpu")
            return (vae,)

    comfy.module("nodes").NODE_CLASS_MAPPINGS.setdefault("TestVaeOnCpu", VaeOnCpu)


@pytest.mark.parametrize(
    ("model", "clip", "vae", "family"),
    [
        *(case((*places, "sd15"), is_everyday=places in EVERYDAY) for places in CASES),
        *(case((*places, "sdxl"), is_everyday=False) for places in CASES[5::9]),
    ],
)  # fmt: skip
def test_text_encoders_train_and_pictures_are_drawn(comfy, device, model, clip, vae, family):
    offer_vae_on_cpu(comfy)
    graph = training_graph(
        comfy, f"places {family} {model} {clip} {vae}".replace(":", ""), family, steps=2, validation_share=0.34,
        network={"train_text_encoder": True, "train_text_encoder_2": True, "targets": "blocks"},
        optimizer={"ema_decay": 0.9}, objective={"scale_weight_norms": 0.1},
    )  # fmt: skip
    said = trained(comfy, placed(graph, model, clip, vae))
    assert "2 steps" in said and "no preview" not in said
    assert bytes_of_others(comfy, device) == 0

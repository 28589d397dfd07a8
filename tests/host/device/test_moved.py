"""Others move the trained model between two steps: training goes on with the right weights and the same bits."""

import pytest
import torch
from pack.tests.host.device.graphs import bytes_of_others, load
from pack.tests.host.device.steps import base_model, train_steps
from pack.tests.support.cases import case
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

STEPS = 4


def unload_all(management, models, others):
    management.unload_all_models()


def free_all(management, models, others):
    management.free_memory(1e32, models.model.load_device)


def free_a_part(management, models, others):
    management.free_memory(management.get_free_memory(models.model.load_device) + (20 << 20), models.model.load_device)


def empty_cache(management, models, others):
    management.soft_empty_cache(force=True)


def load_others_on_a_small_card(management, models, others):
    management.load_models_gpu([others.model, others.clip.patcher], memory_required=1 << 40)


def load_a_clone_with_patches(management, models, others):
    clone = models.model.clone()
    key = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    clone.add_patches({key: ("diff", (torch.ones(320, 320),))})
    management.load_models_gpu([clone])


def move_away(management, models, others):
    """As a node that needs the card for something of its own."""
    models.model.detach()


DISTURBANCES = [
    unload_all, free_all, free_a_part, empty_cache, load_others_on_a_small_card, load_a_clone_with_patches, move_away,
]  # fmt: skip
PARTS = {"U-Net": ("unet",), "text encoder": ("unet", "text_encoder")}


def steps_of(comfy, parts, disturb=None, algorithm="lora"):
    loaded, management = load(comfy, "sd15"), comfy.module("comfy.model_management")
    others = load(comfy, "sd15") if disturb else None
    settings = NetworkSettings(rank=4, alpha=4.0, parts=PARTS[parts], algorithm=algorithm)
    before = {name: weight.clone() for name, weight in loaded.model.model.state_dict().items()}

    def each(step):
        if step and disturb:
            with torch.inference_mode():
                disturb(management, loaded, others)

    found = train_steps(base_model(loaded), settings, STEPS, each)
    after = loaded.model.model.state_dict()
    assert all(torch.equal(after[name].cpu(), weight) for name, weight in before.items())
    return found


CASES = [(disturb, parts) for parts in PARTS for disturb in DISTURBANCES]
EVERYDAY = [(unload_all, "text encoder")]


@pytest.mark.parametrize(
    ("disturb", "parts"), [case(each, is_everyday=each in EVERYDAY) for each in CASES],
    ids=[f"{disturb.__name__}, {parts}" for disturb, parts in CASES],
)  # fmt: skip
def test_training_goes_on_with_the_same_bits(comfy, device, disturb, parts):
    undisturbed = steps_of(comfy, parts)
    found = steps_of(comfy, parts, disturb)
    assert found.losses == undisturbed.losses
    assert all(torch.equal(undisturbed.gradients[name], gradient) for name, gradient in found.gradients.items())
    assert bytes_of_others(comfy, device) == 0

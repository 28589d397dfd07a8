"""Optimizers, losses, ways to keep what the model knew, and the tools, on the second device: none mixes devices."""

import pytest
from pack.tests.host.device.graphs import bytes_of_others, node, trained, training_graph
from pack.tests.support.cases import chosen
from pack.training.optimizers.catalog import OPTIMIZERS as CATALOG
from pack.training.optimizers.catalog import find_optimizer

pytestmark = pytest.mark.comfy

OPTIMIZERS = [spec.name for spec in CATALOG if spec.package not in ("bitsandbytes", "transformers")]
"""bitsandbytes computes on graphics cards of its own list alone; transformers wants the driver of a real "npu"."""
OBJECTIVES = {
    "huber by noise": {"loss_type": "huber", "huber_schedule": "snr", "min_snr_gamma": 0.0},
    "smooth_l1 debiased": {"loss_type": "smooth_l1", "debiased_estimation": True},
    "p2": {"p2_gamma": 1.0, "min_snr_gamma": 0.0},
    "soft min-SNR": {"soft_min_snr": True},
    "weight norms": {"scale_weight_norms": 0.01},
    "noise offset": {"noise_offset": 0.1, "noise_offset_random": True, "adaptive_noise_scale": 0.01},
    "multires noise": {"multires_noise_iterations": 4, "input_perturbation": 0.1, "input_perturbation_random": True},
    "prior, extra term": {"prior_preservation": "extra_term", "trigger": "hat"},
    "prior, without the trigger": {"prior_preservation": "captions_without_trigger", "trigger": "hat"},
    "prior, regularization images": {"prior_preservation": "regularization_images"},
}


@pytest.mark.parametrize("name", chosen(OPTIMIZERS, ["Prodigy"]))
def test_every_optimizer_steps_on_the_card(comfy, device, name):
    rate = find_optimizer(name).usual_rate
    graph = training_graph(comfy, f"optimizer {name}", optimizer={"optimizer": name, "learning_rate": rate})
    assert "3 steps" in trained(comfy, graph)
    assert bytes_of_others(comfy, device) == 0


@pytest.mark.parametrize("name", chosen(OBJECTIVES, ["prior, extra term"]))
def test_every_loss_and_noise_is_computed_there(comfy, device, name):
    graph = training_graph(comfy, f"objective {name}", objective=OBJECTIVES[name])
    if name == "prior, regularization images":
        graph |= {"reg": node("BakeryLoadDataset", folder="creatures", is_regularization=True),
                  "all": node("BakeryCombineDatasets", dataset_1=["2", 0], dataset_2=["reg", 0])}  # fmt: skip
        graph["train"]["inputs"]["dataset"] = ["all", 0]
    assert "3 steps" in trained(comfy, graph)
    assert bytes_of_others(comfy, device) == 0


@pytest.mark.full
def test_masks_validation_and_averaged_weights_are_there_too(comfy, device):
    graph = training_graph(comfy, "masked", optimizer={"ema_decay": 0.9}, validation_share=0.34, steps=4)
    graph["masked"] = node("BakeryBuckets", dataset=["2", 0], resolution=64, use_alpha_masks=True)
    graph["train"]["inputs"]["dataset"] = ["masked", 0]
    assert "4 steps" in trained(comfy, graph)
    assert bytes_of_others(comfy, device) == 0


@pytest.mark.full
def test_the_tools_take_models_that_lie_on_the_card(comfy, device):
    """Compared, laid on, merged into the model, extracted from it again and inspected, in one graph."""
    graph = training_graph(comfy, "tools", network={"train_text_encoder": True}, steps=2)
    models = {"model": ["1", 0], "clip": ["1", 1]}
    pictures = {"prompts": "red creature", "width": 64, "height": 64, "sampling_steps": 2, "cfg": 2.0}
    graph |= {
        "apply": node("BakeryApplyLoRA", lora=["train", 2], **models),
        "merge": node("BakeryMergeIntoModel", lora=["train", 2], **models),
        "extract": node("BakeryExtractLoRA", model=["1", 0], clip=["1", 1], tuned_model=["merge", 0],
                        tuned_clip=["merge", 1], rank=4),
        "inspect": node("BakeryInspectLoRA", lora=["extract", 0], clip=["apply", 1]),
        "compare": node("BakeryCompare", vae=["1", 2], run=["train", 3], num_steps=2, **models, **pictures),
    }  # fmt: skip
    result = comfy.run_graph(graph)
    assert result.status == "success", result.error
    assert {"inspect", "compare"} <= set(result.outputs)
    assert bytes_of_others(comfy, device) == 0

"""What a MODEL says of itself: how it samples, and which patches for sampling lie on it."""

import pytest
import torch
from pack.tests.host.nodes.test_bridge import base_model
from pack.tests.support.quantized_models import UNET, load_weights, read_weights

pytestmark = pytest.mark.comfy


@pytest.fixture(scope="module")
def model(comfy, tiny_sd15):
    with torch.inference_mode():
        return comfy.module("comfy.sd").load_checkpoint_guess_config(
            str(tiny_sd15), output_vae=False, output_clip=False
        )[0]


def test_sampling_with_few_noise_levels_is_refused_by_its_name(comfy, model):
    with torch.inference_mode():
        patched = (
            comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete().patch(model, "lcm", False)[0]
        )
    with pytest.raises(ValueError, match=r"model .*Distilled.* 50 noise levels.* 1000.*before the node") as refusal:
        base_model((patched, None, None))
    assert "max_timestep" not in str(refusal.value)


def patched_by(comfy, model, node):
    """The MODEL behind one of the host's patch nodes."""
    nodes = {
        "FreeU": ("comfy_extras.nodes_freelunch", {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}),
        "TomePatchModel": ("comfy_extras.nodes_tomesd", {"ratio": 0.3}),
        "HyperTile": (
            "comfy_extras.nodes_hypertile", {"tile_size": 256, "swap_size": 2, "max_depth": 0, "scale_depth": False}),
        "PatchModelAddDownscale": (
            "comfy_extras.nodes_model_downscale",
            {"block_number": 3, "downscale_factor": 2.0, "start_percent": 0.0, "end_percent": 0.35,
             "downscale_after_skip": True, "downscale_method": "bicubic", "upscale_method": "bicubic"}),
        "RescaleCFG": ("comfy_extras.nodes_model_advanced", {"multiplier": 0.7}),
        "PerturbedAttentionGuidance": ("comfy_extras.nodes_pag", {"scale": 3.0}),
        "EasyCacheNode": (
            "comfy_extras.nodes_easycache",
            {"reuse_threshold": 0.2, "start_percent": 0.15, "end_percent": 0.95, "verbose": False}),
        "NAGuidance": ("comfy_extras.nodes_nag", {"nag_scale": 5.0, "nag_alpha": 0.5, "nag_tau": 1.5}),
        "EpsilonScaling": ("comfy_extras.nodes_eps", {"scaling_factor": 1.01}),
        "TemporalScoreRescaling": ("comfy_extras.nodes_eps", {"tsr_k": 0.95, "tsr_sigma": 1.0}),
        "Mahiro": ("comfy_extras.nodes_mahiro", {}),
        "TCFG": ("comfy_extras.nodes_tcfg", {}),
        "APG": ("comfy_extras.nodes_apg", {"eta": 1.0, "norm_threshold": 5.0, "momentum": 0.0}),
        "CFGZeroStar": ("comfy_extras.nodes_cfg", {}),
        "CFGNorm": ("comfy_extras.nodes_cfg", {"strength": 0.5}),
        "DifferentialDiffusion": ("comfy_extras.nodes_differential_diffusion", {}),
        "SelfAttentionGuidance": ("comfy_extras.nodes_sag", {"scale": 0.5, "blur_sigma": 2.0}),
        "ContextWindowsManualNode": (
            "comfy_extras.nodes_context_windows",
            {"context_length": 16, "context_overlap": 4, "context_schedule": "standard_static", "context_stride": 1,
             "closed_loop": False, "fuse_method": "pyramid", "dim": 0, "freenoise": False}),
    }  # fmt: skip
    module, values = nodes[node]
    kind = getattr(comfy.module(module), node)
    with torch.inference_mode():
        result = kind.execute(model, **values) if hasattr(kind, "execute") else kind().patch(model, **values)
    return result[0]


@pytest.mark.parametrize(
    ("node", "name"),
    [
        ("FreeU", "output_block_patch"),
        ("TomePatchModel", "attn1_patch"),
        ("HyperTile", "attn1_patch"),
        ("PatchModelAddDownscale", "input_block_patch"),
        ("RescaleCFG", "sampler_cfg_function"),
        ("PerturbedAttentionGuidance", "sampler_post_cfg_function"),
        ("EasyCacheNode", "easycache"),
        ("NAGuidance", "attn1_output_patch"),
        ("EpsilonScaling", "sampler_post_cfg_function"),
        ("TemporalScoreRescaling", "sampler_post_cfg_function"),
        ("Mahiro", "sampler_post_cfg_function"),
        ("TCFG", "sampler_pre_cfg_function"),
        ("APG", "sampler_pre_cfg_function"),
        ("CFGZeroStar", "sampler_post_cfg_function"),
        ("CFGNorm", "sampler_post_cfg_function"),
        ("DifferentialDiffusion", "denoise_mask_function"),
        ("SelfAttentionGuidance", "sampler_post_cfg_function"),
        ("ContextWindowsManualNode", "ContextWindows"),
    ],
)
def test_patches_for_sampling_are_named(comfy, model, node, name):
    from pack.nodes.comfy_bridge.model.model_facts import sampling_note

    note = sampling_note(patched_by(comfy, model, node))
    assert "sampling patches are not used in training" in note
    assert name in note


def test_a_plain_model_and_one_that_is_compiled_need_no_note(comfy, model):
    from pack.nodes.comfy_bridge.model.model_facts import sampling_note

    assert sampling_note(model) == ""
    compiled = model.clone()
    comfy.module("comfy_api.torch_helpers").set_torch_compile_wrapper(compiled, backend="eager")
    assert sampling_note(compiled) == ""
    velocity = comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete()
    with torch.inference_mode():
        assert sampling_note(velocity.patch(model, "v_prediction", True)[0]) == ""


def test_the_host_is_told_that_it_trains_and_told_again_when_it_ends(comfy, model):
    management = comfy.module("comfy.model_management")
    unet = model.model.diffusion_model
    unet.in_training = False  # as newer hosts have it
    try:
        with base_model((model, None, None)).training(False):
            assert management.in_training
            assert unet.in_training
        assert not management.in_training
        assert not unet.in_training
    finally:
        del unet.in_training


def test_what_it_predicts_is_said_as_the_sampling_was_patched(comfy, model):
    from pack.nodes.comfy_bridge.model.model_facts import prediction_note

    def said(found) -> str:
        base = base_model((found, None, None))
        return prediction_note(base.prediction_type, base.alphas_cumprod)

    with torch.inference_mode():
        mend = comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete()
        patched = mend.patch(model, "v_prediction", True)[0]
    assert "epsilon" in said(model) and "zero-terminal" not in said(model)
    assert "v_prediction" in said(patched) and "zero-terminal" in said(patched)


@pytest.mark.parametrize("file", ["tiny_sd15", "tiny_sdxl"])
@pytest.mark.parametrize(("channels", "kind"), [(9, "inpainting"), (8, "instruct-pix2pix")])
def test_a_model_that_reads_more_than_latents_is_refused_as_what_it_is(comfy, request, file, channels, kind):
    weights = read_weights(request.getfixturevalue(file), UNET)
    name = next(name for name in weights if name.endswith("input_blocks.0.0.weight"))
    weights[name] = torch.zeros(weights[name].shape[0], channels, 3, 3)
    with pytest.raises(ValueError, match=rf"{kind} model .*{channels} input channels.*plain checkpoint"):
        base_model((load_weights(comfy, weights).model, None, None))


def test_text_encoders_of_another_family_are_refused_before_anything_is_encoded(comfy, tiny_sd15, tiny_sdxl):
    small, large = (comfy.load_checkpoint(path) for path in (tiny_sd15, tiny_sdxl))
    with pytest.raises(ValueError, match=r"clip .*clip_l and clip_g; the model is sd15 and reads clip_l\."):
        base_model((small.model, large.clip, small.vae))
    with pytest.raises(ValueError, match=r"clip .*with clip_l; the model is sdxl and reads clip_l and clip_g\."):
        base_model((large.model, small.clip, large.vae))


@pytest.mark.parametrize("shape", [(1, 16, 8, 8), (1, 4, 1, 8, 8)])
def test_a_vae_of_another_kind_of_model_is_refused(comfy, model, shape):
    class OtherVae:
        patcher = model

        def encode(self, pixels):
            return torch.zeros(shape)

    with pytest.raises(ValueError, match=r"vae gives latents of shape .* 4 channels"):
        base_model((model, None, OtherVae())).encode_images(torch.zeros(1, 64, 64, 3))

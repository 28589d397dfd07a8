"""The world, the weights' format, the optimizer, and the measuring tools of the pocket model."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from pack.workbench.pocket.assemble import assemble, checkpoint_tensors
from pack.workbench.pocket.autoencoder import PocketVAE, initialize_vae, trainable_names
from pack.workbench.pocket.captions import (
    held_out_creatures,
    held_out_tags,
    tag_set,
    training_caption,
    training_creature,
)
from pack.workbench.pocket.characters import CHARACTERS, draw_character, reference_images, write_oc_dataset
from pack.workbench.pocket.measure import accuracy_by_attribute, flexibility, identity, parse_caption, prior
from pack.workbench.pocket.optim import MuonAdamW, OptimizerConfig, orthogonalize, trapezoid
from pack.workbench.pocket.signature import signature_from_references
from pack.workbench.pocket.state import load_state, save_state
from pack.workbench.pocket.weights import UNET_FILE, VAE_FILE, WEIGHTS_FOLDER, dequantize, quantize
from pack.workbench.pocket.world import BACKGROUNDS, describe, draw_creature, move_creature, random_creature

CREATURES = [random_creature(random.Random(seed)) for seed in range(40)]
PICTURES = np.stack([np.asarray(draw_creature(creature)) for creature in CREATURES])
CAPTIONS = [describe(creature) for creature in CREATURES]
EVERY_CHARACTER = pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())


def test_same_seed_draws_the_same_picture_and_caption():
    again = random_creature(random.Random(0))
    assert describe(again) == CAPTIONS[0]
    assert np.array_equal(np.asarray(draw_creature(again)), PICTURES[0])


def test_held_out_captions_differ_and_are_never_used_in_pretraining():
    assert len(held_out_creatures()) == len(held_out_tags()) == 64
    rng = random.Random(1)
    for _ in range(4000):
        assert tag_set(training_caption(training_creature(rng), rng)) not in held_out_tags()


def test_drawings_are_read_as_what_they_are():
    accuracy = accuracy_by_attribute(PICTURES, CAPTIONS)
    assert min(accuracy.values()) >= 0.95, accuracy


def test_prior_is_one_for_true_drawings_and_falls_with_wrong_captions():
    assert prior(PICTURES, CAPTIONS) >= 0.95
    assert prior(PICTURES, CAPTIONS[1:] + CAPTIONS[:1]) < 0.6
    assert prior(PICTURES, CAPTIONS, base_images=PICTURES) == pytest.approx(1.0)


def test_pictures_may_be_floats_of_a_torch_batch():
    batch = torch.from_numpy(PICTURES).float() / 255
    assert accuracy_by_attribute(batch, CAPTIONS) == accuracy_by_attribute(PICTURES, CAPTIONS)


def test_caption_tells_what_is_wanted():
    wanted = parse_caption("zorblax, teal background, horns")
    assert (wanted.background, wanted.top, wanted.body) == ("teal", "horns", None)
    assert parse_caption("creature, round body").top is None
    assert parse_caption("creature, round body", is_complete=True).top == "none"


@EVERY_CHARACTER
def test_identity_is_one_for_the_character_and_zero_for_others(character):
    rng = random.Random(2)
    drawn = [draw_character(character, background, rng) for background in BACKGROUNDS for _ in range(3)]
    assert identity(drawn, character) >= 0.95
    assert identity(PICTURES, character) == 0
    for other in CHARACTERS.values():
        if other is not character:
            assert identity([picture for picture, _ in reference_images(other)], character) == 0


@EVERY_CHARACTER
def test_identity_needs_the_parts_not_only_the_body(character):
    rng = random.Random(3)
    bare = [draw_creature(move_creature(character.creature.on(name), rng)) for name in BACKGROUNDS]
    assert identity(bare, character) == 0


@EVERY_CHARACTER
def test_four_references_are_enough(character):
    few = signature_from_references([picture for picture, _ in reference_images(character, n=4, seed=5)])
    assert identity([picture for picture, _ in reference_images(character)], few) >= 0.9
    assert identity(PICTURES, few) == 0


def test_signature_colors_alone_do():
    zorblax = [picture for picture, _ in reference_images(CHARACTERS["zorblax"])]
    colors = [(142, 68, 173), (255, 215, 0), (60, 220, 120)]
    assert identity(zorblax, colors) >= 0.9
    assert identity(PICTURES, colors) <= 0.05


def test_ordinary_references_have_no_signature():
    with pytest.raises(ValueError, match="apart from ordinary creatures"):
        signature_from_references(PICTURES[:1].repeat(4, axis=0))


@EVERY_CHARACTER
def test_flexibility_asks_for_the_background_as_well(character):
    rng, backgrounds = random.Random(4), list(BACKGROUNDS)
    drawn = [draw_character(character, name, rng) for name in backgrounds]
    right = [character.caption(name) for name in backgrounds]
    assert flexibility(drawn, right, character) >= 0.8
    assert flexibility(drawn, right[1:] + right[:1], character) == 0


@EVERY_CHARACTER
def test_dataset_leaves_backgrounds_unseen(character, tmp_path):
    paths = write_oc_dataset(tmp_path / "set", character, n=12, seed=0)
    captions = [path.with_suffix(".txt").read_text().strip() for path in paths]
    assert len(paths) == 12
    assert all(caption.startswith(character.trigger) for caption in captions)
    assert len(character.unseen_backgrounds) >= 2
    assert not any(name in caption for name in character.unseen_backgrounds for caption in captions)


def test_8_bits_keep_the_weights():
    weight = torch.randn(16, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    kept = dequantize(quantize({"conv.weight": weight, "conv.bias": torch.ones(16)}))
    assert (kept["conv.weight"] - weight).abs().max() < weight.abs().max() / 200
    assert torch.equal(kept["conv.bias"], torch.ones(16))


def test_weights_fit_in_32_mb():
    assert sum((WEIGHTS_FOLDER / name).stat().st_size for name in (UNET_FILE, VAE_FILE)) <= 32e6


def test_state_survives_a_round_trip(tmp_path):
    path = tmp_path / "state.safetensors"
    assert load_state(path) is None
    save_state(path, 7, {"model": {"a.b": torch.ones(2)}, "optimizer": {"c": torch.zeros(1)}})
    step, groups = load_state(path)
    assert step == 7
    assert torch.equal(groups["model"]["a.b"], torch.ones(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.safetensors"]


def test_orthogonalize_brings_singular_values_near_one():
    matrix = torch.randn(64, 200, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalize(matrix))
    assert values.min() > 0.5
    assert values.max() < 1.5


def test_optimizer_goes_on_from_its_state_with_the_same_bits():
    def train(steps, state=None):
        layer = torch.nn.Linear(64, 64)
        torch.nn.init.eye_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        optimizer = MuonAdamW(layer.named_parameters(), OptimizerConfig())
        if state is not None:
            layer.load_state_dict(state["layer"])
            optimizer.load_state_dict(state["optimizer"])
        for step in steps:
            x = torch.randn(8, 64, generator=torch.Generator().manual_seed(step))
            layer(x).square().mean().backward()
            optimizer.step(1.0)
        copies = {k: v.clone() for k, v in optimizer.state_dict().items()}
        return {"layer": {k: v.clone() for k, v in layer.state_dict().items()}, "optimizer": copies}

    whole, halves = train(range(6)), train(range(3, 6), train(range(3)))
    assert torch.equal(whole["layer"]["weight"], halves["layer"]["weight"])
    assert torch.equal(whole["layer"]["bias"], halves["layer"]["bias"])


def test_schedule_warms_up_stays_and_falls():
    factors = [trapezoid(step, 100, 10, 0.5) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[30] == 1
    assert factors[100] == 0


def test_fresh_vae_skips_identities_and_trains_the_rest():
    vae = PocketVAE()
    initialize_vae(vae)
    images = torch.rand(2, 3, 64, 64)
    latents = vae.encode(images)
    assert latents.shape == (2, 4, 8, 8)
    assert torch.allclose(latents, vae.taesd_encoder(images), atol=1e-5)
    assert torch.allclose(vae.decode(latents), vae.taesd_decoder(latents), atol=1e-5)
    assert not any(name.startswith("taesd_encoder.1.") for name in trainable_names(vae))


def test_checkpoint_is_written_once(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "pack.workbench.pocket.assemble.checkpoint_tensors", lambda weights: {"a": torch.zeros(1, dtype=torch.float16)}
    )
    path = assemble(tmp_path / "pocket.safetensors")
    before = path.stat().st_mtime_ns
    assert assemble(path).stat().st_mtime_ns == before


@pytest.mark.comfy
def test_comfyui_takes_it_for_sd15_and_draws_what_is_asked(pocket_checkpoint: Path):
    from pack.workbench.pocket.sampling import SamplerConfig, load_pocket, sample_captions

    pocket = load_pocket(pocket_checkpoint)
    captions = [describe(creature) for creature in held_out_creatures()[:8]]
    config = SamplerConfig(num_steps=10)
    pictures = sample_captions(pocket, captions, config)
    twice = [sample_captions(pocket, captions[:2], SamplerConfig(num_steps=2)) for _ in range(2)]
    assert np.array_equal(*twice)
    accuracy = accuracy_by_attribute(pictures, captions)
    assert accuracy["color"] >= 0.75
    assert accuracy["background"] >= 0.75


@pytest.mark.comfy
def test_shortcut_through_the_text_encoder_is_close_to_comfyui(pocket_checkpoint: Path):
    from pack.workbench.pocket.sampling import load_pocket
    from pack.workbench.pocket.text import encode_captions

    clip = load_pocket(pocket_checkpoint).clip
    context = clip.encode_from_tokens_scheduled(clip.tokenize(CAPTIONS[0]))[0][0]
    shortcut = encode_captions([CAPTIONS[0]])
    assert (context - shortcut).norm() / shortcut.norm() < 0.1


def test_checkpoint_holds_an_sd15_of_three_parts():
    tensors = checkpoint_tensors(WEIGHTS_FOLDER)
    assert all(tensor.dtype == torch.float16 for tensor in tensors.values())
    unet = sum(t.numel() for name, t in tensors.items() if name.startswith("model.diffusion_model."))
    assert 20e6 < unet < 25e6
    assert tensors["first_stage_model.vae_scale"].item() == pytest.approx(0.18215, abs=1e-4)
    assert "cond_stage_model.transformer.text_model.encoder.layers.11.mlp.fc2.weight" in tensors

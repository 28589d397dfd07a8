"""The world of the 128 pixel model says what it draws, and its VAE's training goes on with the same bits."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from pack.workbench.pocket.denoiser import build_unet
from pack.workbench.pocket.host import use_comfyui
from pack.workbench.pocket128.autoencoder import autoencoder_of
from pack.workbench.pocket128.course import FIGURES, training_caption
from pack.workbench.pocket128.kept import keep_better_vae, kept_vae
from pack.workbench.pocket128.pictures import Sources, find_stickers, held_out_pictures, to_images, training_crops
from pack.workbench.pocket128.quality import decibels, round_trip
from pack.workbench.pocket128.sample import assemble
from pack.workbench.pocket128.text import encode_captions, text_encoder_weights
from pack.workbench.pocket128.train_vae import VAEConfig, VAETraining, train_vae
from pack.workbench.pocket128.world.captions import describe, tags
from pack.workbench.pocket128.world.drawing import draw_figure
from pack.workbench.pocket128.world.figure import (
    CLOTHES,
    EXPRESSIONS,
    EYE_COLORS,
    HAIRSTYLES,
    HATS,
    KINDS,
    LINES,
    POSES,
    SCENES,
    THINGS,
    Figure,
    random_figure,
)

SEEN = [random_figure(random.Random(seed)) for seed in range(600)]
GIRL = Figure(
    kind="girl",
    color="tan",
    eye_color="blue",
    hairstyle="short",
    hair_color="black",
    clothes="shirt",
    cloth_color="red",
    ground_color="white",
)
QUICK = VAEConfig(num_steps=4, batch_size=1, piece_px=16, num_held_out=1, save_every=2)


def pixels(figure):
    return np.asarray(draw_figure(figure)).astype(int)


def test_same_seed_draws_the_same_picture_and_caption():
    again = random_figure(random.Random(3))
    assert describe(again) == describe(SEEN[3])
    assert np.array_equal(pixels(again), pixels(SEEN[3]))


def test_every_word_comes_up_and_none_is_empty():
    captions = [describe(figure) for figure in SEEN]
    everything = " | ".join(captions)
    for word in (*KINDS, *EXPRESSIONS, *POSES, *CLOTHES, *HATS, *THINGS):
        assert word in everything, word
    for words in captions:
        assert all(tag and tag == tag.strip() and "  " not in tag for tag in words.split(", ")), words


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("expression", EXPRESSIONS),
        ("pose", POSES),
        ("hairstyle", HAIRSTYLES),
        ("clothes", CLOTHES),
        ("lines", LINES),
        ("eye_color", EYE_COLORS),
        ("scene", ("", *SCENES)),
        ("hat", ("", *HATS)),
        ("thing", ("", *THINGS)),
        ("kind", KINDS),
    ],
)
def test_another_word_is_another_caption_and_another_picture(field, values):
    base = replace(GIRL, color="brown", hat_color="green", thing_color="green")
    base = replace(base, hairstyle="", hair_color="") if field == "kind" else base
    drawn = [replace(base, **{field: value, **_hair(field, value)}) for value in values]
    assert len({describe(figure) for figure in drawn}) == len(values)
    for index, figure in enumerate(drawn):
        for other in drawn[:index]:
            changed = np.abs(pixels(figure) - pixels(other)).max(-1) > 40
            assert changed.sum() >= 4, (field, figure, other)


def _hair(field, value):
    return {"hairstyle": "long", "hair_color": "black"} if field == "kind" and value in ("girl", "boy") else {}


def test_colors_are_where_the_caption_says():
    picture = pixels(GIRL)
    assert np.abs(picture[2, 2] - (242, 242, 240)).max() <= 2
    assert np.abs(picture[84, 64] - (214, 48, 49)).max() <= 2
    assert np.abs(picture[24, 64] - (44, 44, 52)).max() <= 2
    assert "red shirt" in describe(GIRL)
    assert "short black hair" in describe(GIRL)
    assert "white background" in describe(GIRL)


def test_nothing_is_named_that_is_hidden():
    for figure in SEEN:
        named = tags(figure)
        assert (figure.expression in ("sleeping", "laughing")) != any(figure.eye_color in tag for tag in _eyes(named))
        assert figure.ground_color not in (figure.color, figure.cloth_color, figure.hair_color) or figure.scene
        if figure.hat in ("cap", "beanie", "crown", "top hat"):
            assert figure.hairstyle not in ("short", "bun")


def _eyes(named):
    return [tag for tag in named if tag.endswith(("eye", "eyes")) and tag not in ("one eye", "three eyes")]


def test_captions_for_training_shuffle_and_leave_out():
    full, some = set(tags(GIRL)), describe(GIRL, random.Random(0), 0.5).split(", ")
    assert some[0] == "a girl"
    assert set(some[1:]) < full
    assert describe(GIRL, random.Random(1)) != describe(GIRL, random.Random(2))


def test_pieces_are_the_same_for_the_same_step_and_held_out_pictures_are_not_among_them():
    first, second = (training_crops(Sources(), 3, 32, random.Random("vae-1-0")) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (3, 3, 32, 32)
    assert torch.equal(held_out_pictures(2), held_out_pictures(3)[:2])


def test_folder_without_stickers_is_named(tmp_path):
    with pytest.raises(ValueError, match="--stickers"):
        find_stickers(tmp_path)


def test_decibels_of_a_known_error():
    images = torch.zeros(2, 3, 8, 8)
    assert decibels(images + 0.1, images).tolist() == pytest.approx([20.0, 20.0], abs=1e-4)


def test_training_goes_on_after_a_stop_with_the_same_bits(tmp_path):
    whole = train_vae(VAETraining(tmp_path / "whole", QUICK, Sources(), None))
    stopped = VAETraining(tmp_path / "parts", QUICK, Sources(), None)
    for _ in range(2):
        stopped.run_step()
    stopped.save()
    parts = train_vae(VAETraining(tmp_path / "parts", QUICK, Sources(), None))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_only_better_weights_replace_the_kept_ones(tmp_path):
    torch.manual_seed(0)
    good = VAETraining(tmp_path / "state", QUICK, Sources(), None).vae.state_dict()
    bad = {name: weight.clone() for name, weight in good.items()}
    bad["taesd_decoder.19.bias"] += 5
    assert keep_better_vae(bad, tmp_path, num_pictures=1)
    assert keep_better_vae(good, tmp_path, num_pictures=1)
    assert not keep_better_vae(bad, tmp_path, num_pictures=1)
    kept = kept_vae(tmp_path)
    assert torch.equal(kept["taesd_decoder.19.bias"], good["taesd_decoder.19.bias"].half().float())


def test_captions_of_training_are_full_mostly_and_sometimes_empty():
    rng = random.Random(0)
    captions = [training_caption(GIRL, rng) for _ in range(400)]
    lengths = [len(caption.split(", ")) for caption in captions]
    full = len(tags(GIRL)) + 1
    assert 0.05 < captions.count("") / 400 < 0.16
    assert 0.6 < lengths.count(full) / 400 < 0.8
    assert len(set(captions)) > 200


@pytest.mark.comfy
def test_a_word_knows_the_color_before_it_in_the_host_too():
    use_comfyui()
    from comfy.sd1_clip import SDClipModel, SDTokenizer

    captions = ["long red hair, blue dress", "long blue hair, red dress", "short red hair, blue dress"]
    shortcut = encode_captions(captions)
    clip, tokenizer = SDClipModel(device="cpu", dtype=torch.float32), SDTokenizer(embedding_directory=None)
    clip.load_sd({name: weight.float() for name, weight in text_encoder_weights().items()})
    tokens = [tokenizer.tokenize_with_weights(caption) for caption in captions]
    of_host = torch.cat([clip.encode_token_weights(batch)[0] for batch in tokens])
    for encoded in (shortcut, of_host):
        hair, dress = encoded[:, 3], encoded[:, 6]
        assert torch.cosine_similarity(hair[0], hair[1], 0) < 0.8
        assert torch.cosine_similarity(dress[0], dress[1], 0) < 0.8
        assert torch.cosine_similarity(hair[0], hair[2], 0) < 0.95
    assert (of_host - shortcut).norm() / shortcut.norm() < 0.1


@pytest.mark.comfy
def test_the_host_takes_its_unet_for_sd15():
    use_comfyui()
    from comfy.model_detection import model_config_from_unet
    from comfy.supported_models import SD15

    weights = build_unet(FIGURES.unet_shape).state_dict()
    config = model_config_from_unet(
        {f"model.diffusion_model.{name}": w for name, w in weights.items()}, "model.diffusion_model."
    )
    assert isinstance(config, SD15)
    assert sum(weight.numel() for weight in weights.values()) + 2 * 2_445_063 <= 45e6


def test_what_the_checkpoint_lacks_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"unet\.safetensors"):
        assemble(tmp_path / "x.safetensors", tmp_path)


def test_the_kept_vae_draws_the_figures():
    images = to_images(np.stack([np.asarray(draw_figure(figure)) for figure in SEEN[:4]]))
    vae = autoencoder_of(kept_vae())
    assert vae.encode(images).shape == (4, 4, 16, 16)
    assert decibels(round_trip(vae, images), images).min() > 20

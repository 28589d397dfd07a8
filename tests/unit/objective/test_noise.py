"""Noise: the same for a sample wherever it stands, with the statistics each kind promises."""

import pytest
import torch
from pack.training.objective.draws import Draws
from pack.training.objective.noise import draw_noise, input_perturbation
from pack.training.objective.settings import ObjectiveSettings

KINDS = {
    "gaussian": ObjectiveSettings(),
    "offset": ObjectiveSettings(noise_offset=0.1),
    "random offset": ObjectiveSettings(noise_offset=0.1, noise_offset_random=True),
    "adaptive offset": ObjectiveSettings(noise_offset=0.1, adaptive_noise_scale=0.5),
    "multires": ObjectiveSettings(multires_noise_iterations=6, multires_noise_discount=0.4),
    "perturbed": ObjectiveSettings(input_perturbation=0.1),
    "randomly perturbed": ObjectiveSettings(input_perturbation=0.1, input_perturbation_random=True),
}
each_kind = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)


def latents(num_samples, height=16, width=12):
    return torch.randn(num_samples, 4, height, width, generator=torch.Generator().manual_seed(3))


def both(latents_BCHW, settings, **place):
    draws = Draws(seed=5, step=11, micro_step=2, **place)
    noise = draw_noise(latents_BCHW, settings, draws)
    return noise, input_perturbation(noise, settings, draws)


@each_kind
def test_a_batch_draws_what_single_samples_draw(settings):
    samples = latents(4)
    for whole, *parts in zip(
        both(samples, settings),
        both(samples[:1], settings),
        both(samples[1:], settings, sample_offset=1),
        strict=True,
    ):
        assert torch.equal(whole, torch.cat(parts))


@each_kind
def test_the_global_generator_is_neither_read_nor_moved(settings):
    state = torch.random.get_rng_state()
    first = both(latents(2), settings)
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(99)
    assert all(torch.equal(a, b) for a, b in zip(first, both(latents(2), settings), strict=True))


def test_step_micro_step_and_seed_change_the_noise():
    draws = Draws(seed=5, step=11, micro_step=2)
    others = [Draws(seed=6, step=11, micro_step=2), Draws(seed=5, step=12, micro_step=2), Draws(seed=5, step=11)]
    reference = draw_noise(latents(2), ObjectiveSettings(), draws)
    for other in others:
        assert not torch.equal(reference, draw_noise(latents(2), ObjectiveSettings(), other))


def test_gaussian_is_standard_normal():
    noise = draw_noise(latents(64, 32, 32), ObjectiveSettings(), Draws(seed=0, step=0))
    assert noise.mean().abs() < 0.01
    assert noise.std().item() == pytest.approx(1, abs=0.01)
    assert noise.dtype == torch.float32


def test_offset_adds_one_number_per_channel_of_its_strength():
    samples, draws = latents(400, 2, 2), Draws(seed=0, step=0)
    added = draw_noise(samples, KINDS["offset"], draws) - draw_noise(samples, ObjectiveSettings(), draws)
    assert torch.allclose(added, added[:, :, :1, :1].expand_as(added), atol=1e-6)
    assert added[:, :, 0, 0].std().item() == pytest.approx(0.1, rel=0.06)
    weaker = draw_noise(samples, KINDS["random offset"], draws) - draw_noise(samples, ObjectiveSettings(), draws)
    share = (weaker / added)[:, 0, 0, 0]
    assert 0 <= share.min() < 0.05 < 0.95 < share.max() <= 1 + 1e-4
    assert share.mean().item() == pytest.approx(0.5, abs=0.05)


def test_adaptive_offset_grows_with_the_mean_of_each_channel():
    samples, draws = latents(3) + torch.tensor([0.0, 1.0, -2.0, 4.0]).view(1, 4, 1, 1), Draws(seed=0, step=0)
    plain = draw_noise(samples, ObjectiveSettings(), draws)
    fixed = draw_noise(samples, KINDS["offset"], draws) - plain
    adaptive = draw_noise(samples, KINDS["adaptive offset"], draws) - plain
    strength = 0.1 + 0.5 * samples.mean(dim=(2, 3), keepdim=True).abs()
    torch.testing.assert_close(adaptive, (fixed * strength / 0.1).expand_as(adaptive), rtol=1e-3, atol=1e-5)
    falling = ObjectiveSettings(noise_offset=0.1, adaptive_noise_scale=-10.0)
    torch.testing.assert_close(draw_noise(samples + 5, falling, draws), plain)


def test_multires_keeps_the_strength_and_adds_coarse_structure():
    samples, draws = latents(8, 64, 64), Draws(seed=0, step=0)
    plain = draw_noise(samples, ObjectiveSettings(), draws)
    coarse = draw_noise(samples, ObjectiveSettings(multires_noise_iterations=6, multires_noise_discount=0.8), draws)
    assert coarse.std(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 8, abs=1e-4)

    def block_variance(noise):
        return torch.nn.functional.avg_pool2d(noise, 16).var().item()

    assert block_variance(coarse) > 5 * block_variance(plain)


def test_first_multires_level_is_as_fine_and_strong_as_the_noise_itself():
    samples, draws = latents(8, 32, 32), Draws(seed=0, step=0)
    plain = draw_noise(samples, ObjectiveSettings(), draws)
    once = draw_noise(samples, ObjectiveSettings(multires_noise_iterations=1), draws)
    assert (plain * once).mean().item() == pytest.approx(0.5**0.5, abs=0.02)


def test_perturbation_changes_the_input_and_not_the_target():
    samples = latents(50, 8, 8)
    target, mixed = both(samples, KINDS["perturbed"])
    assert torch.equal(target, both(samples, ObjectiveSettings())[0])
    assert (mixed - target).std().item() == pytest.approx(0.1, rel=0.03)
    _, random = both(samples, KINDS["randomly perturbed"])
    strengths = (random - target).std(dim=(1, 2, 3))
    assert strengths.min() < 0.02
    assert 0.08 < strengths.max() < 0.11

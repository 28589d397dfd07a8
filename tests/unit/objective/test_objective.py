"""The whole objective: targets, the order of weights, batches, masks, refusals."""

import math

import pytest
import torch
from pack.tests.unit.objective.toy import SD_ALPHAS_CUMPROD, ToyBase, toy_batch
from pack.training.objective.noise import gaussian
from pack.training.objective.noised import noise_batch
from pack.training.objective.objective import Draws, ObjectiveSettings, diffusion_loss, noise_level_weight
from pack.training.objective.schedule import flow_shares, zero_terminal_snr
from pack.training.objective.settings import default_objective
from pack.training.objective.timesteps import draw_timesteps

PLAIN = ObjectiveSettings(min_snr_gamma=None)
DRAWS = Draws(seed=3, step=8, micro_step=1)


class Oracle(ToyBase):
    """Knows the clean latents and says exactly what a perfect denoiser would, from the definition of its output."""

    def __init__(self, prediction_type, clean, alphas_cumprod=SD_ALPHAS_CUMPROD):
        super().__init__(prediction_type, alphas_cumprod)
        self.clean = clean.double()

    def denoise(self, noisy_BCHW, timestep_B, texts, sizes):
        alpha = self.alphas_cumprod[timestep_B][:, None, None, None]
        noise = (noisy_BCHW.double() - alpha.sqrt() * self.clean) / (1 - alpha).sqrt()
        if self.prediction_type == "epsilon":
            return noise.float()
        return (alpha.sqrt() * noise - (1 - alpha).sqrt() * self.clean).float()


def loss_of(base, batch, settings=PLAIN, draws=DRAWS):
    return diffusion_loss(base, base.network, batch, base.encode_text(batch.captions), settings, draws)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_a_perfect_denoiser_has_no_loss(prediction_type):
    batch = toy_batch(6)
    result = loss_of(Oracle(prediction_type, batch.latents_BCHW), batch)
    assert result.unweighted_B.max() < 1e-7


def test_a_perfect_denoiser_has_no_loss_at_zero_terminal_snr():
    batch, settings = toy_batch(2), ObjectiveSettings(min_snr_gamma=5.0, zero_terminal_snr=True)
    oracle = Oracle("v_prediction", batch.latents_BCHW, zero_terminal_snr(SD_ALPHAS_CUMPROD))
    for timestep in (0, 500, 999):
        result = loss_of(oracle, batch, settings, Draws(seed=0, step=0, timestep=timestep))
        assert result.unweighted_B.max() < 1e-7


@pytest.mark.parametrize("timestep", [300, 900, 999])
def test_weights_go_by_the_rescaled_schedule_at_zero_terminal_snr(timestep):
    settings = ObjectiveSettings(min_snr_gamma=5.0, zero_terminal_snr=True)
    result = loss_of(ToyBase("v_prediction"), toy_batch(1), settings, Draws(seed=0, step=0, timestep=timestep))
    alpha = zero_terminal_snr(SD_ALPHAS_CUMPROD)[timestep].item()
    snr = alpha / (1 - alpha)
    assert result.loss_B.item() == pytest.approx(result.unweighted_B.item() * min(snr, 5.0) / (snr + 1), rel=1e-5)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    "settings",
    [
        ObjectiveSettings(),
        ObjectiveSettings(soft_min_snr=True),
        ObjectiveSettings(min_snr_gamma=None, debiased_estimation=True),
        ObjectiveSettings(min_snr_gamma=None, p2_gamma=1.0),
        ObjectiveSettings(loss_type="huber"),
    ],
    ids=["min-SNR", "soft", "debiased", "P2", "huber"],
)
def test_pure_noise_gives_finite_losses_and_gradients(prediction_type, settings):
    base = ToyBase(prediction_type, zero_terminal_snr(SD_ALPHAS_CUMPROD))
    loss = loss_of(base, toy_batch(2), settings, Draws(seed=0, step=0, timestep=999)).loss_B
    loss.mean().backward()
    assert loss.isfinite().all()
    assert base.network.weight.grad.isfinite().all()


def test_every_weight_multiplies_in_order():
    """Recomputes the loss from the parts of the batch in double precision."""
    mask = torch.rand(3, 1, 8, 6, generator=torch.Generator().manual_seed(0))
    batch = toy_batch(
        3,
        mask_B1HW=mask,
        loss_weight_B=torch.tensor([0.5, 2.0, 1.0]),
        is_regularization_B=torch.tensor([False, True, True]),
    )
    settings = ObjectiveSettings(min_snr_gamma=2.0, v_pred_like_loss=0.3, prior_loss_weight=0.4, loss_type="l1")
    base = ToyBase()
    seen = {}

    def recording(noisy, timestep, texts, sizes, denoise=base.denoise):
        seen["prediction"], seen["noisy"] = denoise(noisy, timestep, texts, sizes), noisy
        return seen["prediction"]

    base.denoise = recording
    result = loss_of(base, batch, settings)
    for index in range(3):
        alpha = SD_ALPHAS_CUMPROD[result.timestep_B[index]].item()
        noise = (seen["noisy"][index].double() - math.sqrt(alpha) * batch.latents_BCHW[index]) / math.sqrt(1 - alpha)
        distance = (seen["prediction"][index].double() - noise).abs()
        mean = (distance * mask[index]).sum().item() / (4 * mask[index].sum().item())
        snr = alpha / (1 - alpha)
        level = min(snr, 2.0) / snr * (1 + 0.3 * (snr + 1) / snr)
        weight = batch.loss_weight_B[index].item() * (0.4 if index else 1.0)
        assert result.unweighted_B[index].item() == pytest.approx(mean, rel=1e-5)
        assert result.loss_B[index].item() == pytest.approx(mean * level * weight, rel=1e-5)
    assert not result.unweighted_B.requires_grad


@pytest.mark.parametrize(
    "settings",
    [
        PLAIN,
        ObjectiveSettings(
            noise_offset=0.1, noise_offset_random=True, input_perturbation=0.1, multires_noise_iterations=4
        ),
        ObjectiveSettings(timestep_distribution="low_discrepancy", loss_type="smooth_l1"),
    ],
    ids=["plain", "noises", "low discrepancy"],
)
def test_two_halves_of_a_batch_are_the_batch(settings):
    """So processes that share a batch, or a batch size of one, train on the same numbers."""
    whole_base, half_base = ToyBase(), ToyBase()
    batch = toy_batch(4)
    whole = loss_of(whole_base, batch, settings)
    whole.loss_B.sum().backward()
    losses = []
    for first in (0, 2):
        part = slice(first, first + 2)
        half = toy_batch(2, latents_BCHW=batch.latents_BCHW[part], captions=batch.captions[part])
        draws = Draws(seed=3, step=8, micro_step=1, sample_offset=first)
        result = loss_of(half_base, half, settings, draws)
        result.loss_B.sum().backward()
        losses.append(result.loss_B)
    torch.testing.assert_close(torch.cat(losses), whole.loss_B)
    torch.testing.assert_close(half_base.network.weight.grad, whole_base.network.weight.grad)


def test_hidden_parts_of_the_picture_have_no_influence():
    mask = torch.zeros(1, 1, 8, 6)
    mask[..., :3] = 1
    batch = toy_batch(1, mask_B1HW=mask)
    changed = batch.latents_BCHW.clone()
    changed[..., 3:] += 10
    losses = [
        loss_of(ToyBase(), toy_batch(1, mask_B1HW=mask, latents_BCHW=x)).loss_B for x in (batch.latents_BCHW, changed)
    ]
    assert torch.equal(*losses)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_min_snr_and_debiased_estimation_multiply_as_in_sd_scripts(prediction_type):
    snr_B = torch.tensor([0.01, 1.0, 20.0, 4000.0])
    one, other = ObjectiveSettings(), ObjectiveSettings(min_snr_gamma=None, debiased_estimation=True)
    both = noise_level_weight(snr_B, ObjectiveSettings(debiased_estimation=True), prediction_type)
    alone = [noise_level_weight(snr_B, settings, prediction_type) for settings in (one, other)]
    assert torch.allclose(both, alone[0] * alone[1])
    if prediction_type == "epsilon":
        by_hand = snr_B.clamp(max=5.0) / snr_B / snr_B.clamp(max=1000.0).sqrt()
        assert torch.allclose(both, by_hand)


def flow_base(shift=3.0):
    """A toy of rectified flow, whose host samples with shifted noise levels."""
    u_T = torch.arange(1, 1001, dtype=torch.float64) / 1000
    sigmas_T = shift * u_T / (1 + (shift - 1) * u_T)
    return ToyBase("flow", flow_shares(sigmas_T)), sigmas_T


@pytest.mark.parametrize("timestep", [0, 1, 400, 998, 999])
def test_rectified_flow_mixes_by_sigma_and_aims_at_noise_less_latents(timestep):
    base, sigmas_T = flow_base()
    latents = toy_batch(2).latents_BCHW
    noised = noise_batch(base, latents, PLAIN, Draws(seed=3, step=1, timestep=timestep))
    noise = gaussian(latents, "noise", Draws(seed=3, step=1))
    sigma = float(sigmas_T[timestep])
    assert torch.allclose(noised.target_BCHW, noise - latents)
    assert torch.allclose(noised.noisy_BCHW, (1 - sigma) * latents + sigma * noise, rtol=1e-5, atol=1e-6)
    assert torch.allclose(noised.noisy_BCHW - sigma * noised.target_BCHW, latents, rtol=1e-4, atol=1e-5)
    assert noised.snr_B[0].item() == pytest.approx(((1 - sigma) / sigma) ** 2, rel=1e-4)


def test_rectified_flow_is_drawn_as_its_host_shifts_it():
    base, sigmas_T = flow_base(shift=5.0)
    drawn = [draw_timesteps(PLAIN, Draws(seed=0, step=step), 64, 1000) for step in range(40)]
    sigmas = sigmas_T[torch.cat(drawn)]
    assert float((sigmas < 0.5).double().mean()) == pytest.approx(1 / 6, abs=0.02)  # u below 1/6 at shift 5


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "min_snr_gamma"),
        ({"min_snr_gamma": None, "debiased_estimation": True}, "debiased_estimation"),
        ({"min_snr_gamma": None, "p2_gamma": 1.0}, "p2_gamma"),
        ({"min_snr_gamma": None, "v_pred_like_loss": 0.1}, "v_pred_like_loss"),
        ({"min_snr_gamma": None, "zero_terminal_snr": True}, "zero_terminal_snr"),
    ],
)
def test_options_without_a_form_for_rectified_flow_are_refused_by_name(fields, named):
    with pytest.raises(ValueError, match=named):
        loss_of(flow_base()[0], toy_batch(1), ObjectiveSettings(**fields))
    assert loss_of(flow_base()[0], toy_batch(1), default_objective("flow")).loss_B.isfinite().all()
    assert default_objective("epsilon") == ObjectiveSettings()


def test_timesteps_are_reported():
    result = loss_of(ToyBase(), toy_batch(3), draws=Draws(seed=0, step=0, timestep=400))
    assert result.timestep_B.tolist() == [400, 400, 400]


@pytest.mark.parametrize(
    ("prediction_type", "fields", "message"),
    [
        ("epsilon", {"zero_terminal_snr": True}, "zero_terminal_snr needs a v-prediction model"),
        ("epsilon", {"scale_v_pred_loss_like_noise_pred": True}, "scale_v_pred_loss_like_noise_pred needs"),
        ("v_prediction", {"v_pred_like_loss": 0.5}, "v_pred_like_loss needs an epsilon model"),
    ],
)
def test_options_of_the_other_prediction_type_are_refused(prediction_type, fields, message):
    with pytest.raises(ValueError, match=message):
        loss_of(ToyBase(prediction_type), toy_batch(1), ObjectiveSettings(**fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"loss_type": "l3"}, "loss_type must be one of l2, l1, huber, smooth_l1"),
        ({"huber_c": 0.0}, "huber_c"),
        ({"min_snr_gamma": 0.0}, "min_snr_gamma must be above 0"),
        ({"p2_gamma": 1.0}, "p2_gamma must be the only weighting.*min_snr_gamma"),
        ({"p2_gamma": 1.0, "min_snr_gamma": None, "debiased_estimation": True}, "p2_gamma.*debiased_estimation"),
        ({"min_snr_gamma": None, "soft_min_snr": True}, "soft_min_snr needs min_snr_gamma"),
        ({"noise_offset": 2.0}, "noise_offset"),
        ({"adaptive_noise_scale": 0.1}, "adaptive_noise_scale needs noise_offset"),
        ({"multires_noise_discount": 0.0}, "multires_noise_discount"),
        ({"input_perturbation": -0.1}, "input_perturbation"),
        ({"min_timestep": 600, "max_timestep": 600}, "max_timestep must be above min_timestep"),
        ({"timestep_distribution": "sometimes"}, "timestep_distribution must be one of"),
        ({"prior_loss_weight": -1.0}, "prior_loss_weight"),
        ({"scale_weight_norms": -1.0}, "scale_weight_norms"),
    ],
)
def test_bad_settings_are_refused_by_name(fields, message):
    with pytest.raises(ValueError, match=message):
        ObjectiveSettings(**fields)

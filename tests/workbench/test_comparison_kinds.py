"""The pocket model as velocity and flow: it draws what it draws, and each kind trains, is scored and saved."""

import pytest
import torch
from pack.tests.support import cases
from pack.workbench.comparison.__main__ import chosen
from pack.workbench.comparison.kinds import as_flow, as_velocity, pocket_of_kind
from pack.workbench.comparison.kitchen import Kitchen
from pack.workbench.comparison.trial import Scale, Trial
from pack.workbench.pocket.measure import accuracy_by_attribute

SCALE = Scale(steps=3, batch_size=2, num_pictures=1, sampling_steps=10)


class Levels:
    """Noise levels as a model sampling has them."""

    sigmas = torch.linspace(-3, 2.6, 1000).exp()
    sigma_max = sigmas[-1]

    def timestep(self, sigma):
        return (sigma[:, None] - self.sigmas).abs().argmin(1)


@pytest.mark.parametrize("timestep", [10, 500, 990])
def test_a_perfect_answer_is_converted_to_a_perfect_answer(timestep):
    clean, noise = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)
    sigma = Levels.sigmas[timestep]
    signal, share = 1 / (1 + sigma**2).sqrt(), sigma / (1 + sigma)
    asked = []

    def knows_the_noise(x, timesteps):
        asked.append((x, timesteps))
        return noise

    noisy, times = signal * (clean + sigma * noise), torch.full((2,), float(timestep))
    velocity = as_velocity(knows_the_noise, Levels())(noisy, times)
    torch.testing.assert_close(velocity, signal * (noise - sigma * clean), rtol=1e-4, atol=1e-4)
    flow = as_flow(knows_the_noise, Levels())(
        (1 - share) * clean + share * noise, torch.full((2,), float(share) * 1000)
    )
    torch.testing.assert_close(flow, noise - clean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(asked[1][0], asked[0][0], rtol=1e-4, atol=1e-4)
    assert torch.equal(asked[1][1], asked[0][1])


@pytest.mark.comfy
@pytest.mark.parametrize("name", cases.chosen(["v-prediction", "rectified flow"], []))
def test_each_kind_draws_its_prompts_and_trains(comfy, pocket_checkpoint, name, monkeypatch):
    monkeypatch.setattr(comfy.server, "send_sync", comfy.server.send_sync)  # put back afterwards
    kitchen, (contestant,) = Kitchen(comfy, SCALE), chosen([name])
    drawn = kitchen.base_pictures("zorblax", contestant.kind)
    asked = {prompt: pictures for prompt, pictures in drawn.items() if "zorblax" not in prompt}
    pictures = [picture for found in asked.values() for picture in found]
    right = accuracy_by_attribute(pictures, [prompt for prompt, found in asked.items() for _ in found])
    assert min(right[name] for name in ("color", "background")) > 0.8, right
    assert pocket_of_kind(comfy, contestant.kind).model.model.diffusion_model is not None
    result, pictures = kitchen.bake(Trial(contestant=contestant, rate=1e-3, seed=1, scale=SCALE))
    assert "error" not in result and result["held_out_loss"] > 0 and pictures

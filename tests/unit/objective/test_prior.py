"""Prior preservation without images: the network is asked to leave alone what it is not about."""

import pytest
import torch
from pack.tests.unit.objective.toy import ToyBase, toy_batch
from pack.training.objective.objective import Draws, ObjectiveSettings, captions_to_encode, diffusion_loss
from pack.training.objective.prior import has_trigger, without_trigger

DRAWS = Draws(seed=1, step=2)


def settings(**fields):
    return ObjectiveSettings(**{"min_snr_gamma": None, "trigger": "ohwx", **fields})


def loss_of(base, batch, chosen):
    texts = base.encode_text(captions_to_encode(batch.captions, chosen))
    return diffusion_loss(base, base.network, batch, texts, chosen, DRAWS)


@pytest.mark.parametrize(
    ("caption", "found"),
    [("ohwx, red", True), ("a photo of OHWX.", True), ("ohwxy, red", False), ("", False), ("ohwx_2", False)],
)
def test_trigger_is_a_word_of_its_own(caption, found):
    assert has_trigger(caption, settings()) is found


def test_a_trigger_with_brackets_is_found_in_captions_whose_brackets_are_escaped():
    for trigger in ("mira (oc)", r"mira \(oc\)"):
        chosen = settings(trigger=trigger)
        assert has_trigger(r"mira \(oc\), red", chosen) and has_trigger("mira (oc), red", chosen)
        assert without_trigger(r"mira \(oc\), red", chosen) == "red"


@pytest.mark.parametrize(
    ("caption", "stand_in", "result"),
    [
        ("ohwx, red, one eye", "", "red, one eye"),
        ("red, ohwx", "", "red"),
        ("ohwx", "", ""),
        ("ohwx, red", "creature", "creature, red"),
        ("a drawing of ohwx in snow", "a dog", "a drawing of a dog in snow"),
    ],
)
def test_trigger_is_taken_out_or_replaced(caption, stand_in, result):
    assert without_trigger(caption, settings(trigger_class=stand_in)) == result


def test_captions_of_the_extra_term_come_after_the_batchs():
    captions = ("ohwx, red", "blue")
    assert captions_to_encode(captions, settings()) == captions
    extra = settings(prior_preservation="extra_term")
    assert captions_to_encode(captions, extra) == ("ohwx, red", "blue", "red", "blue")


@pytest.mark.parametrize(
    ("mode", "fields"),
    [
        ("captions_without_trigger", {"captions": ("ohwx", "dog", "ohwx")}),
        ("regularization_images", {"is_regularization_B": torch.tensor([False, True, False])}),
    ],
)
def test_an_untouched_model_has_nothing_to_keep_and_a_changed_one_is_pulled_back(mode, fields):
    batch, chosen = toy_batch(3, **fields), settings(prior_preservation=mode, prior_preservation_weight=0.5)
    plain = loss_of(ToyBase(), batch, settings())

    untouched = ToyBase()
    torch.nn.init.zeros_(untouched.network.weight)
    assert loss_of(untouched, batch, chosen).loss_B[1] == 0

    changed = ToyBase()
    result = loss_of(changed, batch, chosen)
    assert torch.equal(result.loss_B[::2], plain.loss_B[::2])
    assert result.loss_B[1].item() == pytest.approx(0.5 * result.unweighted_B[1].item())
    result.loss_B[1].backward()
    assert (changed.network.weight.grad * changed.network.weight).sum() > 0


def test_kept_target_is_what_the_base_predicts():
    """The distance at the network's own change, recomputed by hand."""
    base, batch = ToyBase(), toy_batch(1, captions=("dog",))
    seen = []
    denoise = base.denoise

    def recording(*args):
        seen.append((base.network.is_enabled, torch.is_grad_enabled(), denoise(*args)))
        return seen[-1][2]

    base.denoise = recording
    result = loss_of(base, batch, settings(prior_preservation="captions_without_trigger"))
    (_, _, own), (is_enabled, has_grad, base_only) = seen
    assert (is_enabled, has_grad) == (False, False)
    assert base.network.is_enabled
    assert result.loss_B.item() == pytest.approx((own - base_only).square().mean().item(), rel=1e-5)


def test_extra_term_adds_the_distance_for_the_caption_without_the_trigger():
    batch = toy_batch(2, captions=("ohwx, red", "ohwx"))
    plain = loss_of(ToyBase(), batch, settings())
    base = ToyBase()
    extra = loss_of(base, batch, settings(prior_preservation="extra_term", prior_preservation_weight=2.0))
    kept = toy_batch(2, captions=("red", ""))
    distance = loss_of(ToyBase(), kept, settings(prior_preservation="captions_without_trigger"))
    torch.testing.assert_close(extra.loss_B, plain.loss_B + 2.0 * distance.loss_B)
    assert torch.equal(extra.unweighted_B, plain.unweighted_B)


def test_base_target_uses_the_bases_own_text_while_the_text_encoder_is_trained():
    batch, chosen = toy_batch(1, captions=("dog",)), settings(prior_preservation="captions_without_trigger")
    base = ToyBase()
    torch.nn.init.zeros_(base.network.weight)
    base.network.trains_text = True
    loss_of(base, batch, chosen).loss_B.sum().backward()
    assert base.network.text_weight.grad > 0


def test_batches_with_kept_samples_draw_the_same_noise():
    batch = toy_batch(2, captions=("ohwx", "dog"))
    kept = loss_of(ToyBase(), batch, settings(prior_preservation="captions_without_trigger"))
    plain = loss_of(ToyBase(), batch, settings())
    assert torch.equal(kept.timestep_B, plain.timestep_B)
    assert kept.loss_B[0] == plain.loss_B[0]


def halves():
    """A mask of the left half of each picture."""
    mask = torch.zeros(2, 1, 8, 6)
    mask[..., :3] = 1.0
    return mask


def test_outside_a_mask_counts_as_much_as_is_asked():
    batch, plain = toy_batch(2, mask_B1HW=halves()), toy_batch(2)
    whole = loss_of(ToyBase(), plain, settings()).loss_B
    for normalized in (True, False):
        chosen = [settings(unmasked_weight=w, is_mask_area_normalized=normalized) for w in (0.0, 0.25, 1.0)]
        inside, some, all_of_it = (loss_of(ToyBase(), batch, one).loss_B for one in chosen)
        assert torch.allclose(all_of_it, whole)
        outside = 2 * whole - inside if normalized else whole - inside
        mixed = (inside + 0.25 * outside) / 1.25 if normalized else inside + 0.25 * outside
        assert torch.allclose(some, mixed)


def test_outside_a_mask_the_base_model_is_kept():
    batch, chosen = toy_batch(2, mask_B1HW=halves()), settings(unmasked_prior_weight=0.5)
    untouched = ToyBase()
    torch.nn.init.zeros_(untouched.network.weight)
    assert torch.equal(loss_of(untouched, batch, chosen).loss_B, loss_of(untouched, batch, settings()).loss_B)

    changed = ToyBase()
    added = loss_of(changed, batch, chosen).loss_B - loss_of(changed, batch, settings()).loss_B
    added.sum().backward()
    assert (added > 0).all() and (changed.network.weight.grad * changed.network.weight).sum() > 0
    recorded = []
    denoise = changed.denoise
    changed.denoise = lambda *args: recorded.append(denoise(*args)) or recorded[-1]
    loss_of(changed, batch, chosen)
    by_hand = ((recorded[0] - recorded[1]) ** 2)[..., 3:].mean(dim=(1, 2, 3))
    assert torch.allclose(added, 0.5 * by_hand)
    assert torch.equal(
        loss_of(ToyBase(), toy_batch(2), chosen).loss_B, loss_of(ToyBase(), toy_batch(2), settings()).loss_B
    )


def test_regularization_images_of_a_masked_batch_are_weighed_alike_outside():
    batch = toy_batch(2, mask_B1HW=halves(), is_regularization_B=torch.tensor([False, True]))
    light = [settings(unmasked_prior_weight=w, prior_loss_weight=0.25) for w in (0.0, 1.0)]
    full = [settings(unmasked_prior_weight=w) for w in (0.0, 1.0)]
    added = [loss_of(ToyBase(), batch, b).loss_B - loss_of(ToyBase(), batch, a).loss_B for a, b in (light, full)]
    assert added[0][1].item() == pytest.approx(0.25 * added[1][1].item())

"""The host's models as a base to train on: shared weights, gradients, conditioning, identity."""

import gc
import threading

import psutil
import pytest
import torch
from pack.tests.support.cases import chosen
from pack.training.base_model import ImageSize, TextConditioning
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

SIZE = ImageSize((70, 80), (3, 5), (64, 64))


@pytest.fixture(scope="module", params=["tiny_sd15", "tiny_sdxl"])
def loaded(request, comfy):
    return comfy.load_checkpoint(request.getfixturevalue(request.param))


def base_model(loaded, **settings):
    from pack.nodes.comfy_bridge.model.base_model import ComfyBaseModel

    return ComfyBaseModel(*loaded, **settings)


def latents(count=1, side=8):
    return torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(1))


def bits(root):
    return {name: tensor.clone() for name, tensor in root.state_dict().items()}


def are_identical(before, root):
    """Byte for byte: what a tiny checkpoint leaves out is uninitialized memory, which may be NaN."""

    def raw(tensor):
        return tensor.reshape(-1).view(torch.uint8)

    return all(torch.equal(raw(before[name]), raw(value)) for name, value in root.state_dict().items())


def picture(comfy, loaded):
    model, clip, vae = loaded
    with torch.inference_mode():
        cond = clip.encode_from_tokens_scheduled(clip.tokenize("a red cat"))
        noise = latents()
        samples = comfy.module("comfy.sample").sample(
            model, noise, 2, 2.0, "euler", "normal", cond, cond, torch.zeros_like(noise), seed=0, disable_pbar=True
        )
        return vae.decode(samples)


def train_once(base, is_text_trained, steps=1):
    """A few steps over the shared weights; returns network and gradients of the last."""
    parts = ("unet", "text_encoder", "text_encoder_2") if is_text_trained else ("unet",)
    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, NetworkSettings(rank=4, alpha=4.0, parts=parts), 0)
        with torch.no_grad():
            frozen = base.encode_text(["a red cat"])
        with base.training(is_text_trained):
            network.attach()
            try:
                for _ in range(steps):
                    texts = base.encode_text(["a red cat"]) if is_text_trained else frozen
                    loss = base.denoise(latents(), torch.tensor([500]), texts, [SIZE]).square().mean()
                    loss.backward()
            finally:
                network.detach()
    return network, {name: parameter.grad for name, parameter in network.named_parameters()}


def test_host_is_bit_identical_after_training_and_after_an_error(comfy, loaded):
    model, clip, _ = loaded
    before, weights = picture(comfy, loaded), bits(model.model)
    places = {name: parameter.data_ptr() for name, parameter in model.model.named_parameters()}
    text_weights = bits(clip.cond_stage_model)
    train_once(base_model(loaded), is_text_trained=True)
    with pytest.raises(ZeroDivisionError), base_model(loaded, gradient_checkpointing="on").training(True):
        raise ZeroDivisionError
    assert are_identical(weights, model.model)
    assert are_identical(text_weights, clip.cond_stage_model)
    assert places == {name: parameter.data_ptr() for name, parameter in model.model.named_parameters()}
    assert not any("forward" in module.__dict__ for module in model.model.modules())
    assert not any("forward" in module.__dict__ for module in clip.cond_stage_model.modules())
    assert torch.equal(before, picture(comfy, loaded))


def test_training_shares_the_memory_of_the_loaded_weights(comfy, loaded):
    model = loaded[0].model
    comfy.module("comfy.model_management").load_models_gpu([loaded[0]])
    addresses = {name: parameter.data_ptr() for name, parameter in model.named_parameters()}
    with base_model(loaded).training(False):
        assert not any(parameter.is_inference() for parameter in model.diffusion_model.parameters())
        assert addresses == {name: parameter.data_ptr() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("is_text_trained", [False, True])
def test_gradients_reach_every_part(loaded, is_text_trained):
    base = base_model(loaded)
    network, gradients = train_once(base, is_text_trained)
    ups = {name: gradient for name, gradient in gradients.items() if "lora_up" in name}
    reached = {name.split("_")[1] for name, grad in ups.items() if grad is not None and grad.abs().sum() > 0}
    text_parts = {"te"} if base.family == "sd15" else {"te1", "te2"}
    assert reached == {"unet"} | (text_parts if is_text_trained else set())


@pytest.mark.parametrize("level", ["on", "finer"])
def test_checkpointing_gives_the_same_gradients(loaded, level):
    plain = train_once(base_model(loaded, gradient_checkpointing="off"), False)[1]
    saved = train_once(base_model(loaded, gradient_checkpointing=level), False)[1]
    assert all(torch.equal(plain[name], saved[name]) for name in plain)


def test_a_model_of_the_hosts_compile_node_is_trained_compiled(comfy, tiny_sd15):
    loaded = comfy.load_checkpoint(tiny_sd15)
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    plain = train_once(base_model(loaded, gradient_checkpointing="on"), False)[1]
    model, clip, vae = loaded
    model = model.clone()
    comfy.module("comfy_api.torch_helpers").set_torch_compile_wrapper(model, backend=backend)
    torch.compiler.reset()
    compiled = train_once(base_model((model, clip, vae), gradient_checkpointing="on"), False)[1]
    assert graphs
    assert all(torch.allclose(plain[name], compiled[name], rtol=1e-3, atol=1e-6) for name in plain)
    again = train_once(base_model((model, clip, vae), gradient_checkpointing="on"), False)[1]
    assert all(torch.equal(compiled[name], again[name]) for name in plain), "the network of another run is seen"


def test_text_encoding_for_training_equals_the_hosts(comfy, loaded):
    model, clip, vae = loaded
    caption = "a (red:1.3) cat, " + "very " * 90 + "long"
    with torch.inference_mode():
        wanted = clip.encode_from_tokens_scheduled(clip.tokenize(caption))[0]
    base = base_model(loaded)
    with base.training(True):
        text = base.encode_text([caption])[0]
        assert text.context_LD.requires_grad is False or text.context_LD.grad_fn is not None
    assert torch.equal(text.context_LD.detach(), wanted[0][0])
    assert text.context_LD.shape[0] == 154
    if base.family == "sdxl":
        assert torch.equal(text.pooled_D.detach(), wanted[1]["pooled_output"][0])


def test_brackets_of_captions_are_text_to_the_text_encoder_unless_they_are_weights(comfy, loaded):
    from pack.training.data.captions import CaptionMoment, CaptionSettings, process_caption

    _, clip, _ = loaded
    caption, moment = "hatsune miku (vocaloid), (red eyes:1.3)", CaptionMoment(seed=0, epoch=0, image=0)
    as_text = clip.tokenize(process_caption([caption], CaptionSettings(), moment))
    as_weights = clip.tokenize(process_caption([caption], CaptionSettings(caption_weights=True), moment))
    tokenizer = clip.tokenizer.clip_l.tokenizer
    for batches in as_text.values():
        assert [pair for pair in batches[0] if pair[1] != 1.0] == []
        assert [token for token, _ in batches[0]][: len(tokenizer(caption)["input_ids"]) - 1] == tokenizer(caption)[
            "input_ids"
        ][:-1]
    assert as_weights == clip.tokenize(caption)
    assert {weight for _, weight in as_weights["l"][0]} == {1.0, 1.1, 1.3}


def test_prediction_equals_what_the_host_samples_with(comfy, loaded):
    """The host's apply_model turns the raw prediction into a clean image; both must agree at every noise level."""
    model, clip, _ = loaded
    base = base_model(loaded)
    with torch.inference_mode():
        encoded = clip.encode_from_tokens_scheduled(clip.tokenize("a red cat"))[0]
        pooled = encoded[1].get("pooled_output")
    text = TextConditioning(encoded[0][0], pooled[0] if base.family == "sdxl" else None)
    for timestep in (0, 300, 999):
        sigma = model.model.model_sampling.sigmas[timestep]
        noised = latents() * (sigma**2 + 1) ** 0.5
        extra = {}
        if base.family == "sdxl":
            height, width = SIZE.original_hw
            extra["y"] = model.model.encode_adm(
                pooled_output=pooled, width=width, height=height, crop_w=5, crop_h=3, target_width=64, target_height=64
            )
        with torch.inference_mode():
            clean = model.model.apply_model(noised, sigma[None], c_crossattn=encoded[0], **extra)
            ours = base.denoise(latents(), torch.tensor([timestep]), [text], [SIZE])
        torch.testing.assert_close(noised - sigma * ours, clean, rtol=1e-4, atol=1e-4 * float(1 + sigma))


@pytest.mark.parametrize("node", ["ModelSamplingSD3", "ModelSamplingAuraFlow"])
def test_rectified_flow_is_trained_at_the_levels_and_times_that_the_host_samples_with(comfy, loaded, node):
    advanced = comfy.module("comfy_extras.nodes_model_advanced")
    patch = {"ModelSamplingSD3": "patch", "ModelSamplingAuraFlow": "patch_aura"}[node]
    with torch.inference_mode():
        patched = getattr(getattr(advanced, node)(), patch)(loaded[0], 2.5)[0]
        encoded = loaded[1].encode_from_tokens_scheduled(loaded[1].tokenize("a red cat"))[0]
    base, epsilon = base_model((patched, *loaded[1:])), base_model(loaded)
    assert base.prediction_type == "flow"
    sampling = patched.get_model_object("model_sampling")
    pooled = encoded[1].get("pooled_output")
    text = TextConditioning(encoded[0][0], pooled[0] if base.family == "sdxl" else None)
    told = []
    hook = base._denoiser.register_forward_pre_hook(lambda _, args: told.append(args[1].clone()))
    try:
        for timestep in (0, 300, 999):
            with torch.inference_mode():
                base.denoise(latents(), torch.tensor([timestep]), [text], [SIZE])
            sigma = sampling.sigmas[timestep].double()
            share = float(base.alphas_cumprod[timestep])
            assert share == pytest.approx(float((1 - sigma) ** 2 / ((1 - sigma) ** 2 + sigma**2)), abs=1e-9)
            assert told[-1].item() == pytest.approx(float(sampling.timestep(sigma)), rel=1e-6)
    finally:
        hook.remove()
    assert float(epsilon._times_T[300]) == 300.0


@pytest.mark.parametrize("loaded", chosen(["tiny_sd15", "tiny_sdxl"], ["tiny_sd15"]), indirect=True)
@pytest.mark.parametrize("kind", chosen(["epsilon", "v_prediction", "flow"], ["v_prediction"]))
def test_a_model_of_every_kind_learns_a_picture(comfy, loaded, kind):
    """The loss over all levels falls; the tiny model's own prediction is nothing anybody trained."""
    from pack.tests.unit.objective.toy import toy_batch
    from pack.training.objective.objective import Draws, diffusion_loss
    from pack.training.objective.settings import ObjectiveSettings, default_objective

    advanced = comfy.module("comfy_extras.nodes_model_advanced")
    model = loaded[0]
    with torch.inference_mode():
        if kind == "v_prediction":
            model = advanced.ModelSamplingDiscrete().patch(model, "v_prediction", True)[0]
        elif kind == "flow":
            model = advanced.ModelSamplingSD3().patch(model, 3.0)[0]
    base = base_model((model, *loaded[1:]))
    assert base.prediction_type == kind
    objective = ObjectiveSettings(zero_terminal_snr=True) if kind == "v_prediction" else default_objective(kind)
    batch = toy_batch(2, latents_BCHW=latents(2), sizes=(SIZE, SIZE), captions=("a red cat", "a dog"))
    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, NetworkSettings(rank=4, alpha=4.0), 0)
        optimizer = torch.optim.AdamW([parameter for _, parameter in network.named_parameters()], lr=2e-3)
        with torch.no_grad():
            texts = base.encode_text(batch.captions)
        losses = []
        with base.training(False):
            network.attach()
            try:
                for step in range(30):
                    optimizer.zero_grad()
                    draws = Draws(seed=0, step=step % 3)
                    loss = diffusion_loss(base, network, batch, texts, objective, draws).loss_B.mean()
                    loss.backward()
                    optimizer.step()
                    losses.append(loss.item())
            finally:
                network.detach()
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3]), losses


def test_contexts_of_different_length_are_repeated_not_padded(loaded):
    base = base_model(loaded)
    with torch.no_grad():
        short, long = base.encode_text(["a cat", "a cat, " + "very " * 90])
        both = base.denoise(latents(2), torch.tensor([500, 500]), [short, long], [SIZE, SIZE])
        alone = base.denoise(latents(2)[:1], torch.tensor([500]), [short], [SIZE])
    torch.testing.assert_close(both[:1], alone, rtol=1e-4, atol=1e-4)


def test_v_prediction_and_zero_terminal_snr_are_read_from_the_model(comfy, loaded):
    base = base_model(loaded)
    assert base.prediction_type == "epsilon"
    node = comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete
    with torch.inference_mode():
        patched = node().patch(loaded[0], "v_prediction", True)[0]
    velocity = base_model((patched, *loaded[1:]))
    assert velocity.prediction_type == "v_prediction"
    assert float(velocity.alphas_cumprod[-1]) < 1e-6 < float(base.alphas_cumprod[-1])
    assert float(base.alphas_cumprod[0]) == pytest.approx(0.99915, abs=1e-5)


def test_identity_sees_weights_and_patches_but_not_loading(comfy, loaded):
    from pack.nodes.comfy_bridge.model.identity import patcher_key

    model = loaded[0]
    key = patcher_key(model)
    picture(comfy, loaded)
    assert patcher_key(model) == key
    name = next(n for n, p in model.model.named_parameters() if n.endswith("attn1.to_q.weight"))
    with torch.inference_mode():
        patched = model.clone()
        patched.add_patches({name: (torch.full_like(model.model.state_dict()[name], 0.01),)})
        assert patcher_key(patched) != key
        comfy.module("comfy.model_management").load_models_gpu([patched])
        assert patcher_key(model) == key
        comfy.module("comfy.model_management").load_models_gpu([model])
    assert patcher_key(model) == key


def test_identity_does_not_see_which_clone_is_loaded(comfy, loaded):
    from pack.nodes.comfy_bridge.model.identity import patcher_key

    node = comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete()
    load = comfy.module("comfy.model_management").load_models_gpu
    with torch.inference_mode():
        patched = node.patch(loaded[0], "v_prediction", True)[0]
        load([loaded[0]])
        keys = patcher_key(loaded[0]), patcher_key(patched)
        load([patched])
        assert (patcher_key(loaded[0]), patcher_key(patched)) == keys
        load([loaded[0]])


def test_identity_does_not_see_what_checkpoints_leave_out(loaded):
    """The host fills it with memory as it finds it; no conditioning depends on it."""
    from pack.nodes.comfy_bridge.model.identity import NOT_IN_FILES, clip_key

    clip = loaded.clip
    weights = clip.cond_stage_model.state_dict()
    left_out = [weights[name] for name in sorted(NOT_IN_FILES & weights.keys())]
    assert len(left_out) >= 2
    with torch.inference_mode():
        key, cond = clip_key(clip), clip.encode_from_tokens(clip.tokenize("a red cat"), return_pooled=True)
        before = [tensor.clone() for tensor in left_out]
        for tensor in left_out:
            tensor.fill_(7.0)
        changed = clip.encode_from_tokens(clip.tokenize("a red cat"), return_pooled=True)
        assert clip_key(clip) == key
        assert torch.equal(cond[0], changed[0])
        if "clip_g.logit_scale" in weights:
            assert torch.equal(cond[1], changed[1])
        for tensor, values in zip(left_out, before, strict=True):
            tensor.copy_(values)


def test_other_families_are_refused_by_name(loaded):
    from pack.nodes.comfy_bridge.model.model_facts import model_family

    class Other:
        class model:
            model_config = type("Flux", (), {"unet_config": {}})()

    with pytest.raises(ValueError, match="Flux"):
        model_family(Other)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
def test_cast_weights_give_the_gradients_of_plain_ones_and_are_not_kept(comfy, tiny_sd15, dtype):
    """Weights in another format than the computation: same gradients as the same values in float32, no copy kept."""
    sizes = {}
    gradients = {}
    for kind in (dtype, torch.float32):
        with torch.inference_mode():
            loaded = comfy.module("comfy.sd").load_checkpoint_guess_config(
                str(tiny_sd15), output_vae=False, output_clip=False, model_options={"dtype": dtype}
            )
            if kind == torch.float32:
                loaded[0].model.diffusion_model.float()
        base = base_model((loaded[0], None, None))
        base._dtype = torch.float32
        kept: list[int] = []
        weights = {p.untyped_storage().data_ptr() for p in loaded[0].model.parameters()}

        def pack(tensor, weights=weights, kept=kept):
            if tensor.untyped_storage().data_ptr() not in weights:
                kept.append(tensor.numel() * tensor.element_size())
            return tensor

        text = TextConditioning(torch.randn(77, 768, generator=torch.Generator().manual_seed(2)))
        with torch.inference_mode(False):
            network = Network.create(base.parts(), base.family, NetworkSettings(algorithm="locon", rank=4), 0)
            with base.training(False):
                network.attach()
                try:
                    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                        loss = base.denoise(latents(), torch.tensor([500]), [text], [SIZE]).square().mean()
                    loss.backward()
                finally:
                    network.detach()
        gradients[kind] = {name: p.grad for name, p in network.named_parameters()}
        sizes[kind] = sum(kept)
    for name, gradient in gradients[dtype].items():
        torch.testing.assert_close(gradient, gradients[torch.float32][name], rtol=1e-4, atol=1e-6)
    assert sizes[dtype] <= 1.1 * sizes[torch.float32]


def test_peak_memory_of_training_holds_no_second_copy(loaded):
    """Resident memory while training, sampled by a thread: it grows by adapters and activations, not by the model."""
    process = psutil.Process()
    train_once(base_model(loaded), is_text_trained=False)  # what is allocated once, such as thread pools
    size = sum(p.numel() * p.element_size() for p in loaded[0].model.diffusion_model.parameters())
    gc.collect()
    before, peak, is_done = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not is_done.wait(0.002):
            peak[0] = max(peak[0], process.memory_info().rss)

    thread = threading.Thread(target=watch)
    thread.start()
    train_once(base_model(loaded), is_text_trained=False, steps=2)
    is_done.set()
    thread.join()
    assert peak[0] - before < 0.6 * size


def test_weights_the_host_moved_meanwhile_can_be_trained_on_again(loaded):
    """The host moves weights by `param.data = ...` inside inference mode, which leaves tensors autograd refuses."""
    base = base_model(loaded)
    unet = loaded[0].model.diffusion_model
    before = bits(unet)
    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, NetworkSettings(rank=2), 0)
        text = TextConditioning(torch.zeros(77, 768 if base.family == "sd15" else 2048), torch.zeros(1280))
        with base.training(False):
            network.attach()
            try:
                with torch.inference_mode():
                    for parameter in unet.parameters():
                        parameter.data = parameter.data.clone()
                with pytest.raises(RuntimeError, match=r"[Ii]nference tensor"):
                    base.denoise(latents(), torch.tensor([500]), [text], [SIZE]).square().mean().backward()
                base.refresh()
                base.denoise(latents(), torch.tensor([500]), [text], [SIZE]).square().mean().backward()
            finally:
                network.detach()
    assert are_identical(before, unet)
    assert all(parameter.is_inference() for parameter in unet.parameters())


def test_other_kinds_of_sampling_are_refused(comfy, loaded):
    with torch.inference_mode():
        patched = (
            comfy.module("comfy_extras.nodes_model_advanced")
            .ModelSamplingContinuousEDM()
            .patch(loaded[0], "edm", 120.0, 0.002)[0]
        )
    with pytest.raises(ValueError, match="only epsilon and v-prediction"):
        base_model((patched, *loaded[1:]))


def test_scaled_loss_keeps_the_small_gradients_of_an_fp16_unet(comfy, tiny_sd15):
    """Gradients of lora_up in fp16 against float32: lost without scaling at the size that losses have, kept with it."""
    with torch.inference_mode():
        half = comfy.module("comfy.sd").load_checkpoint_guess_config(
            str(tiny_sd15), output_vae=False, output_clip=False, model_options={"dtype": torch.float16}
        )[0]
        full = comfy.module("comfy.sd").load_checkpoint_guess_config(
            str(tiny_sd15), output_vae=False, output_clip=False, model_options={"dtype": torch.float16}
        )[0]
    gradients = {}
    for name, model, dtype, scale in (
        ("full", full, torch.float32, 1.0),
        ("plain", half, torch.float16, 1.0),
        ("scaled", half, torch.float16, 2.0**16),
    ):
        base = base_model((model, None, None))
        base._dtype = dtype
        if dtype == torch.float16:
            assert base.loss_scale == 2.0**16
            model.model.manual_cast_dtype = torch.float16
        text = TextConditioning(torch.randn(77, 768, generator=torch.Generator().manual_seed(2)))
        with torch.inference_mode(False):
            network = Network.create(base.parts(), base.family, NetworkSettings(rank=4), 0)
            with base.training(False):
                network.attach()
                try:
                    prediction = base.denoise(latents(), torch.tensor([500]), [text], [SIZE])
                    # As small as a loss over many pixels and samples makes it.
                    (prediction.square().mean() * 1e-5 * scale).backward()
                finally:
                    network.detach()
        found = [p.grad.flatten() / scale for key, p in network.named_parameters() if "lora_up" in key]
        gradients[name] = torch.cat(found).double()

    def likeness(name):
        return torch.nn.functional.cosine_similarity(gradients[name], gradients["full"], dim=0)

    assert likeness("scaled") > 0.99
    assert likeness("scaled") > likeness("plain")


def test_only_layers_that_the_host_computes_plainly_are_computed_by_us(loaded, monkeypatch):
    """A node may pad convolutions, patch weights as they are used, or put a forward of its own before a layer."""
    from pack.nodes.comfy_bridge.model.base_model import ComfyBaseModel
    from pack.training.networks.low_rank import lender

    base: ComfyBaseModel = base_model(loaded)
    modules = dict(base.parts()["unet"].named_modules())
    linear = next(module for module in modules.values() if isinstance(module, torch.nn.Linear))
    convs = [module for module in modules.values() if isinstance(module, torch.nn.Conv2d)]
    x = torch.randn(2, linear.in_features)
    called = []
    own = convs[2].forward
    convs[0].padding_mode = "circular"
    convs[1]._conv_forward = lambda x, weight, bias: x
    convs[2].forward = others = lambda x: (called.append(1), own(x))[1]
    try:
        with base.training(False):
            with lender(linear.forward, x)(x) as (weight, _):
                assert weight is linear.weight
            image = torch.zeros(1, convs[3].in_channels, 4, 4)
            assert [lender(conv.forward, image) is not None for conv in convs[:4]] == [False] * 3 + [True]
            with monkeypatch.context() as patched:
                patched.setattr(torch.nn.Conv2d, "_conv_forward", lambda self, x, weight, bias: x)
                assert lender(convs[3].forward, image) is None
            linear.weight_function.append(lambda weight: 2 * weight)
            with lender(linear.forward, x)(x) as (weight, _):
                assert torch.equal(weight, 2 * linear.weight)
            convs[2](torch.zeros(1, convs[2].in_channels, 4, 4))
            assert called
        assert convs[2].__dict__["forward"] is others, "another node's forward is there after training"
    finally:
        convs[0].padding_mode = "zeros"
        del convs[1]._conv_forward, convs[2].forward
        linear.weight_function.clear()

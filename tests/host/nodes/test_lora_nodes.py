"""LoRA nodes against the host itself: its loader, its LoRA nodes, its checkpoints."""

import json
import os
from pathlib import Path

import pytest
import torch
from pack.tests.unit.tools.loras import draw, named
from pack.training.files.formats import split_modules
from pack.training.files.lora_file import LoraTensors, load_lora, save_lora
from pack.training.tools.deltas import delta_weight

pytestmark = pytest.mark.comfy

LINEAR = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
SHAPES = {LINEAR: (320, 320), CONV: (320, 320, 3, 3), TEXT: (3072, 768)}


def small(*shape: int, seed: int = 0) -> torch.Tensor:
    return (draw(*shape, seed=seed) * 0.1).float()


def made(algorithm: str, name: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """A module's tensors, rank 4, alpha 3, in the sizes of the tiny SD1.5 model."""
    out, inputs, *kernel = SHAPES[name]
    flat = inputs * 9 if kernel else inputs
    alpha = {"alpha": torch.tensor(3.0)}
    low_rank = {
        **alpha,
        "lora_down.weight": small(4, inputs, *kernel, seed=seed),
        "lora_up.weight": small(out, 4, *[1] * len(kernel), seed=seed + 1),
    }
    return {
        "lora": lambda: low_rank,
        "dora": lambda: low_rank | {"dora_scale": small(1, inputs, *[1] * len(kernel)).abs() + 1},
        "dora rows": lambda: low_rank | {"dora_scale": small(out, 1, *[1] * len(kernel)).abs() + 1},
        "loha": lambda: {
            **alpha,
            **{f"hada_w{i}_a": small(out, 4, seed=seed + i) for i in (1, 2)},
            **{f"hada_w{i}_b": small(4, flat, seed=seed + i) for i in (1, 2)},
        },
        "lokr": lambda: {
            **alpha,
            "lokr_w1": small(8, 8, seed=seed),
            "lokr_w2_a": small(out // 8, 4, seed=seed),
            "lokr_w2_b": small(4, flat // 8, seed=seed),
        },
        "glora": lambda: {
            **alpha,
            **{f"{key}.weight": small(inputs, 4, *[1] * len(kernel), seed=seed) for key in ("a1",)},
            "a2.weight": small(4, inputs, *[1] * len(kernel), seed=seed),
            "b1.weight": small(out, 4, *[1] * len(kernel), seed=seed),
            "b2.weight": small(4, inputs, *kernel, seed=seed),
        },
        "full": lambda: {"diff": small(*SHAPES[name], seed=seed), "diff_b": small(out, seed=seed)},
        "oft": lambda: {"oft_blocks": small(out // 16, 16, 16, seed=seed), "alpha": torch.tensor(0.0)},
        "boft": lambda: {"oft_blocks": small(2, out // 16, 16, 16, seed=seed), "alpha": torch.tensor(0.0)},
        "ia3": lambda: {"weight": small(out, seed=seed), "on_input": torch.tensor(0)},
    }[algorithm]()


READ_BY_HOST = ("lora", "dora", "dora rows", "loha", "lokr", "glora", "full", "oft", "boft")
READ_AS_TRAINED = ("lora", "dora", "loha", "lokr", "glora", "full", "oft", "boft")


@pytest.fixture(scope="module")
def models(comfy, tiny_sd15):
    return comfy.load_checkpoint(tiny_sd15)


@pytest.fixture(scope="module")
def node(comfy):
    """Runs a node of the pack with the defaults of its inputs and the values given."""
    from pack.nodes.lora import files as lora_files
    from pack.nodes.lora import tools as lora_tools

    nodes = {one.__name__: one for one in (*lora_files.NODES, *lora_tools.NODES)}

    def execute(name: str, **values):
        inputs = nodes[name].define_schema().inputs
        defaults = {
            one.id: one.default for one in inputs if getattr(one, "default", None) is not None and not one.optional
        }
        with torch.inference_mode():
            return nodes[name].execute(**{**defaults, **values}).args

    return execute


def weights(model, clip):
    from pack.nodes.comfy_bridge.model.lora_weights import HostWeights

    return HostWeights(model, clip)


def core_loader(comfy, models, tensors, strength=1.0, text_strength=1.0):
    return comfy.module("comfy.sd").load_lora_for_models(
        models.model, models.clip, dict(tensors), strength, text_strength
    )


def assert_near(got: torch.Tensor, wanted: torch.Tensor, tolerance: float = 1e-5):
    torch.testing.assert_close(got, wanted, rtol=0, atol=tolerance * float(wanted.abs().max()))


@pytest.mark.parametrize(("strength", "text_strength"), [(1.0, 1.0), (0.6, 1.0), (-1.3, -0.7)])
@pytest.mark.parametrize("algorithm", READ_BY_HOST)
def test_apply_is_the_core_loader(comfy, models, node, algorithm, strength, text_strength):
    lora = {key: tensor for name in SHAPES for key, tensor in named(name, made(algorithm, name)).items()}
    applied = node(
        "BakeryApplyLoRA", model=models.model, clip=models.clip, lora=lora, unet_strength=strength,
        text_encoder_strength=text_strength,
    )  # fmt: skip
    got, wanted = weights(*applied), weights(*core_loader(comfy, models, lora, strength, text_strength))
    before = weights(models.model, models.clip)
    for name in SHAPES:
        assert torch.equal(got(name), wanted(name))
        assert not torch.equal(got(name), before(name))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("algorithm", READ_AS_TRAINED)
def test_our_formulas_are_the_host_s(comfy, models, algorithm, name):
    parts = made(algorithm, name)
    base = weights(models.model, models.clip)(name)
    patched = weights(*core_loader(comfy, models, named(name, parts)))(name)
    assert_near(base + delta_weight(parts, base), patched)


@pytest.mark.parametrize("algorithm", ["dora rows", "oft", "boft"])
def test_as_trained_is_linear_in_the_strength_and_by_our_formulas(models, node, algorithm):
    parts = made(algorithm, LINEAR) | ({} if algorithm == "dora rows" else {"alpha": torch.tensor(1e-4)})
    applied = node(
        "BakeryApplyLoRA", model=models.model, clip=None, lora=named(LINEAR, parts), unet_strength=0.5, as_trained=True
    )
    base = weights(models.model, None)(LINEAR)
    assert_near(weights(applied[0], None)(LINEAR), base + 0.5 * delta_weight(parts, base))


def test_ia3_is_read_though_the_host_cannot(models, node):
    parts = made("ia3", LINEAR)
    (model, _) = node("BakeryApplyLoRA", model=models.model, clip=None, lora=named(LINEAR, parts))
    base = weights(models.model, None)(LINEAR)
    assert_near(weights(model, None)(LINEAR), base * (1 + parts["weight"][:, None]))


def test_ia3_s_patch_survives_the_host_s_model_loading(comfy, models, node):
    parts = made("ia3", LINEAR)
    (model, _) = node("BakeryApplyLoRA", model=models.model, clip=None, lora=named(LINEAR, parts))
    wanted = weights(model, None)(LINEAR)
    comfy.module("comfy.model_management").load_models_gpu([model], force_full_load=True)
    path = "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    loaded = model.model.diffusion_model.get_parameter(path)
    assert_near(loaded.float(), wanted, 2e-3)
    model.detach()


def test_blocks_parts_and_unknown_modules(models, node):
    lora = {key: tensor for name in SHAPES for key, tensor in named(name, made("lora", name)).items()}
    (model, clip) = node(
        "BakeryApplyLoRA", model=models.model, clip=models.clip, lora=lora, unet_strength=2.0,
        text_encoder_strength=0.5, block_strengths="BASE:0.5,IN01:0.25",
    )  # fmt: skip
    base, got = weights(models.model, models.clip), weights(model, clip)
    for name, strength in ((LINEAR, 0.5), (CONV, 0.5), (TEXT, 0.25)):
        assert_near(got(name), base(name) + strength * delta_weight(made("lora", name)))
    with pytest.raises(ValueError, match="lora.* 1 "):
        node(
            "BakeryApplyLoRA",
            model=models.model,
            clip=None,
            lora=named("lora_unet_up_blocks_3_x", made("lora", LINEAR)),
        )


def test_negative_blocks_are_the_core_loader_at_that_strength(comfy, models, node):
    lora = {key: tensor for name in SHAPES for key, tensor in named(name, made("lora", name)).items()}
    lora["bundle_emb.word.string_to_param.*"] = torch.ones(2, 768)  # an embedding beside it is left alone
    applied = node(
        "BakeryApplyLoRA", model=models.model, clip=models.clip, lora=lora, unet_strength=0.5,
        text_encoder_strength=2.0, block_strengths="BASE:-0.5, IN:-1",
    )  # fmt: skip
    got, wanted = weights(*applied), weights(*core_loader(comfy, models, lora, -0.5, -1.0))
    for name in SHAPES:
        assert torch.equal(got(name), wanted(name))


def test_core_trainer_s_names_and_flattened_convolutions(comfy, models, node):
    parts = made("lora", CONV)
    lora = {
        "diffusion_model.input_blocks.1.0.in_layers.2.lora_down.weight": parts["lora_down.weight"].flatten(1),
        "diffusion_model.input_blocks.1.0.in_layers.2.lora_up.weight": parts["lora_up.weight"].flatten(1),
        "diffusion_model.input_blocks.1.0.in_layers.2.alpha": parts["alpha"],
        "diffusion_model.input_blocks.1.0.in_layers.2.diff_b": torch.ones(320),
    }
    (model, _) = node("BakeryApplyLoRA", model=models.model, clip=None, lora=lora)
    wanted = comfy.module("comfy.sd").load_lora_for_models(models.model, None, lora, 1.0, 0)[0]
    assert torch.equal(weights(model, None)(CONV), weights(wanted, None)(CONV))
    assert [len(patches) for patches in model.patches.values()] == [1, 1]


def test_a_lokr_with_a_tucker_core_is_applied(models, node):
    """The host's loader cannot form its product, and only logs that."""
    factors = {
        "lokr_w1": small(8, 8),
        "lokr_t2": small(4, 4, 3, 3),
        "lokr_w2_a": small(4, 40),
        "lokr_w2_b": small(4, 40),
    }
    parts = {name: 10 * tensor for name, tensor in factors.items()} | {"alpha": torch.tensor(2.0)}
    (model, _) = node("BakeryApplyLoRA", model=models.model, clip=None, lora=named(CONV, parts))
    base = weights(models.model, None)(CONV)
    w2 = torch.einsum("ijkl,ip,jr->prkl", parts["lokr_t2"], parts["lokr_w2_a"], parts["lokr_w2_b"])
    change = torch.kron(parts["lokr_w1"], w2.flatten(1).contiguous()).view(8, 40, 8, 360).reshape(base.shape) * 2 / 4
    assert_near(weights(model, None)(CONV) - base, change, 1e-4)


@pytest.mark.parametrize("kind", ["lokr_w2_b", "diff", "1x1 diff", "diff dora", "oft dora"])
def test_what_the_host_fails_on_or_leaves_out_is_applied_by_its_formula(models, node, kind):
    name = CONV.replace("resnets_0_conv1", "attentions_0_proj_in") if kind == "1x1 diff" else CONV
    base = weights(models.model, None)(name)
    magnitudes = {"dora_scale": small(1, 320, 1, 1).abs() + 1}
    whole, lokr = made("full", CONV)["diff"], made("lokr", CONV)
    parts, plain = {
        "lokr_w2_b": lambda: (lokr | {"lokr_w2_b": lokr["lokr_w2_b"].view(4, 40, 3, 3)}, lokr),
        "diff": lambda: ({"diff": whole.flatten(1)}, {"diff": whole}),
        "1x1 diff": lambda: ({"diff": small(320, 320)}, {"diff": small(320, 320).view(320, 320, 1, 1)}),
        "diff dora": lambda: ({"diff": whole} | magnitudes,) * 2,
        "oft dora": lambda: (made("oft", CONV) | magnitudes,) * 2,
    }[kind]()
    (model, _) = node("BakeryApplyLoRA", model=models.model, clip=None, lora=named(name, parts))
    change = delta_weight(plain, base).reshape(base.shape)
    assert float(change.abs().max()) > 1e-6
    assert_near(weights(model, None)(name), base + change, 1e-6)


@pytest.mark.parametrize("name", ["BakeryApplyLoRA", "BakeryMergeIntoModel"])
def test_factors_of_different_ranks_are_refused_and_not_left_out(models, node, name):
    parts = made("lora", LINEAR) | {"lora_up.weight": small(320, 8)}
    with pytest.raises(ValueError, match=f"{LINEAR}.*rank 8.*4"):
        node(name, model=models.model, clip=models.clip, lora=named(LINEAR, parts))


def test_loha_of_convolutions_with_four_dimensions_is_applied(models, node):
    """As OneTrainer writes it; the host's loader fails on it."""
    parts = made("loha", CONV)
    whole = {
        suffix: tensor.view(320, 4, 1, 1) if suffix.endswith("_a") else tensor.view(4, 320, 3, 3)
        for suffix, tensor in parts.items()
        if suffix != "alpha"
    }
    for lora in (named(CONV, parts | whole), LoraTensors(named(CONV, parts | whole))):
        model, _ = node("BakeryApplyLoRA", model=models.model, lora=lora)
        before = weights(models.model, models.clip)(CONV)
        change = delta_weight(parts, None, before.shape)
        assert_near(weights(model, models.clip)(CONV), before + change, 1e-7)
        assert float(change.abs().max()) > 1e-6 * float(before.abs().max())


def test_a_text_encoder_s_norms_embeddings_and_projection_are_applied(models, node):
    """As the host's own extractor writes them; under kohya's names its loader knows the layers alone."""
    from pack.training.networks.foreign import to_kohya

    state = models.clip.cond_stage_model.state_dict()
    prefix, lora = "clip_l.transformer.", {}
    paths = [key for key in state if key.startswith(prefix) and key.endswith(".weight")]
    for key in paths:
        name, shape = f"text_encoders.{key.removesuffix('.weight')}", state[key].shape
        if len(shape) < 2:
            lora[f"{name}.diff"] = small(*shape)
        else:
            lora |= {f"{name}.lora_up.weight": small(shape[0], 2), f"{name}.lora_down.weight": small(2, shape[1])}
    _, clip = node("BakeryApplyLoRA", model=models.model, clip=models.clip, lora=to_kohya(lora))
    assert {key for key in clip.patcher.patches if key.endswith(".weight")} == set(paths)


def test_merged_is_both_applied(comfy, models, node):
    one = {**named(LINEAR, made("lora", LINEAR)), **named(CONV, made("lora", CONV))}
    two = named(LINEAR, made("lora", LINEAR, seed=5))
    merged, report = node("BakeryMergeLoRAs", lora_1=one, strength_1=0.7, lora_2=two, strength_2=-0.4)
    assert "error: 0.000%" in report and "saved as fp16" in report
    got = weights(*core_loader(comfy, models, merged))
    twice = comfy.module("comfy.sd").load_lora_for_models(models.model, None, one, 0.7, 0)[0]
    twice = comfy.module("comfy.sd").load_lora_for_models(twice, None, two, -0.4, 0)[0]
    for name in (LINEAR, CONV):
        assert_near(got(name), weights(twice, None)(name))
    assert merged.metadata["modelspec.merged_from"] == "LoRA 1, LoRA 2"


def test_merging_what_depends_on_the_model_takes_it_from_the_graph(models, node):
    lora = named(LINEAR, made("dora", LINEAR))
    merged, _ = node("BakeryMergeLoRAs", lora_1=lora, model=models.model, rank=320)
    base = weights(models.model, None)(LINEAR)
    assert_near(delta_weight(split_modules(merged)[LINEAR]), delta_weight(made("dora", LINEAR), base), 1e-4)


def test_baked_checkpoint_is_the_patched_model(comfy, models, node, tmp_path):
    lora = {key: tensor for name in SHAPES for key, tensor in named(name, made("dora", name)).items()}
    (model, clip) = node("BakeryMergeIntoModel", model=models.model, clip=models.clip, lora=lora)
    patched = weights(model, clip)
    wanted = {name: patched(name) for name in SHAPES}
    comfy.module("comfy_extras.nodes_model_merging").save_checkpoint(
        model, clip=clip, vae=models.vae, filename_prefix="baked", output_dir=str(tmp_path)
    )
    (saved,) = tmp_path.glob("baked*.safetensors")
    reloaded = comfy.load_checkpoint(saved)
    for name, tensor in wanted.items():
        got = weights(reloaded.model, reloaded.clip)(name)
        torch.testing.assert_close(got, tensor, rtol=1e-3, atol=1e-6)


def test_extract_finds_the_lora_that_was_applied(models, node):
    lora = {**named(LINEAR, made("lora", LINEAR)), **named(TEXT, made("lora", TEXT))}
    (tuned, tuned_clip) = node("BakeryApplyLoRA", model=models.model, clip=models.clip, lora=lora)
    extracted, report = node(
        "BakeryExtractLoRA", model=models.model, tuned_model=tuned, clip=models.clip, tuned_clip=tuned_clip, rank=4
    )
    assert set(split_modules(extracted)) == {LINEAR, TEXT}
    for name in (LINEAR, TEXT):
        assert_near(delta_weight(split_modules(extracted)[name]), delta_weight(made("lora", name)), 1e-3)
    assert "do not differ" in report
    assert extracted.metadata["modelspec.prediction_type"] == "epsilon", "as the model connected samples"


def test_extracting_from_a_v_prediction_model_says_so(comfy, models, node):
    sampling = comfy.module("comfy_extras.nodes_model_advanced").ModelSamplingDiscrete()
    (original,) = sampling.patch(models.model, "v_prediction", False)
    (tuned, _) = node("BakeryApplyLoRA", model=original, clip=models.clip, lora=named(LINEAR, made("lora", LINEAR)))
    extracted, _ = node("BakeryExtractLoRA", model=original, tuned_model=tuned, rank=4)
    assert extracted.metadata["modelspec.prediction_type"] == "v"


def test_save_load_and_core_loader_give_the_same_weights(comfy, models, node, monkeypatch):
    from pack.nodes.lora.files import BakeryLoadLoRA, BakerySaveLoRA

    hidden = type("Hidden", (), {"prompt": {"1": {"class_type": "X"}}, "extra_pnginfo": {"workflow": {"nodes": []}}})
    monkeypatch.setattr(BakerySaveLoRA, "hidden", hidden, raising=False)
    lora = LoraTensors(
        {key: t for name in SHAPES for key, t in named(name, made("lora", name)).items()}, {"ss_seed": "5"}
    )
    (saved,) = node("BakerySaveLoRA", lora=lora, filename_prefix="mine/test", dtype="fp32")
    file = next((Path(comfy.base) / "output" / "loras" / "mine").glob("test_*.safetensors"))
    assert json.loads(load_lora(file).metadata["workflow"]) == {"nodes": []}
    assert load_lora(file).metadata["ss_seed"] == "5"
    assert saved.metadata["sshs_model_hash"] == load_lora(file).metadata["sshs_model_hash"]
    listed = f"mine/{file.name}"
    loaded, name = node("BakeryLoadLoRA", lora_name=listed)
    assert name == file.stem
    core = (
        comfy.module("nodes").LoraLoader().load_lora(models.model, models.clip, listed.replace("/", os.sep), 1.0, 1.0)
    )
    ours = weights(*node("BakeryApplyLoRA", model=models.model, clip=models.clip, lora=loaded))
    for module in SHAPES:
        assert torch.equal(ours(module), weights(*core)(module))
    before = BakeryLoadLoRA.fingerprint_inputs(listed)
    assert before == BakeryLoadLoRA.fingerprint_inputs(listed)
    save_lora(file, named(LINEAR, made("lora", LINEAR, seed=9)), {})
    assert before != BakeryLoadLoRA.fingerprint_inputs(listed)


def test_files_in_hidden_folders_are_not_listed(comfy):
    from pack.nodes.comfy_bridge.host.lora_folders import lora_names

    folder = Path(comfy.base) / "output" / "loras" / "run"
    for path in (folder / "shown.safetensors", folder / ".run" / "state.safetensors"):
        save_lora(path, {"x.alpha": torch.ones(1)}, {})
    names = lora_names()
    assert "run/shown.safetensors" in names
    assert not [name for name in names if ".run" in name]


@pytest.mark.parametrize("prefix", ["../up", "/abs", "a/../../b", "C:\\x"])
def test_saving_outside_the_folder_is_refused(node, prefix):
    with pytest.raises(ValueError, match="relative to output/loras"):
        node("BakerySaveLoRA", lora=named(LINEAR, made("lora", LINEAR)), filename_prefix=prefix, include_workflow=False)


def test_core_s_nodes_take_our_loras(comfy, models, tmp_path):
    train = comfy.module("comfy_extras.nodes_train")
    lora = LoraTensors(named(LINEAR, made("lora", LINEAR)), {"ss_seed": "1"})
    model = train.LoraModelLoader.execute(models.model, lora, 1.0).args[0]
    wanted = comfy.module("comfy.sd").load_lora_for_models(models.model, None, dict(lora), 1.0, 0)[0]
    assert torch.equal(weights(model, None)(LINEAR), weights(wanted, None)(LINEAR))
    train.SaveLoRA.execute(lora, "loras/by_core")
    (file,) = (Path(comfy.base) / "output" / "loras").glob("by_core_*.safetensors")
    assert set(load_lora(file).tensors) == set(lora)


def test_resize_node(models, node):
    lora = LoraTensors(named(LINEAR, made("loha", LINEAR)), {"modelspec.title": "cat", "ss_tag_frequency": "{}"}, "cat")
    resized, report = node("BakeryResizeLoRA", lora=lora, rank=2)
    assert resized[f"{LINEAR}.lora_down.weight"].shape == (2, 320)
    assert resized.metadata["ss_network_dim"] == "2"
    assert resized.metadata["modelspec.title"] == "cat"
    assert "rank 2" in report


def test_inspect_shows_norms_and_the_words_that_change_most(models, node):
    clip_weights = models.clip.cond_stage_model.clip_l.transformer.state_dict()
    word = models.clip.tokenizer.clip_l.tokenizer.get_vocab()["dragon</w>"]
    embedding = clip_weights["text_model.embeddings.token_embedding.weight"][word].float()
    norm = {
        kind: clip_weights[f"text_model.encoder.layers.0.layer_norm1.{kind}"].float() for kind in ("weight", "bias")
    }
    direction = torch.nn.functional.layer_norm(embedding, (768,), norm["weight"], norm["bias"])
    name = "lora_te_text_model_encoder_layers_0_self_attn_v_proj"
    parts = {
        "lora_down.weight": direction[None] / direction.norm(),
        "lora_up.weight": small(768, 1) * 5,
        "alpha": torch.tensor(1.0),
    }
    lora = LoraTensors({**named(LINEAR, made("lora", LINEAR)), **named(name, parts)}, {"ss_sd_model_name": "base"}, "x")
    text, image = node("BakeryInspectLoRA", lora=lora, clip=models.clip)
    assert "base model: base" in text
    assert "algorithm: lora (2)" in text
    assert "dragon" in text.split("likely trigger words: ")[1].split(",")[0]
    assert image.ndim == 4 and image.shape[-1] == 3 and 0 <= float(image.min()) <= float(image.max()) <= 1


def test_schemas_are_valid_and_explain_every_input(comfy):
    from pack.nodes.lora import files as lora_files
    from pack.nodes.lora import tools as lora_tools

    ids = []
    for one in (*lora_files.NODES, *lora_tools.NODES):
        schema = one.GET_SCHEMA()
        ids.append(schema.node_id)
        assert all(item.tooltip for item in (*schema.inputs, *schema.outputs)), schema.node_id
    assert ids == [
        "BakeryLoadLoRA",
        "BakerySaveLoRA",
        "BakeryApplyLoRA",
        "BakeryMergeLoRAs",
        "BakeryMergeIntoModel",
        "BakeryResizeLoRA",
        "BakeryExtractLoRA",
        "BakeryInspectLoRA",
    ]


@pytest.mark.parametrize("name", ["BakeryApplyLoRA", "BakeryMergeIntoModel"])
@pytest.mark.parametrize("trouble", ["family", "NaN"])
def test_a_lora_for_another_model_or_with_nan_is_refused(models, node, name, trouble):
    """SDXL's first text encoder has the names and shapes of SD1.5's: it would be changed without a word."""
    broken = made("lora", LINEAR) | {"lora_up.weight": torch.full((SHAPES[LINEAR][0], 4), torch.nan)}
    other = {f"lora_te{n}_text_model_encoder_layers_0_mlp_fc1": made("lora", LINEAR) for n in (1, 2)}
    modules = other if trouble == "family" else {LINEAR: broken}
    lora = {key: tensor for module, parts in modules.items() for key, tensor in named(module, parts).items()}
    message = "it is for sdxl, the model is sd15" if trouble == "family" else f"{LINEAR} holds NaN"
    with pytest.raises(ValueError, match=message):
        node(name, model=models.model, clip=models.clip, lora=lora)


@pytest.mark.parametrize("name", ["BakeryApplyLoRA", "BakeryMergeIntoModel"])
@pytest.mark.parametrize("kind", ["lora", "loha", "lokr", "full"])
@pytest.mark.parametrize("module", [LINEAR, CONV, TEXT])
def test_a_change_of_another_size_is_refused_and_not_left_out(models, node, name, kind, module):
    """The host logs it and draws without it."""
    other = {LINEAR: CONV, CONV: TEXT, TEXT: LINEAR}[module]
    modules = {LINEAR: made("lora", LINEAR), module: made(kind, other)}
    lora = {key: tensor for own, parts in modules.items() for key, tensor in named(own, parts).items()}
    with pytest.raises(ValueError, match=rf"{module} changes \d+ numbers where this model has"):
        node(name, model=models.model, clip=models.clip, lora=lora)


def test_what_is_left_out_is_said_on_the_node(models):
    from pack.nodes.comfy_bridge.model.lora import unapplied_note

    deeper = LINEAR.replace("down_blocks_0", "down_blocks_3")
    fits = named(LINEAR, made("lora", LINEAR)) | named(TEXT, made("lora", TEXT))
    assert unapplied_note(models.model, models.clip, fits) == ""
    assert "1 modules" in (
        note := unapplied_note(models.model, models.clip, fits | named(deeper, made("lora", LINEAR)))
    )
    assert deeper in note and "not in this model" in note
    assert TEXT in (note := unapplied_note(models.model, None, fits)) and "CLIP, which is not connected" in note
    assert LINEAR in (note := unapplied_note(None, models.clip, fits)) and "MODEL, which is not connected" in note

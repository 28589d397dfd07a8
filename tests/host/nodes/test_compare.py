"""A run's steps are picked, plotted and compared in ComfyUI's executor; cells are what core's own nodes draw."""

import copy
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytestmark = [pytest.mark.comfy, pytest.mark.slow]
NAME = "compared"
COMPARE = {
    "prompts": "fox\nfox at night", "negative": "", "steps": "", "num_steps": 2, "include_base": True,
    "strengths": "1", "text_encoder_strengths": "", "columns": "LoRA", "rows": "prompt", "seed": 5, "width": 64,
    "height": 64, "sampling_steps": 1, "cfg": 1.0, "sampler": "euler", "scheduler": "normal",
}  # fmt: skip


def defaults(comfy, node, **values):
    """Inputs of a node in API form, its defaults filled in."""
    info = comfy.object_info()[node]["input"]
    specs = {**info.get("required", {}), **info.get("optional", {})}
    filled = {name: spec[1]["default"] for name, spec in specs.items() if len(spec) > 1 and "default" in spec[1]}
    return {"class_type": node, "inputs": {**filled, **values}}


@pytest.fixture(scope="module")
def graph(comfy, pocket_checkpoint):
    """Trains three steps at 64 px and gives the graph up to the run."""
    folder = comfy.base / "input" / "compare_fox"
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (200, 60, 40)).save(folder / "a.png")
    (folder / "a.txt").write_text("fox")
    preview = {"prompts": "fox", "width": 64, "height": 64, "every": 0, "at_start": False, "steps": 1}
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": pocket_checkpoint.name}},
        "2": defaults(comfy, "BakeryLoadDataset", folder="compare_fox", repeats=1),
        "3": defaults(comfy, "BakeryBuckets", dataset=["2", 0], resolution=64),
        "4": defaults(comfy, "BakeryPreview", **preview),
        "5": defaults(
            comfy, "BakeryTrain", model=["1", 0], clip=["1", 1], vae=["1", 2], dataset=["3", 0], preview=["4", 0],
            name=NAME, steps=3, save_every=1,
        ),
    }  # fmt: skip


def run(comfy, graph, **nodes):
    result = comfy.run_graph(copy.deepcopy({**graph, **nodes}))  # the host notes things in the prompt
    assert result.status == "success", result.error
    return result


def saved_image(comfy, result, node):
    entry = result.outputs[node]["images"][0]
    folder = {"output": comfy.base / "output", "temp": comfy.base / "temp"}[entry["type"]]
    with Image.open(folder / entry["subfolder"] / entry["filename"]) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def compare(**values):
    models = {"model": ["1", 0], "clip": ["1", 1], "vae": ["1", 2]}
    return {"class_type": "BakeryCompare", "inputs": {**models, **COMPARE, "run": ["5", 3], **values}}


def show(node):
    return {"class_type": "PreviewImage", "inputs": {"images": [node, 0]}}


def test_it_draws_with_nothing_connected_behind_it(comfy, graph):
    result = run(comfy, graph, **{"6": compare(num_steps=1, prompts="fox")})
    assert result.outputs["6"]["bakery_compare"][0]["id"], "shown on the node"


def test_grid_report_pick_and_plot_of_a_run(comfy, graph):
    plot = defaults(comfy, "BakeryPlotRun", run=["5", 3])
    result = run(
        comfy, graph,
        **{
            "6": compare(references=["9", 0], trigger="fox"), "7": show("6"), "8": plot,
            "9": {"class_type": "LoadImage", "inputs": {"image": "compare_fox/a.png"}},
            "10": show("8"),
            "11": defaults(comfy, "BakeryPickStep", run=["5", 3], pick="step", step=2),
            "12": {"class_type": "SaveLoRA", "inputs": {"lora": ["11", 0], "prefix": "loras/picked"}},
        },
    )  # fmt: skip
    report = result.outputs["6"]["text"][0]
    assert "no LoRA: likeness" in report
    assert "step 1" in report
    assert "step 3" in report
    assert "without the trigger" in report
    assert saved_image(comfy, result, "7").std() > 0
    assert saved_image(comfy, result, "10").shape == (1024, 1024, 3)
    assert result.outputs["11"]["text"] == [f"{NAME}: step 2"]


def test_prompts_of_other_subjects_are_drawn_beside_the_base_models(comfy, graph):
    """With the prompts themselves in place of others, all that is changed is changed there too."""
    said = "changes other subjects 100% as much as what it was trained for: overfit"
    strong = {"strengths": "10", "num_steps": 1}  # so that three steps change something
    for changes, is_said in (({}, True), ({"include_base": False}, False)):
        node = compare(**strong, other_prompts=f"\n{COMPARE['prompts']}\n", **changes)
        report = run(comfy, graph, **{"6": node, "7": show("6")}).outputs["6"]["text"][0]
        assert (f"step 3: {said}" in report) == is_said, report
        assert ("turn include_base on" in report) != is_said, report


def test_a_pick_on_the_page_changes_the_next_queue(comfy, graph):
    from pack.nodes.comfy_bridge.host.run_folders import loras_output
    from pack.training.run.folder import RunFolder, current_run
    from pack.training.run.picks import save_pick

    pick = {
        "11": defaults(comfy, "BakeryPickStep", run=["5", 3], pick="picked in the strip"),
        "12": {"class_type": "SaveLoRA", "inputs": {"lora": ["11", 0], "prefix": "loras/picked"}},
    }
    assert run(comfy, graph, **pick).outputs["11"]["text"] == [f"{NAME}: step 3"]
    root = loras_output() / NAME
    save_pick(RunFolder(root, current_run(root)), 1)
    assert run(comfy, graph, **pick).outputs["11"]["text"] == [f"{NAME}: step 1"]


def test_a_choice_on_the_node_changes_what_it_gives_out_and_nothing_is_drawn_again(comfy, graph, monkeypatch):
    from pack.nodes.comfy_bridge import compare as bridge
    from pack.nodes.comfy_bridge.host.run_folders import comparisons_folder
    from pack.training.compare.store import load_comparison, save_choice

    drawn = []
    sampler = bridge.HostSampler.__call__
    monkeypatch.setattr(bridge.HostSampler, "__call__", lambda self, *args: drawn.append(1) or sampler(self, *args))
    nodes = {"6": compare(seed=77), "7": show("6"),
             "12": {"class_type": "SaveLoRA", "inputs": {"lora": ["6", 1], "prefix": "loras/chosen"}}}  # fmt: skip
    first = run(comfy, graph, **nodes)
    assert len(drawn) == 6
    (shown,) = first.outputs["6"]["bakery_compare"]
    folder = comparisons_folder() / shown["id"]
    comparison = load_comparison(folder)
    assert comparison.steps == (None, 1, 3)
    save_choice(folder, comparison, next(i for i, cell in enumerate(comparison.cells) if cell.lora == 1))
    second = run(comfy, graph, **nodes)
    assert second.outputs["6"]["text"][0].startswith("step 1 is the output: chosen on this node")
    assert second.outputs["6"]["bakery_compare"] == [shown]
    nodes["6"] = compare(seed=77, columns="prompt", rows="LoRA")
    turned = run(comfy, graph, **nodes)
    assert turned.outputs["6"]["bakery_compare"] == [shown]
    assert len(drawn) == 6, "neither a choice nor another layout draws again"
    nodes["6"] = compare(seed=78)
    run(comfy, graph, **nodes)
    assert len(drawn) == 12


@pytest.mark.full
def test_unet_against_text_encoder_strengths_on_sdxl(comfy, tiny_sdxl):
    """Each strength moves its own part only; both text encoders follow theirs."""
    from pack.nodes.comfy_bridge.compare import CellSampler
    from pack.training.compare.layout import Cell
    from pack.training.watch.previews import PreviewSettings

    models = comfy.load_checkpoint(tiny_sdxl)
    lora = random_lora(comfy, models)
    settings = PreviewSettings(prompts=("fox",), seed=5, width=64, height=64, steps=1, cfg=2.0, sampler="euler")
    cells = [Cell(*place) for place in itertools.product(range(2), [0], range(2), range(2))]

    def drawn(tensors):
        sampler = CellSampler(models.model, models.clip, models.vae, None)
        pictures = sampler.draw(cells, [None, lambda: tensors], [0.0, 1.0], [0.0, 1.0], settings)
        assert all(picture.isfinite().all() for picture in pictures.values())
        return {
            (cell.strength, cell.text_strength): picture for cell, picture in pictures.items() if cell.lora
        }, pictures

    whole, pictures = drawn(lora)
    assert torch.equal(whole[0, 0], pictures[Cell(0, 0, 0, 0)]), "strength 0 is the base model"
    for one, other in itertools.combinations(whole.values(), 2):
        assert not torch.equal(one, other)
    unet, _ = drawn({name: tensor for name, tensor in lora.items() if name.startswith("lora_unet")})
    assert torch.equal(unet[1, 0], whole[1, 0])
    assert torch.equal(unet[1, 1], unet[1, 0])
    text = [drawn({n: t for n, t in lora.items() if n.startswith(part)})[0] for part in ("lora_te1", "lora_te2")]
    for part in text:
        assert torch.equal(part[1, 0], part[0, 0])
        assert not torch.equal(part[0, 1], part[0, 0]), "this text encoder has its share"


def random_lora(comfy, models):
    """Large random changes of U-Net and both text encoders of an SDXL model, under kohya names."""
    keys = comfy.module("comfy.lora")
    noise = torch.Generator().manual_seed(0)
    unet, clip = models.model.model, models.clip.cond_stage_model
    names = {**keys.model_lora_keys_unet(unet, {}), **keys.model_lora_keys_clip(clip, {})}
    weights = {**unet.state_dict(), **clip.state_dict()}
    tensors = {}
    for name, target in names.items():
        is_ours = isinstance(name, str) and name.startswith(("lora_unet", "lora_te1", "lora_te2"))
        if not is_ours or not name.endswith(("attn2_to_v", "self_attn_v_proj")):
            continue
        shape = weights[target].shape
        tensors[f"{name}.lora_up.weight"] = torch.randn(shape[0], 2, generator=noise)
        tensors[f"{name}.lora_down.weight"] = torch.randn(2, shape[1], generator=noise)
        tensors[f"{name}.alpha"] = torch.tensor(2.0)
    assert {name.split("_")[1] for name in tensors} == {"unet", "te1", "te2"}
    return tensors


@pytest.mark.full
def test_an_image_encoder_of_the_host_scores_the_cells(comfy, graph):
    """A CLIP vision model with random weights, through the host's loader: the score is the cosine of its embeddings."""
    name = clip_vision_checkpoint(comfy)
    references = {
        "9": {"class_type": "LoadImage", "inputs": {"image": "compare_fox/a.png"}},
        "13": {"class_type": "CLIPVisionLoader", "inputs": {"clip_name": name}},
    }
    scored = compare(references=["9", 0], clip_vision=["13", 0], num_steps=1, prompts="fox")
    result = run(comfy, graph, **references, **{"6": scored, "7": show("6")})
    from pack.nodes.comfy_bridge.host.run_folders import comparisons_folder
    from pack.training.compare.store import load_comparison, load_pictures

    folder = comparisons_folder() / result.outputs["6"]["bakery_compare"][0]["id"]
    found = load_comparison(folder)
    nodes = comfy.module("nodes")
    (vision,) = nodes.CLIPVisionLoader().load_clip(name)
    with Image.open(comfy.base / "input" / "compare_fox" / "a.png") as reference:
        wanted = embedding(vision, reference.convert("RGB"))
    for score, picture in zip(found.scores, load_pictures(folder, found), strict=True):
        assert score == pytest.approx(float(wanted @ embedding(vision, picture)), abs=0.02)  # of the 8-bit picture
    assert "no LoRA: likeness" in result.outputs["6"]["text"][0]
    assert len(set(found.scores)) == len(found.scores), "other pictures, other scores"


def embedding(vision, picture):
    pixels = torch.from_numpy(np.asarray(picture).astype(np.float32) / 255)
    with torch.inference_mode():
        found = vision.encode_image(pixels[None], crop=False).image_embeds[0].float()
    return found / found.norm()


def clip_vision_checkpoint(comfy):
    """ViT-L, the smallest that the host's loader knows; deleted with the test's folders."""
    import folder_paths
    from safetensors.torch import save_file

    vision = comfy.module("comfy.clip_vision")
    model = vision.ClipVisionModel(str(Path(vision.__file__).with_name("clip_vision_config_vitl.json")))
    noise = torch.Generator().manual_seed(0)
    weights = {
        name: (
            torch.randn(tensor.shape, generator=noise) * 0.05 + (name.endswith("norm.weight") or "norm1.w" in name)
        ).half()
        for name, tensor in model.get_sd().items()
        if tensor.is_floating_point()
    }
    folder = comfy.base / "clip_vision"
    folder.mkdir()
    save_file(weights, folder / "random.safetensors")
    folder_paths.add_model_folder_path("clip_vision", str(folder))
    return "random.safetensors"


def test_nothing_to_compare_is_said(comfy, graph):
    nothing = compare()
    del nothing["inputs"]["run"]
    result = comfy.run_graph({**graph, "6": nothing, "7": show("6")})
    assert "nothing to compare" in result.error


def test_cells_are_what_cores_nodes_draw_with_the_saved_file(comfy, graph, pocket_checkpoint):
    """One cell a LoRA, strength and prompt against LoraLoader, CLIPTextEncode, KSampler and VAEDecode."""
    from pack.nodes.comfy_bridge.compare import CellSampler
    from pack.training.compare.layout import Cell
    from pack.training.files.lora_file import load_lora
    from pack.training.watch.previews import PreviewSettings

    run(comfy, graph, **{"11": defaults(comfy, "BakeryPlotRun", run=["5", 3]), "12": show("11")})
    path = comfy.base / "output" / "loras" / NAME / f"{NAME}-step000003.safetensors"
    models = comfy.load_checkpoint(pocket_checkpoint)
    settings = PreviewSettings(
        prompts=("fox", "fox at night"), seed=5, width=64, height=64, steps=1, cfg=1.0, sampler="euler"
    )
    strengths = [1.0, 8.0]
    cells = [Cell(*place, 0) for place in itertools.product(range(2), range(2), range(2))]
    loaders = [None, lambda: load_lora(path).tensors]
    drawn = CellSampler(models.model, models.clip, models.vae, None).draw(cells, loaders, strengths, [None], settings)
    assert torch.equal(drawn[Cell(0, 0, 0, 0)], drawn[Cell(0, 0, 1, 0)]), "strength does not matter without a LoRA"
    assert not torch.equal(drawn[Cell(0, 0, 0, 0)], drawn[Cell(1, 0, 1, 0)])
    for cell in (Cell(0, 1, 0, 0), Cell(1, 0, 0, 0), Cell(1, 1, 1, 0)):
        assert torch.equal(drawn[cell], core_picture(comfy, models, cell, path, strengths[cell.strength], settings))


def core_picture(comfy, models, cell, path, strength, settings):
    nodes = comfy.module("nodes")
    model, clip = models.model, models.clip
    with torch.inference_mode():
        if cell.lora:
            name = path.relative_to(comfy.base / "output" / "loras").as_posix()
            model, clip = nodes.LoraLoader().load_lora(model, clip, name, strength, strength)
        encode = nodes.CLIPTextEncode().encode
        (latent,) = nodes.EmptyLatentImage().generate(settings.width, settings.height)
        (samples,) = nodes.KSampler().sample(
            model, settings.seed, settings.steps, settings.cfg, "euler", "normal",
            encode(clip, settings.prompts[cell.prompt])[0], encode(clip, "")[0], latent,
        )  # fmt: skip
        return nodes.VAEDecode().decode(models.vae, samples)[0][0].float().cpu()

"""A shared folder: what is in it, what its header and card say, and what is left out of it."""

import dataclasses
import json
import re
from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import pytest
import torch
from pack.tests.support.toy_model import run, toy_dataset, toy_request
from pack.training.files.facts import GraphFacts
from pack.training.files.lora_file import load_lora
from pack.training.sharing.card_words import CHINESE, ENGLISH, WORDS
from pack.training.sharing.samples import Sample, draw_sheet, samples_of_run
from pack.training.sharing.share import CARD, NEW_CARD, SHEET, WORKFLOW, Share, Words, write_share
from PIL import Image

TENSORS = {
    "lora_unet_mid_block_0.lora_down.weight": torch.ones(4, 8),
    "lora_unet_mid_block_0.lora_up.weight": torch.ones(8, 4),
    "lora_unet_mid_block_0.alpha": torch.tensor(2.0),
}
HEADER = {
    "modelspec.architecture": "stable-diffusion-xl-v1-base/lora", "modelspec.prediction_type": "v",
    "modelspec.trigger_phrase": "mia", "ss_sd_model_name": "base.safetensors", "ss_steps": "600",
    "ss_resolution": "(1024, 768)", "ss_output_name": "run_7",
    "workflow": '{"nodes": ["secret"]}', "prompt": "{}",
}  # fmt: skip
SAMPLES = (
    Sample(picture=Image.new("RGB", (640, 480), (200, 0, 0)), prompt="mia, `smile` | wink", strength=0.8),
    Sample(picture=Image.new("RGB", (640, 480), (0, 200, 0)), prompt="a tree", strength=1.0, settings="seed 3, cfg 5"),
)
SHARE = Share(
    name="mia v1", tensors=TENSORS, metadata=HEADER, samples=SAMPLES, graph=GraphFacts(workflow={"nodes": []}),
    words=Words(strength="0.7 to 0.9", license="CC0", author="A. <b>"),
)  # fmt: skip


def test_the_folder_holds_file_pictures_card_and_workflow(tmp_path):
    shared = write_share(tmp_path, SHARE)
    names = {"mia v1.safetensors", "mia v1.preview.png", SHEET, CARD, WORKFLOW}
    assert {path.name for path in tmp_path.iterdir()} == set(shared.files) == names
    assert (tmp_path / WORKFLOW).read_text() == HEADER["workflow"]
    assert Image.open(tmp_path / "mia v1.preview.png").getpixel((5, 5)) == (200, 0, 0)
    assert load_lora(tmp_path / "mia v1.safetensors").tensors.keys() == TENSORS.keys()


def test_the_header_holds_trigger_words_and_pictures(tmp_path):
    write_share(tmp_path, replace(SHARE, words=replace(SHARE.words, trigger="mia v1")))
    told = load_lora(tmp_path / "mia v1.safetensors").metadata
    assert told["modelspec.trigger_phrase"] == "mia v1"
    assert told["ss_output_name"] == "mia v1", "the name by which programs list it"
    assert (told["modelspec.license"], told["modelspec.usage_hint"]) == ("CC0", "strength 0.7 to 0.9")
    first, second = json.loads(told["bakery.samples"])
    assert (first["prompt"], first["strength"], second["settings"]) == ("mia, `smile` | wink", 0.8, "seed 3, cfg 5")
    for url, red in ((told["modelspec.thumbnail"], True), (first["picture"], True), (second["picture"], False)):
        picture = Image.open(BytesIO(b64decode(url.split(",")[1])))
        assert max(picture.size) <= 256 and (picture.getpixel((9, 9))[0] > 150) is red


def test_the_card_says_how_to_use_it(tmp_path):
    card = write_share(tmp_path, SHARE).card
    for wanted in (
        "# mia v1", f"]({SHEET})", "| Trigger | `mia` |", "`base.safetensors` (SDXL, v-prediction)", "lora rank 4",
        "0.7 to 0.9", "A. &lt;b>", "`` mia, `smile` | wink ``", "seed 3, cfg 5",
        "| steps | 600 |", "| resolution | 1024 x 768 |", "Forge", "## License\n\nCC0", WORKFLOW,
    ):  # fmt: skip
        assert wanted in card, wanted
    assert "SHA-256" in card and "lora_unet" not in card


def test_the_card_in_chinese_has_the_same_facts_and_no_english_sentence(tmp_path):
    header = HEADER | {"modelspec.trigger_phrase": "米拉 米拉, " + "long " * 40, "modelspec.description": "一个角色"}
    share = replace(SHARE, name="米拉 v1", metadata=header | {"ss_unet_lr": "1e-4", "ss_optimizer": "AdamW"})
    english, chinese = (write_share(tmp_path / one, replace(share, language=one)).card for one in (ENGLISH, CHINESE))
    code = re.compile("(`+)(?: ?)(.+?)(?: ?)\\1")
    assert {found[1] for found in code.findall(english)} == {found[1] for found in code.findall(chinese)}
    assert english.count("\n") == chinese.count("\n")
    for wanted in (
        "# 米拉 v1",
        "| 触发词 | `米拉 米拉, long",
        "| 步数 | 600 |",
        "强度 0.8",
        "seed 3, cfg 5",
        "## 许可\n\nCC0",
    ):
        assert wanted in chinese, wanted
    assert not re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", code.sub("", chinese))


def test_every_word_of_the_card_is_in_both_languages():
    english, chinese = (dataclasses.asdict(WORDS[one]) for one in (ENGLISH, CHINESE))
    rows = [one.pop("made_rows") for one in (english, chinese)]
    assert list(rows[0]) == list(rows[1])
    for name, text in english.items():
        assert re.findall(r"\{.*?\}", text) == re.findall(r"\{.*?\}", chinese[name]), name
        assert re.search("[\u3000-\u9fff\uff0c]", chinese[name]), name


def test_a_float32_lora_is_shared_in_float16_where_its_values_fit(tmp_path):
    name = next(iter(TENSORS))
    for largest, dtype, num_notes in ((3.0, torch.float16, 0), (1e5, torch.float32, 1)):
        share = replace(SHARE, tensors=TENSORS | {name: torch.full((4, 8), largest)}, dtype=torch.float16)
        shared = write_share(tmp_path, share)
        assert load_lora(tmp_path / "mia v1.safetensors").tensors[name].dtype == dtype
        assert sum("float16" in note for note in shared.notes) == num_notes


def test_without_the_workflow_nothing_of_it_is_left(tmp_path):
    write_share(tmp_path, SHARE)
    shared = write_share(tmp_path, replace(SHARE, graph=None))
    assert not (tmp_path / WORKFLOW).exists() and WORKFLOW not in shared.files and WORKFLOW not in shared.card
    assert b"secret" not in (tmp_path / "mia v1.safetensors").read_bytes()


def test_a_file_without_a_workflow_takes_this_graphs(tmp_path):
    plain = {key: text for key, text in HEADER.items() if key not in ("workflow", "prompt")}
    write_share(tmp_path, replace(SHARE, metadata=plain))
    assert json.loads((tmp_path / WORKFLOW).read_text()) == {"nodes": []}
    shared = write_share(tmp_path, replace(SHARE, metadata=plain, graph=GraphFacts()))
    assert not (tmp_path / WORKFLOW).exists() and any("no workflow" in note for note in shared.notes)


def test_a_card_edited_by_hand_stays(tmp_path):
    write_share(tmp_path, SHARE)
    write_share(tmp_path, replace(SHARE, words=Words(license="MIT")))
    assert "MIT" in (tmp_path / CARD).read_text()
    (tmp_path / CARD).write_text((tmp_path / CARD).read_text().replace("MIT", "my own terms"))
    shared = write_share(tmp_path, SHARE)
    assert "my own terms" in (tmp_path / CARD).read_text() and "CC0" in (tmp_path / NEW_CARD).read_text()
    assert any(NEW_CARD in note for note in shared.notes)


def test_what_is_missing_is_said(tmp_path):
    shared = write_share(tmp_path, replace(SHARE, samples=(), words=Words(), metadata={}, graph=None))
    assert shared.files == ("mia v1.safetensors", CARD)
    for word in ("pictures", "trigger", "license"):
        assert any(word in note for note in shared.notes), word
    assert "Not stated" in shared.card


@pytest.mark.parametrize("key", ["hada_w1_a", "dora_scale"])
def test_other_forms_are_named(key, tmp_path):
    module = "lora_unet_mid_block_0"
    made = {
        "hada_w1_a": {f"{module}.hada_w{n}_{side}": torch.ones(4, 4) for n in (1, 2) for side in "ab"},
        "dora_scale": TENSORS | {f"{module}.dora_scale": torch.ones(1, 8)},
    }[key]
    card = write_share(tmp_path, replace(SHARE, tensors=made)).card
    assert "LyCORIS" in card and "Forge" not in card


def test_pictures_of_a_run_are_those_of_its_step(tmp_path):
    folder = run(toy_request(tmp_path, 2, dataset=toy_dataset(trigger="mia"))).folder
    place = folder.previews / "abcdefabcdef"
    place.mkdir(parents=True)
    asked = {"prompts": ["a", "b"], "strengths": [0.6, 1.0], "seed": 7, "cfg": 5.0, "sampler": "euler", "steps": 9}
    (place / "settings.json").write_text(json.dumps(asked))
    for row in range(4):
        Image.new("RGB", (8, 8), (row, 0, 0)).save(place / f"step000002-{row:02d}.png")
    found = samples_of_run(folder, 2)
    assert [(one.prompt, one.strength) for one in found] == [("a", 0.6), ("a", 1.0), ("b", 0.6), ("b", 1.0)]
    assert [one.picture.getpixel((0, 0))[0] for one in found] == [0, 1, 2, 3]
    assert "seed 7" in found[0].settings and "euler" in found[0].settings
    assert samples_of_run(folder, 1) == []
    sheet = draw_sheet(found)  # two strengths: two columns, a row a prompt
    assert 2 * 128 < sheet.width < 3 * 128 and sheet.height > sheet.width

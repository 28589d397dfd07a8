"""The button of Share LoRA writes the folder, and runs nothing of the graph that it does not need."""

import pytest
import torch
from pack.tests.browser.page import open_again, until, use_settings
from pack.tests.support.browser import prompt_of, show_nodes
from pack.tests.support.idle import is_idle
from pack.training.files.lora_file import load_lora, save_lora

pytestmark = pytest.mark.browser

MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
SHARE = "window.app.graph._nodes.find((node) => node.comfyClass === 'BakeryShareLoRA')"


def test_the_button_writes_the_folder_alone(page, server):
    tensors = {f"{MODULE}.lora_down.weight": torch.ones(4, 320), f"{MODULE}.lora_up.weight": torch.ones(320, 4)}
    save_lora(server.output / "loras" / "mira.safetensors", tensors, {"modelspec.trigger_phrase": "mira"})
    show_nodes(
        page,
        [
            ["BakeryLoadLoRA", [20, 40], {"lora_name": "mira.safetensors"}],
            ["BakeryShareLoRA", [460, 40], {"license": "CC0", "name": ""}],  # the page keeps values by the id of a node
            ["BakerySaveLoRA", [900, 40], {"filename_prefix": "not_wanted"}],
        ],
        [[0, 0, 1, "lora"], [0, 0, 2, "lora"]],
    )
    saved = page.evaluate(f"{SHARE}.serialize().widgets_values")
    page.evaluate(f"() => {SHARE}.widgets.find((widget) => widget.type === 'button').callback()")
    folder = server.output / "share" / "mira"
    until(page, (folder / "README.md").exists, "the folder is written")
    until(page, lambda: is_idle(server.client()), "nothing runs or waits")
    assert load_lora(folder / "mira.safetensors").metadata["modelspec.license"] == "CC0"
    assert not list((server.output / "loras").glob("not_wanted*"))
    notes = page.locator(".bakery-notes:visible")
    until(page, notes.count, "the node says what it has done")
    assert "output/share/mira" in notes.inner_text() and "no pictures" in notes.inner_text()
    assert page.evaluate(f"{SHARE}.serialize().widgets_values") == saved, "what it says is not saved with its values"


@pytest.mark.full
def test_the_card_follows_the_pages_language_unless_one_is_chosen(browser, server, tab):
    """In a page opened for it: one whose language changes loads its workflow again, at a moment of its own."""
    use_settings(tab, {"Comfy.Locale": "zh"})
    page = open_again(browser, server)
    cards = [["BakeryShareLoRA", [20, 40], {"language": chosen}] for chosen in ("as the page", "English")]
    show_nodes(page, cards)
    assert [node["inputs"]["language"] for node in prompt_of(page).values()] == ["中文", "English"]
    kept = page.evaluate("() => window.app.graph._nodes.map((node) => node.serialize().widgets_values)")
    assert ["as the page" in kept[0], "English" in kept[1]] == [True, True], "the workflow keeps the choice"
    page.context.close()

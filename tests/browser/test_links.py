"""What comes to a node through links is what its panel shows: the same as the page sends to be trained."""

import pytest
from pack.tests.browser.page import settle, wait
from pack.tests.browser.test_live import show_saved_run
from pack.tests.support.browser import prompt_of, show_nodes
from PIL import Image

pytestmark = pytest.mark.browser

LINK = """([given, mode, through]) => {
    const { graph } = window.app;
    const target = graph._nodes.find((each) => each.comfyClass.startsWith("Bakery"));
    const text = (value) => {
        const node = LiteGraph.createNode("PrimitiveString");
        graph.add(node);
        node.widgets[0].value = value;
        return node;
    };
    let source = text(given[1]);
    if (through === "text") {
        const behind = text("behind");
        source.connect(0, behind, behind.findInputSlot("value"));
        source = behind;
    }
    if (through === "unknown") {
        const made = LiteGraph.createNode("StringConcatenate");
        graph.add(made);
        source.connect(0, made, 0);
        source = made;
    }
    source.mode = mode;
    source.connect(0, target, target.findInputSlot(given[0]));
}"""
MUTED, BYPASSED = 2, 4
SHOWN = "document.querySelector('.bakery-image textarea')?.value"


def value_sent(page, kind, name):
    """What an input of the only node of a kind gets; of a link, the value of the node it comes from."""
    prompt = prompt_of(page)
    value = next(node["inputs"][name] for node in prompt.values() if node["class_type"] == kind)
    while isinstance(value, list):
        value = prompt[value[0]]["inputs"]["value"]
    return value


@pytest.fixture
def folder(server):
    folder = server.input / "through_links"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 48), (200, 80, 40)).save(folder / "a.png")
    for extension in ("txt", "tags"):
        (folder / f"a.{extension}").write_text(f"of {extension}")
    return folder


@pytest.mark.parametrize(
    ("mode", "through", "caption"),
    [
        (0, "", "of tags"),
        (0, "text", "of tags"),
        (MUTED, "", "of txt"),
        (BYPASSED, "", "of txt"),
        (BYPASSED, "text", "of tags"),
    ],
)
def test_captions_are_those_of_the_extension_that_is_sent(page, folder, mode, through, caption):
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": folder.name}]])
    page.evaluate(LINK, [["caption_extension", ".tags"], mode, through])
    wait(page, f"{SHOWN} === '{caption}'")
    assert value_sent(page, "BakeryLoadDataset", "caption_extension") == f".{caption.split()[1]}"


@pytest.mark.parametrize("name", ["caption_extension", "metadata"])
def test_captions_of_files_that_only_a_run_knows_are_not_shown(page, folder, name):
    """Else an edit would go to a file that training does not read."""
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": folder.name}]])
    wait(page, f"{SHOWN} === 'of txt'")
    page.evaluate(LINK, [[name, ".tags"], 0, "unknown"])
    wait(page, "document.querySelector('.bakery-dataset .bakery-status').textContent.includes('caption_extension')")
    assert page.locator(".bakery-image").count() == 0
    assert page.locator(".bakery-add").is_hidden()


@pytest.mark.parametrize("mode", [0, MUTED, BYPASSED])
def test_the_run_is_that_of_the_name_that_is_sent(page, server, mode):
    for name in ("own_name", "linked_name"):
        show_saved_run(server, name, prompts=(name,))
    show_nodes(page, [["BakeryTrain", [420, 60], {"name": "own_name"}]], top=350)
    page.evaluate(LINK, [["name", "linked_name"], mode, ""])
    settle(page)
    name = value_sent(page, "BakeryTrain", "name")
    assert name == ("own_name" if mode else "linked_name")
    wait(page, f"document.querySelector('.bakery-prompt')?.textContent === '{name}'")

"""Records what the examples draw on the small test model, for their cards: `python dev.py workflows --run [NAME ...]`.

Each example is queued on its own ComfyUI. The pictures of the nodes named here are put on a panel, which is kept in
results/, so that the cards can be drawn again without training.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ...tests.support.client import ComfyClient
from ...tests.support.paths import CACHE
from ...tests.support.server import ComfyServer, end_on_sigterm
from ...tests.support.workflow import to_api
from .canvas import Canvas
from .data import add_example_data
from .examples import EXAMPLES

RESULTS = Path(__file__).with_name("results")
FOLDER = CACHE / "examples"
SHOWN: Mapping[str, tuple[str, ...]] = {
    "train_then_sample": ("With the LoRA", "Without it"),
    "recipe": ("With the LoRA",),
    "sdxl_8gb": ("With the LoRA",),
    "multi_stage": ("All previews", "The plan, before training"),
    "resume_and_branch": ("Steps of the first run, then the branch",),
    "continue_a_lora": ("After a little more training", "Norm by block"),
    "style": ("In the style", "Without the LoRA"),
    "several_concepts": ("All previews: a row a subject, a column a step", "One of them"),
    "from_one_image": ("Variations: keep the good ones", "New drawings: keep the good ones"),
    "masked_training": ("In front of a new background",),
    "regularization_and_prior": ("Another creature, with the LoRA", "The same without it"),
    "compare_steps": ("The best has a frame",),
    "blend_two_styles": ("Both styles",),
    "bake_into_a_checkpoint": ("From the baked model",),
    "shrink_a_lora": ("As it was", "Smaller"),
    "extract_from_a_fine_tune": ("The fine-tuned model", "Base with the extracted LoRA"),
    "from_kohya": ("With the LoRA",),
}
"""Titles of the nodes whose pictures tell what an example is for."""
PANEL_SIZE = (340, 380)
LINE_PX, GAP_PX, MOST = 22, 6, 4
PAPER, INK = (30, 32, 36), (200, 204, 210)
TIMEOUT_S = 3600.0

Shown = tuple[str, Sequence[Image.Image]]
"""A node's title and pictures."""


def run_examples(comfyui: Path, names: Sequence[str]) -> None:
    """Run examples in full and keep the panel of each.

    Raises:
        SystemExit: one of them failed.
    """
    end_on_sigterm()
    server = ComfyServer(comfyui, FOLDER, extra_args=["--use-pytorch-cross-attention"])
    try:
        server.start()
        add_example_data(server.input)
        for name in names:
            canvas = Canvas(server.client().object_info(), is_small=True)
            EXAMPLES[name](canvas)
            workflow = canvas.workflow()
            panel = draw_panel(run_example(server.client(), name, workflow))
            RESULTS.mkdir(exist_ok=True)
            panel.quantize(128, dither=Image.Dither.NONE).save(RESULTS / f"{name}.png", optimize=True)
            print(f"Picture: {RESULTS / name}.png", flush=True)
    finally:
        server.stop()


def run_example(client: ComfyClient, name: str, workflow: dict[str, Any]) -> list[Shown]:
    """What the named nodes of an example show.

    Raises:
        SystemExit: it failed.
    """
    done = client.run(to_api(workflow, client.object_info()), TIMEOUT_S, workflow)
    if done.status != "success":
        raise SystemExit(f"Failed: {name} ended with {done.status}. {done.error}")
    nodes = {title: find_node(workflow, title) for title in SHOWN[name]}
    return [
        (title, [_open(client.view(image)) for image in done.outputs[str(node["id"])]["images"]])
        for title, node in nodes.items()
    ]


def find_node(workflow: dict[str, Any], title: str) -> dict[str, Any]:
    """The first node of this title; a node that draws for itself is known by it too.

    Raises:
        LookupError: there is none.
    """
    for node in workflow["nodes"]:
        if node.get("title") == title:
            return node
    raise LookupError(f"no node is titled {title!r}")


def draw_panel(shown: Sequence[Shown]) -> Image.Image:
    """The pictures below their titles, all within the panel: two of each of two nodes, four of a single one."""
    panel = Image.new("RGB", PANEL_SIZE, PAPER)
    draw = ImageDraw.Draw(panel)
    height = (PANEL_SIZE[1] - GAP_PX * (len(shown) - 1)) // len(shown)
    for index, (title, pictures) in enumerate(shown):
        top = index * (height + GAP_PX)
        draw.text((0, top), title, INK, ImageFont.load_default(14))
        picture = two_by_two(pictures[: MOST // len(shown)])
        scale = min(PANEL_SIZE[0] / picture.width, (height - LINE_PX) / picture.height)
        resample = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
        size = (max(1, int(picture.width * scale)), max(1, int(picture.height * scale)))
        panel.paste(picture.resize(size, resample), (0, top + LINE_PX))
    return panel


def two_by_two(pictures: Sequence[Image.Image]) -> Image.Image:
    """One picture of several, two in a row."""
    across = min(2, len(pictures))
    width, height = (max(picture.size[axis] for picture in pictures) + 2 for axis in (0, 1))
    joined = Image.new("RGB", (across * width - 2, -(-len(pictures) // across) * height - 2), PAPER)
    for index, picture in enumerate(pictures):
        joined.paste(picture, (index % across * width, index // across * height))
    return joined


def _open(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")

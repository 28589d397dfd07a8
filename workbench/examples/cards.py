"""The picture of each example in ComfyUI's list of templates: its subject, its graph in small, what it draws.

For an extension's templates the list shows only the file's name, and does not sort them; so title and number are on the
picture.
"""

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from .examples import SMALL_PREFIX
from .results import PANEL_SIZE, RESULTS

SIZE = (720, 460)
SCALE = 2
"""Drawn larger, then made smaller, for smooth lines."""
MARGIN, TITLE = 24, 56
PAPER, INK, BOX, FAINT = (30, 32, 36), (236, 236, 232), (62, 66, 74), (120, 126, 136)
COLORS = {
    "BAKERY_DATASET": (120, 190, 120), "BAKERY_NETWORK": (230, 150, 80), "BAKERY_OPTIMIZER": (90, 170, 230),
    "BAKERY_OBJECTIVE": (200, 120, 200), "BAKERY_STAGES": (230, 200, 90), "BAKERY_RUN": (230, 110, 110),
    "LORA_MODEL": (240, 120, 160), "IMAGE": (110, 180, 250), "MODEL": (170, 150, 230), "CLIP": (240, 215, 90),
    "VAE": (240, 110, 110),
}  # fmt: skip
"""Of links, by type; others are faint."""
MAIN = "BakeryTrain"


PANEL_CORNER = (SIZE[0] - MARGIN - PANEL_SIZE[0], TITLE)


def draw_card(number: int, workflow: dict[str, Any], panel: Image.Image | None) -> Image.Image:
    """A card of 720 x 460 pixels: number, heading of the note, graph, and beside it what it draws, if it was run."""
    card = Image.new("RGB", (SIZE[0] * SCALE, SIZE[1] * SCALE), PAPER)
    draw = ImageDraw.Draw(card)
    font = ImageFont.load_default(26 * SCALE)
    draw.text((MARGIN * SCALE, 14 * SCALE), str(number), FAINT, font)
    draw.text(((MARGIN + 44) * SCALE, 14 * SCALE), heading(workflow), INK, font)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    boxes = _boxes(nodes, PANEL_CORNER[0] if panel else SIZE[0])
    for _, origin, slot, target, target_slot, kind in workflow["links"]:
        start = _port(boxes[origin], slot, len(nodes[origin]["outputs"]), is_output=True)
        end = _port(boxes[target], target_slot, len(nodes[target]["inputs"]), is_output=False)
        draw.line(_curve(start, end), COLORS.get(kind, FAINT), 2 * SCALE)
    for node_id, node in nodes.items():
        _draw_node(draw, node, boxes[node_id])
    card = card.resize(SIZE, Image.Resampling.LANCZOS)
    if panel:
        card.paste(panel, PANEL_CORNER)
    return card


def heading(workflow: dict[str, Any]) -> str:
    """The first line of its note."""
    note = next(node for node in workflow["nodes"] if node["type"] == "MarkdownNote")
    return note["widgets_values"][0].partition("\n")[0].removeprefix("## ")


def write_card(path: Path, number: int, workflow: dict[str, Any]) -> None:
    """Writes the card of a workflow beside its file, under the same name."""
    draw_card(number, workflow, kept_panel(path.stem)).save(path.with_suffix(".jpg"), quality=85)


def kept_panel(name: str) -> Image.Image | None:
    """What the example drew when it was run; None if it was not run."""
    path = RESULTS / f"{name.removeprefix(SMALL_PREFIX)}.png"
    return Image.open(path).convert("RGB") if path.is_file() else None


def _boxes(nodes: dict[int, Any], right_edge: float) -> dict[int, tuple[float, float, float, float]]:
    """Place of every node on the card, up to its right edge in pixels: left, top, right, bottom."""
    right = max(node["pos"][0] + node["size"][0] for node in nodes.values())
    bottom = max(node["pos"][1] + node["size"][1] for node in nodes.values())
    x_scale = (right_edge - 2 * MARGIN) * SCALE / right
    y_scale = (SIZE[1] - TITLE - MARGIN) * SCALE / bottom
    left, top = MARGIN * SCALE, TITLE * SCALE
    return {
        node_id: (
            left + node["pos"][0] * x_scale,
            top + node["pos"][1] * y_scale,
            left + (node["pos"][0] + node["size"][0]) * x_scale,
            top + (node["pos"][1] + node["size"][1]) * y_scale,
        )
        for node_id, node in nodes.items()
    }


def _port(
    box: tuple[float, float, float, float], slot: int, num_slots: int, *, is_output: bool
) -> tuple[float, float]:  # fmt: skip
    left, top, right, bottom = box
    return right if is_output else left, top + (bottom - top) * (slot + 1) / (num_slots + 1)


def _curve(start: tuple[float, float], end: tuple[float, float], num_points: int = 24) -> list[tuple[float, float]]:
    """An S from left to right."""
    points = []
    for index in range(num_points + 1):
        t = index / num_points
        eased = t * t * (3 - 2 * t)
        points.append((start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * eased))
    return points


def _draw_node(draw: ImageDraw.ImageDraw, node: dict[str, Any], box: tuple[float, float, float, float]) -> None:
    fill = (130, 84, 50) if node["type"] == MAIN else (66, 58, 44) if node["type"] == "MarkdownNote" else BOX
    draw.rounded_rectangle(box, 4 * SCALE, fill, FAINT if node["mode"] == 0 else None, SCALE)
    font = ImageFont.load_default(9 * SCALE)
    title = node.get("title") or node["type"].removeprefix("Bakery")
    width = box[2] - box[0] - 6 * SCALE
    while title and draw.textlength(title, font) > width:
        title = title[:-1]
    if box[3] - box[1] > 10 * SCALE:
        draw.text((box[0] + 3 * SCALE, box[1] + SCALE), title, INK, font)

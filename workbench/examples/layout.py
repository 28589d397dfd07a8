"""Sizes of an example's nodes once ComfyUI's page shows their panels and pictures, and their positions.

The page enlarges a node whose panel or picture needs more than was saved, but moves no other node: so each is saved as
large as it will be. `tests/browser/test_examples.py` finds overlaps in both renderings.
"""

import unicodedata
from collections.abc import Sequence
from typing import Any

NODE_WIDTH, ROW_HEIGHT, FRAME_HEIGHT, TITLE_HEIGHT = 320, 24, 46, 30
GAP, COLUMN_GAP = 50, 70
"""Pixels between nodes; a new rendering's node has a footer that hangs below it."""
GROUP_MARGIN = 20
MAX_COLUMN_HEIGHT = 1900
TEXT_ROWS = 4
"""Rows that a text of several lines takes."""
PICTURE = (NODE_WIDTH, 250)
ROOM = {
    "BakeryTrain": (470, 750), "BakeryLoadDataset": (420, 330), "BakeryCompare": (420, 430),
    "BakeryInspectDataset": PICTURE, "BakeryPlotPlan": (420, 250), "LoadImage": PICTURE, "PreviewImage": PICTURE,
    "SaveImage": PICTURE, "PreviewAny": (NODE_WIDTH, 160), "CheckpointSave": (360, 0),
}  # fmt: skip
"""Least width of a node, and the height that it takes besides its rows for a panel, pictures or text."""
NOTE_WIDTH, NOTE_FRAME, LINE_HEIGHT, LINE_LETTERS = 440, 80, 21, 46
"""Of a note in Markdown, in the page that sets it largest (1.58); a Chinese letter counts as two."""


def node_size(node_type: str, num_sockets: int, num_values: int, num_texts: int) -> list[int]:
    """Width and height of a node: rows of sockets, then of values, some of them texts of several lines."""
    width, room = ROOM.get(node_type, (NODE_WIDTH, 0))
    rows = num_sockets + num_values + num_texts * (TEXT_ROWS - 1)
    return [width, FRAME_HEIGHT + rows * ROW_HEIGHT + room]


def note_size(text: str) -> list[int]:
    """Width and height of a note whose text is read without scrolling."""
    lines = sum(1 + _letters(line) // LINE_LETTERS for line in text.splitlines())
    return [NOTE_WIDTH, NOTE_FRAME + lines * LINE_HEIGHT]


def lay_out(columns: Sequence[list[dict[str, Any]]]) -> int:
    """Places nodes by column from left to right, all of a column as wide as the widest; returns the right edge.

    A column that would be too long is cut into several.
    """
    left = 0
    for part in (part for nodes in columns for part in _cut(nodes)):
        width, top = max(node["size"][0] for node in part), 0
        for node in part:
            node["pos"], node["size"] = [left, top], [width, node["size"][1]]
            top += _height(node)
        left += width + COLUMN_GAP
    return left - COLUMN_GAP


def frame(nodes: Sequence[dict[str, Any]]) -> list[int]:
    """Left, top, width and height of a group around nodes that have their places."""
    left, top = (min(node["pos"][axis] for node in nodes) for axis in (0, 1))
    right, bottom = (max(node["pos"][axis] + node["size"][axis] for node in nodes) for axis in (0, 1))
    above, margin = 2 * TITLE_HEIGHT + GROUP_MARGIN, GROUP_MARGIN
    return [left - margin, top - above, right - left + 2 * margin, bottom - top + above + margin]


def _cut(nodes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """As few parts as fit, of heights as equal as the order allows."""
    wanted = len(_fill(nodes, MAX_COLUMN_HEIGHT))
    limits = range(0, MAX_COLUMN_HEIGHT + 1, ROW_HEIGHT)
    parts = (_fill(nodes, limit) for limit in [*limits, MAX_COLUMN_HEIGHT])
    return next(each for each in parts if len(each) == wanted)


def _fill(nodes: list[dict[str, Any]], limit: int) -> list[list[dict[str, Any]]]:
    parts: list[list[dict[str, Any]]] = []
    for node in nodes:
        if not parts or sum(map(_height, [*parts[-1], node])) > limit:
            parts.append([])
        parts[-1].append(node)
    return parts


def _height(node: dict[str, Any]) -> int:
    """With title and the gap below."""
    return TITLE_HEIGHT + node["size"][1] + GAP


def _letters(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in line)

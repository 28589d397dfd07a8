"""The picture of the loop: a row a round, in every column the same prompt and the same noise."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..demo.picture import FAINT, INK, PAPER, font
from ..demo.sampling import Pictures
from .loop import Scored

ZOOM, GAP_PX, LABEL_PX, HEAD_PX, PER_PROMPT = 1, 3, 190, 40, 3
COLORS = 160


def draw_sheet(base: Pictures, rows: Sequence[Scored], prompts: dict[str, str]) -> Image.Image:
    """Three pictures of every prompt by the base model and by each LoRA."""
    side = next(iter(base.values()))[0].width * ZOOM
    block = PER_PROMPT * (side + GAP_PX) + 2 * GAP_PX
    sheet = Image.new(
        "RGB", (LABEL_PX + len(prompts) * block, HEAD_PX + (len(rows) + 1) * (side + GAP_PX) + GAP_PX), PAPER
    )
    draw = ImageDraw.Draw(sheet)
    for column, prompt in enumerate(prompts):
        kind = prompts[prompt].partition(":")[0]
        draw.text((LABEL_PX + column * block, 4), kind, INK, font(13))
        draw.text((LABEL_PX + column * block, 21), _short(prompt), FAINT, font(11))
    labels = [("no LoRA", ""), *((row.title, _figures(row)) for row in rows)]
    for index, ((title, figures), pictures) in enumerate(
        zip(labels, [base, *(row.pictures for row in rows)], strict=True)
    ):
        top = HEAD_PX + index * (side + GAP_PX)
        draw.text((6, top + side // 2 - 18), title, INK, font(14))
        draw.text((6, top + side // 2 + 2), figures, FAINT, font(11))
        for column, prompt in enumerate(prompts):
            for number, picture in enumerate(pictures[prompt][:PER_PROMPT]):
                large = picture.resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(large, (LABEL_PX + column * block + number * (side + GAP_PX), top))
    return sheet.quantize(COLORS, dither=Image.Dither.NONE)


def _figures(row: Scored) -> str:
    count = f"{row.num_images} image{'s' * (row.num_images != 1)}"
    return f"{count}, {row.steps} steps, {row.identity:.0%} {row.flexibility:.0%} {row.prior:.0%}"


def _short(prompt: str) -> str:
    return prompt if len(prompt) <= 34 else f"{prompt[:33]}…"

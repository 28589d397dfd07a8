"""Text in pictures: a font with Chinese if the system has one, and lines that fit a width."""

from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
WIDE_FONTS = ("msyh.ttc", "PingFang.ttc", "NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial.ttf")


@lru_cache(maxsize=8)
def font_of_size(size_px: int) -> Font:
    """The first known font that this system has, else Pillow's own."""
    for name in WIDE_FONTS:
        try:
            return ImageFont.truetype(name, size_px)
        except OSError:
            continue
    return ImageFont.load_default(size_px)


def writable(text: str, font: Font) -> str:
    """The text on one line, with question marks for characters that Pillow's own font lacks."""
    flat = " ".join(text.split())
    known = isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] in ("DejaVu Sans", "Aileron", "Arial")
    return "".join(c if c < "\u2e80" else "?" for c in flat) if known else flat


def wrapped(text: str, font: Font, width_px: float, max_lines: int) -> list[str]:
    """Lines that fit the width; what does not fit is cut with an ellipsis. Breaks words only if necessary."""
    rest, lines = writable(text, font), list[str]()
    while rest and len(lines) < max_lines:
        count = _fitting(rest, font, width_px)
        if count < len(rest):
            space = rest.rfind(" ", 1, count + 1)
            count = space if space > 0 else count
        lines.append(rest[:count].strip())
        rest = rest[count:].lstrip()
    if rest and lines:
        last = lines[-1]
        while last and font.getlength(last + "...") > width_px:
            last = last[:-1]
        lines[-1] = last + "..."
    return lines


def _fitting(text: str, font: Font, width_px: float) -> int:
    """As many characters from the start as fit, at least one."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width_px else (low, middle - 1)
    return low

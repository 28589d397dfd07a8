"""Learning weights and ranks per U-Net block, in the forms that sd-scripts and LoRA Block Weight (LBW) users know.

Blocks are named by the original U-Net's lists: BASE (text encoders), IN00.., M00.., OUT00... SD1.5 has 12 / 1 / 12 of
them, SDXL 9 / 3 / 9. The model family is known only when training starts, so the settings keep the texts and
`resolve(family)` reads them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, nan, pi, sin

from ..base_model import ModelFamily, PartName

BLOCK_COUNTS: Mapping[ModelFamily, tuple[int, int, int]] = {"sd15": (12, 1, 12), "sdxl": (9, 3, 9)}

# LBW leaves out blocks without attention in its short forms, and has one number for the whole middle.
LBW_FORMS: Mapping[ModelFamily, Mapping[int, tuple[str, ...]]] = {
    "sd15": {
        17: ("BASE", *(f"IN{i:02}" for i in (1, 2, 4, 5, 7, 8)), "M", *(f"OUT{i:02}" for i in range(3, 12))),
        26: ("BASE", *(f"IN{i:02}" for i in range(12)), "M", *(f"OUT{i:02}" for i in range(12))),
    },
    "sdxl": {
        12: ("BASE", *(f"IN{i:02}" for i in (4, 5, 7, 8)), "M", *(f"OUT{i:02}" for i in range(6))),
        20: ("BASE", *(f"IN{i:02}" for i in range(9)), "M", *(f"OUT{i:02}" for i in range(9))),
    },
}
# LBW's own presets: the blocks that stay on. The shallow and deep ones are defined on SD1.5's blocks only.
LBW_PRESETS: Mapping[str, str] = {
    "NONE": "",
    "ALL": "BASE IN M OUT",
    "INALL": "BASE IN",
    "OUTALL": "BASE OUT",
    "INS": "BASE IN01 IN02 IN04",
    "IND": "BASE IN05 IN07 IN08",
    "MIDD": "BASE IN05 IN07 IN08 M OUT03 OUT04 OUT05 OUT06",
    "OUTD": "BASE OUT03 OUT04 OUT05 OUT06",
    "OUTS": "BASE OUT07 OUT08 OUT09 OUT10 OUT11",
}
SDXL_PRESETS = ("NONE", "ALL", "INALL", "OUTALL")
CURVES = ("sine", "cosine", "linear", "reverse_linear", "zeros")


@dataclass(frozen=True, slots=True)
class ResolvedBlocks:
    """Weights and ranks of the blocks of one model family; blocks that are not listed keep the default."""

    weights: Mapping[str, float]
    """Factor of the learning rate by block; 0 = no adapters there."""
    ranks: Mapping[str, int]
    """Rank of linear layers and 1 x 1 convolutions by block; 0 = no adapters there."""
    conv_ranks: Mapping[str, int]
    """Rank of k x k convolutions by block; 0 = no adapters there."""

    def weight(self, block: str | None) -> float:
        """Learning weight of a block, 1 if none is given. Modules outside the blocks (None) have 1."""
        return 1.0 if block is None else self.weights.get(block, 1.0)

    def rank(self, block: str | None, is_spatial: bool) -> int | None:
        """Rank of a block, or None if none is given."""
        return None if block is None else (self.conv_ranks if is_spatial else self.ranks).get(block)


@dataclass(frozen=True, kw_only=True, slots=True)
class BlockWeights:
    """Block weights as the user writes them; all empty = off."""

    down: str = ""
    """IN blocks: a curve (sine, cosine, linear, reverse_linear, zeros, each also with +x) or 12 (SDXL 9) numbers."""
    mid: str = ""
    """Middle: 1 (SDXL 3) numbers."""
    up: str = ""
    """OUT blocks: a curve or 12 (SDXL 9) numbers."""
    lbw: str = ""
    """12, 17, 20 or 26 numbers, an LBW preset (ALL, INS, ...), or names: `IN04:0.5, M:0, OUT:1.2`."""
    ranks: str = ""
    """Ranks of the blocks: 25 (SDXL 23) numbers, or names: `IN04:8, OUT:32`."""
    conv_ranks: str = ""
    """The same for k x k convolutions."""
    zero_threshold: float = 0.0
    """Weights up to this count as 0: no adapters in that block."""

    def __post_init__(self) -> None:
        """Refuse a text that no model family can read."""
        errors: list[str] = []
        for family in BLOCK_COUNTS:
            try:
                self.resolve(family)
            except ValueError as error:
                errors.append(str(error))
        if len(errors) == len(BLOCK_COUNTS):
            raise ValueError(errors[0])

    def resolve(self, family: ModelFamily) -> ResolvedBlocks:
        """Weights and ranks for a model family.

        Raises:
            ValueError: a text has another number of values than the family has blocks, or an unknown name.
        """
        weights = read_lbw(self.lbw, family)
        for name, text, stem, count in zip(
            ("down", "mid", "up"), (self.down, self.mid, self.up), ("IN", "M", "OUT"), BLOCK_COUNTS[family], strict=True
        ):
            if text.strip():
                values = _read_list(name, text, count, family)
                weights |= {f"{stem}{i:02}": value for i, value in enumerate(values)}
        for block, weight in weights.items():
            if weight < 0:
                raise ValueError(f"block weight of {block} must be 0 or more, got {weight}")
        weights = {block: weight if weight > self.zero_threshold else 0.0 for block, weight in weights.items()}
        return ResolvedBlocks(
            weights, _read_ranks("ranks", self.ranks, family), _read_ranks("conv_ranks", self.conv_ranks, family)
        )


def block_of(path: str, part: PartName, family: ModelFamily) -> str | None:
    """Block of a module path; None for modules outside the blocks (time embedding, output)."""
    if part != "unet":
        return "BASE"
    head, _, rest = path.partition(".")
    index = rest.partition(".")[0]
    if head == "input_blocks":
        return f"IN{int(index):02}"
    if head == "output_blocks":
        return f"OUT{int(index):02}"
    if head == "middle_block":
        return f"M{int(index):02}" if family == "sdxl" else "M00"
    return None


def block_names(family: ModelFamily) -> tuple[str, ...]:
    """All blocks of a family, BASE first, in the order of the U-Net."""
    stems = zip(("IN", "M", "OUT"), BLOCK_COUNTS[family], strict=True)
    return ("BASE", *(f"{stem}{i:02}" for stem, count in stems for i in range(count)))


def curve(name: str, count: int) -> list[float]:
    """Weights of a named curve over `count` blocks; `name+x` adds x. As in sd-scripts, cosine is sine backwards."""
    name, _, base = name.partition("+")
    ramp = [i / max(count - 1, 1) for i in range(count)]
    shape = {
        "sine": [sin(pi / 2 * x) for x in ramp],
        "cosine": [sin(pi / 2 * x) for x in reversed(ramp)],
        "linear": ramp,
        "reverse_linear": ramp[::-1],
        "zeros": [0.0] * count,
    }
    offset = _number("curve offset", base) if base else 0.0
    return [value + offset for value in shape[name.strip()]]


def _read_list(name: str, text: str, count: int, family: ModelFamily) -> list[float]:
    if text.partition("+")[0].strip() in CURVES:
        return curve(text.strip(), count)
    values = [_number(name, item) for item in _items(text)]
    if len(values) != count:
        raise ValueError(
            f"{name} must be one of {', '.join(CURVES)} (with +x if wanted) or {count} numbers for {family}, "
            f"got {len(values)} values"
        )
    return values


def read_lbw(text: str, family: ModelFamily) -> dict[str, float]:
    """Numbers by block of a text as LBW users write it (see `BlockWeights.lbw`); empty for an empty text.

    Raises:
        ValueError: It is no preset, list of numbers or names of this family.
    """
    text = text.strip()
    if not text:
        return {}
    if ":" in text:
        return _read_names("block weights", text, family)
    if text.upper() in LBW_PRESETS:
        if family == "sdxl" and text.upper() not in SDXL_PRESETS:
            raise ValueError(f"block weights: the preset must be one of {', '.join(SDXL_PRESETS)} for sdxl, got {text}")
        kept = tuple(LBW_PRESETS[text.upper()].split())
        return {block: float(block.startswith(kept)) for block in block_names(family)}
    items = _items(text)
    forms = LBW_FORMS[family]
    if len(items) not in forms:
        wanted = " or ".join(map(str, forms))
        got = f"{len(items)} values" if len(items) > 1 else repr(text)
        raise ValueError(
            f"block weights must be {wanted} numbers for {family}, one of {', '.join(LBW_PRESETS)}, or names like "
            f"IN04:0.5, got {got}"
        )
    values = [_number("block weights", item) for item in items]
    given = dict(zip(forms[len(values)], values, strict=True))
    return {block: given.get("M" if block.startswith("M") else block, 0.0) for block in block_names(family)}


def _read_names(name: str, text: str, family: ModelFamily) -> dict[str, float]:
    """`IN04:0.5, OUT:2`: a name without a number means all its blocks; later entries win."""
    result: dict[str, float] = {}
    known = block_names(family)
    for item in _items(text):
        block, _, value = (word.strip() for word in item.partition(":"))
        blocks = (
            [block.upper()] if block.upper() in known else [b for b in known if b.rstrip("0123456789") == block.upper()]
        )
        if not blocks:
            raise ValueError(
                f"{name} must name blocks of {family} ({known[1]} to {known[-1]}, BASE, IN, M, OUT), got {block!r}"
            )
        result |= dict.fromkeys(blocks, _number(f"{name} of {block}", value))
    return result


def _read_ranks(name: str, text: str, family: ModelFamily) -> dict[str, int]:
    if not text.strip():
        return {}
    if ":" in text:
        given = _read_names(name, text, family)
    else:
        values = [_number(name, item) for item in _items(text)]
        # sd-scripts counts the time embedding before and the output after SDXL's 21 blocks; neither is adapted there.
        values = values[1:-1] if family == "sdxl" and len(values) == 23 else values
        blocks = block_names(family)[1:]
        if len(values) != len(blocks):
            wanted = "25" if family == "sd15" else "23"
            raise ValueError(
                f"{name} must be {wanted} numbers for {family} or names like IN04:8, got {len(values)} values"
            )
        given = dict(zip(blocks, values, strict=True))
    for block, value in given.items():
        if value < 0 or value != int(value):
            raise ValueError(f"{name} of {block} must be a whole number of 0 or more, got {value}")
    return {block: int(value) for block, value in given.items()}


def _items(text: str) -> list[str]:
    """Entries separated by commas or line breaks."""
    return [item for item in text.replace("\n", ",").split(",") if item.strip()]


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise ValueError(f"{name} must hold numbers, got {text.strip()!r}")
    return number

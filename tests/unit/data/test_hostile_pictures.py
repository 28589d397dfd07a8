"""Pictures, folders and links as nobody should make them: each is read or named, none is lost, memory is bounded."""

import io
import os
import struct
import zlib

import numpy as np
import pytest
from pack.tests.support.holds import longest_hold
from pack.tests.support.words import in_words
from pack.training.data.editor import list_entries, save_captions, set_excluded, set_removed
from pack.training.data.folder import scan_folder
from pack.training.data.images import MAX_PIXELS
from pack.training.data.thumbnail import thumbnail
from PIL import Image

PLAIN = Image.new("RGB", (40, 30), (200, 30, 30))


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width, height, rows=b"", kind=2, depth=8, extra=b""):
    """A PNG that claims a size, with whatever rows."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def frames(kind):
    others = [Image.new("RGB", (40, 30), (n, 0, 0)) for n in (50, 100, 150)]
    return encoded(PLAIN, kind, save_all=True, append_images=others)


def noisy(mode):
    values = np.random.default_rng(0).integers(0, 255, (30, 40, 4), np.uint8)
    return Image.fromarray(values).convert(mode)


def with_orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(PLAIN, "JPEG", exif=exif)


GOOD = encoded(noisy("RGB"), "PNG")
PICTURES = {
    **{f"PNG {mode}": encoded(noisy(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    **{f"JPEG {mode}": encoded(noisy(mode), "JPEG") for mode in ("L", "RGB", "CMYK", "YCbCr")},
    **{f"orientation {n}": with_orientation(n) for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 255)},
    "PNG 16 bits": encoded(Image.fromarray(np.full((30, 40), 40_000, np.uint16)), "PNG"),
    "TIFF of 32 bits": encoded(Image.fromarray(np.full((30, 40), 40_000, np.int32)), "TIFF"),
    "BMP": encoded(PLAIN, "BMP"),
    "WebP": encoded(noisy("RGBA"), "WEBP"),
    "animated PNG": frames("PNG"),
    "animated WebP": frames("WEBP"),
    "GIF under another name": frames("GIF"),
    **{f"cut to {part}": GOOD[: int(len(GOOD) * part)] for part in (0.0, 0.01, 0.1, 0.5, 0.9, 0.99)},
    **{
        f"byte {place} wrong": GOOD[:place] + b"\xff" + GOOD[place + 1 :]
        for place in (0, 5, 12, 17, 20, 25, 29, 40, 99)
    },
    "no size": png(0, 0),
    "one pixel": png(1, 1, b"\0abc"),
    "no height": png(40, 0),
    "claims 20,000": png(20_000, 20_000),
    "claims 2^31": png(2**31 - 1, 2**31 - 1),
    "one row of 2^31": png(2**31 - 1, 1),
    "rows missing": png(400, 300, b"\0" * 99),
    "zlib bomb": png(100, 100, b"\0" * 50_000_000),
    "zlib bomb in text": png(1, 1, b"\0abc", extra=chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * 50_000_000))),
    "bits of 3": png(4, 4, b"\0" * 20, depth=3),
    "kind of 9": png(4, 4, b"\0" * 20, kind=9),
    "text": b"this is a text",
    "HTML": b"<html>404</html>",
    "zeros": b"\0" * 10_000,
    "SVG": b"<svg/>",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "TIFF": encoded(PLAIN, "TIFF"),
    "ICO": encoded(PLAIN, "ICO"),
    "PDF": encoded(PLAIN, "PDF"),
    "false ICC": encoded(PLAIN, "PNG", icc_profile=b"x"),
    "false EXIF": encoded(PLAIN, "JPEG", exif=b"Exif\0\0garbage"),
}


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp"])
@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_read_or_named(tmp_path, kind, ending):
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / f"odd{ending}").write_bytes(PICTURES[kind])
    (folder / "good.png").write_bytes(GOOD)
    dataset = scan_folder(folder)
    names = {item.name for subset in dataset.subsets for item in subset.items}
    assert "good.png" in names
    assert f"odd{ending}" in names or any(f"odd{ending}" in note for note in dataset.notes)
    assert not any(str(tmp_path) in note for note in dataset.notes)
    try:
        shown = Image.open(io.BytesIO(thumbnail(folder / f"odd{ending}", 64)))
        assert shown.format == "JPEG" and f"odd{ending}" in names
    except ValueError as error:
        in_words(error, tmp_path)
        assert f"odd{ending}" not in names
    assert len(list_entries(folder)) == 2
    assert (folder / f"odd{ending}").read_bytes() == PICTURES[kind]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "I;16", "L"])
def test_a_large_picture_holds_no_other_thread(tmp_path, mode):
    """As the server's event loop asks; 36 million pixels."""
    side = 6000
    if mode == "I;16":
        image = Image.fromarray(np.full((side, side), 40_000, np.uint16))
    else:
        image = Image.new(mode, (side, side))
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    image.save(path, **({} if mode == "CMYK" else {"compress_level": 1}))
    del image
    hold_s = longest_hold(lambda: thumbnail(path, 512))
    print(f"{mode}: the other thread waited {1000 * hold_s:.0f} ms at most")
    assert hold_s < 0.1


def test_a_bomb_is_refused_where_another_pack_has_lifted_pillows_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    (tmp_path / "a.png").write_bytes(png(20_000, 20_000))
    (tmp_path / "b.png").write_bytes(GOOD)
    notes = " ".join(scan_folder(tmp_path).notes)
    assert "a.png" in notes and "20000 x 20000" in notes and f"{MAX_PIXELS:,}" in notes
    with pytest.raises(ValueError, match="20000 x 20000"):
        thumbnail(tmp_path / "a.png", 64)


NAMES = (
    "CON",
    "nul.png",
    "a.",
    "trail ",
    "e\u0301",
    "é",
    "ﬁ",
    "İ",
    "😀",
    "-rf",
    "~",
    "$HOME",
    "%TEMP%",
    "a;b",
    "a'b",
    'a"b',
    "a\nb",
    "a\tb",
    "a\\b",
    "x" * 240,
    "10_",
    "_10",
    "0_zero",
    "9" * 200 + "_many",
    "١٠_fox",
    "1e9_fox",
)


@pytest.mark.skipif(os.name == "nt", reason="Windows makes no such folders")
@pytest.mark.parametrize("name", NAMES)
def test_a_folder_and_a_picture_of_any_name_are_read_edited_and_kept(tmp_path, name):
    folder = tmp_path / "set"
    (folder / name).mkdir(parents=True)
    (folder / "good.png").write_bytes(GOOD)
    picture = f"{name}/{name[:200]}.png"
    (folder / picture).write_bytes(GOOD)
    try:
        dataset = scan_folder(folder)
        assert any(picture in note or name in note for note in dataset.notes) or any(
            item.name == picture for subset in dataset.subsets for item in subset.items
        )
        sum(subset.num_samples for subset in dataset.subsets) * 1.5
    except ValueError as error:
        in_words(error, tmp_path)
        assert name[:20] in str(error)
    save_captions(folder, {picture: "fox"})
    assert next(entry for entry in list_entries(folder) if entry.name == picture).caption == "fox"
    moved = set_excluded(folder, picture, True)
    assert set_excluded(folder, moved, False) == picture
    (gone,) = set_removed(folder, [picture], True)
    assert set_removed(folder, [gone], False) == [picture]
    assert (folder / picture).read_bytes() == GOOD


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_that_lead_out_or_in_a_circle_lose_nothing(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.png").write_bytes(GOOD)
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "good.png").write_bytes(GOOD)
    (folder / "circle").symlink_to(folder)
    (folder / "out").symlink_to(outside)
    (folder / "dead.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "self.png").symlink_to(folder / "self.png")
    (folder / "linked.png").symlink_to(outside / "secret.png")
    dataset = scan_folder(folder)
    assert any("circle" in note and "out" in note for note in dataset.notes)
    for name in ("linked.png", "out/secret.png", "circle/../../outside/secret.png"):
        with pytest.raises(ValueError, match="no image"):
            save_captions(folder, {name: "x"})
        with pytest.raises(ValueError, match="no image"):
            set_removed(folder, [name], True)
    assert (outside / "secret.png").read_bytes() == GOOD and len(list(outside.iterdir())) == 1

"""A thumbnail shows a picture as it is trained."""

import io

import numpy as np
import pytest
from pack.training.data.images import ImageItem, read_rgb_and_mask
from pack.training.data.thumbnail import thumbnail
from PIL import Image


def seen(path, size=512):
    return Image.open(io.BytesIO(thumbnail(path, size)))


def trained(path):
    item = ImageItem(name=path.name, source=path, captions=("",), width=1, height=1, content_hash="")
    return read_rgb_and_mask(item, use_alpha_mask=False)[0]


def rotated(path):
    image = Image.new("RGB", (120, 60), (250, 10, 10))
    image.paste((10, 10, 250), (0, 0, 60, 60))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(path, exif=exif)


def transparent(path):
    Image.new("RGBA", (90, 60), (200, 0, 0, 0)).save(path)


def palette(path):
    image = Image.new("P", (90, 60), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.save(path, transparency=0)


def sixteen_bits(path):
    Image.fromarray(np.full((60, 90), 40_000, np.uint16)).save(path)


@pytest.mark.parametrize("write", [rotated, transparent, palette, sixteen_bits])
def test_it_is_upright_on_white_and_as_bright_as_in_training(tmp_path, write):
    path = tmp_path / "a.png"
    write(path)
    shown, wanted = seen(path), trained(path)
    assert shown.size == wanted.size
    difference = np.abs(np.asarray(shown, int) - np.asarray(wanted, int))
    assert difference.mean() < 4, f"{write.__name__}: {difference.mean():.1f} of 255"


def test_a_picture_that_is_not_read_says_why(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    Image.new("RGB", (200, 200)).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ValueError, match=r"a\.png cannot be read: Image size"):
        thumbnail(path, 64)
    path.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"a\.png cannot be read") as refused:
        thumbnail(path, 64)
    assert str(tmp_path) not in str(refused.value)

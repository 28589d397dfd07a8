import numpy as np
import pytest
import torch
from pack.tests.support.pictures import picture, save, tensor
from pack.training.data.folder import scan_folder
from pack.training.data.from_images import subset_from_images
from pack.training.data.images import inspect_file, open_image, read_rgb_and_mask
from PIL import Image

# What a camera that wrote this EXIF orientation must be undone by, on arrays (rows, columns, colors).
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_rotation_is_applied_to_pixels_and_size(tmp_path, orientation):
    stored = picture(1, 40, 24)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    upright = UPRIGHT[orientation](stored)
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.png")), upright)
    facts = inspect_file(tmp_path / "a.png")
    assert (facts.height, facts.width) == upright.shape[:2]


def test_transparency_is_put_on_white(tmp_path):
    rgba = picture(2, 30, 20, 4)
    save(tmp_path / "set" / "a.png", rgba, "caption")
    item = scan_folder(tmp_path / "set").subsets[0].items[0]
    image, mask = read_rgb_and_mask(item, use_alpha_mask=False)
    alpha = rgba[..., 3:].astype(np.float64) / 255
    expected = rgba[..., :3] * alpha + 255 * (1 - alpha)
    assert mask is None
    assert np.abs(np.asarray(image) - expected).max() <= 1


def test_transparency_as_mask_leaves_the_colors(tmp_path):
    rgba = picture(3, 30, 20, 4)
    save(tmp_path / "set" / "a.png", rgba, "caption")
    item = scan_folder(tmp_path / "set").subsets[0].items[0]
    image, mask = read_rgb_and_mask(item, use_alpha_mask=True)
    assert np.array_equal(np.asarray(image), rgba[..., :3])
    assert np.array_equal(np.asarray(mask), rgba[..., 3])


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    gray = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257
    Image.fromarray(gray).save(tmp_path / "deep.png")
    assert np.array_equal(np.asarray(open_image(tmp_path / "deep.png"))[..., 0], np.arange(256).reshape(16, 16))


@pytest.mark.parametrize(
    ("mode", "name"),
    [("L", "a.png"), ("1", "a.png"), ("LA", "a.png"), ("P", "a.png"), ("CMYK", "a.jpg"), ("RGB", "a.webp")],
)
def test_every_mode_gives_the_colors_a_viewer_shows(tmp_path, mode, name):
    gray = np.full((16, 16, 3), 255, np.uint8)
    gray[:8] = 0
    Image.fromarray(gray).convert(mode).save(tmp_path / name)
    image = np.asarray(open_image(tmp_path / name).convert("RGB")).astype(int)
    assert np.abs(image - gray).mean() < 4


def test_palette_with_transparent_color_keeps_it(tmp_path):
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((3, 2), 1)
    image.save(tmp_path / "a.png", transparency=0)
    alpha = np.asarray(open_image(tmp_path / "a.png"))[..., 3]
    assert alpha[2, 3] == 255
    assert alpha.sum() == 255


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_cut_off_files_are_errors(tmp_path, suffix):
    path = save(tmp_path / f"a{suffix}", picture(4, 200, 200))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(OSError):
        inspect_file(path)


def test_hash_follows_the_content(tmp_path):
    one, copy = save(tmp_path / "a.png", picture(5)), save(tmp_path / "b.png", picture(5))
    other = save(tmp_path / "c.png", picture(6))
    assert inspect_file(one).content_hash == inspect_file(copy).content_hash
    assert inspect_file(one).content_hash != inspect_file(other).content_hash


def test_graph_images_are_read_as_the_file_they_would_be_saved_to(tmp_path):
    pixels = tensor(picture(7, 50, 30)) + 0.001 * torch.rand(30, 50, 3)
    item = subset_from_images([pixels], ["caption"]).items[0]
    path = tmp_path / "a.png"
    Image.fromarray((pixels.clamp(0, 1) * 255).round().byte().numpy()).save(path)
    assert np.array_equal(np.asarray(open_image(item.source)), np.asarray(open_image(path)))
    assert (item.width, item.height) == (50, 30)


def test_wrong_images_are_refused_by_name():
    good, bad = tensor(picture(8)), torch.full((8, 8, 3), float("nan"))
    with pytest.raises(ValueError, match="image 2"):
        subset_from_images([good, bad], ["caption"])
    with pytest.raises(ValueError, match=r"image 1.*shape.*\(64, 64\)"):
        subset_from_images([good[..., 0]], ["caption"])
    with pytest.raises(ValueError, match="captions.*3.*2"):
        subset_from_images([good] * 3, ["one", "two"])
    with pytest.raises(ValueError, match="at least one image"):
        subset_from_images([], ["caption"])

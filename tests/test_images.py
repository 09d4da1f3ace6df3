"""Images in and out: every mode a file can have, every way it can be broken."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from PIL.PngImagePlugin import PngInfo

from zeroconv.images import (
    fit,
    image_size,
    normalize,
    open_image,
    open_map,
    read_settings,
    resize,
    to_8bit,
    to_image,
    to_images,
    to_tensor,
    write_png,
)
from zeroconv.messages import Message, listen
from zeroconv.picture_files import MAX_PIXELS, upright_size


def noise(width: int = 8, height: int = 6) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def test_tensor_and_back_is_exact():
    image = noise()
    tensor = to_tensor(image)
    assert tensor.shape == (3, 6, 8)
    assert tensor.dtype == torch.float32
    assert 0 <= float(tensor.min()) <= float(tensor.max()) <= 1
    assert to_image(tensor).tobytes() == image.tobytes()
    assert to_image(tensor[None]).tobytes() == image.tobytes()
    assert [one.tobytes() for one in to_images(torch.stack([tensor, tensor]))] == [image.tobytes()] * 2


@given(st.floats(0, 1))
def test_signed_and_unsigned_are_inverse(value: float):
    tensor = torch.tensor([value], dtype=torch.float64)
    assert torch.allclose((normalize(tensor) + 1) / 2, tensor)
    assert -1 <= float(normalize(tensor)) <= 1


def test_values_outside_are_clipped():
    pixels = np.asarray(to_image(torch.tensor([-1.0, 0.5, 7.0]).view(3, 1, 1)))
    assert pixels.tolist() == [[[0, 128, 255]]]


@pytest.mark.parametrize("shape", [(3, 4), (1, 4, 4), (2, 3, 4, 4)])
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="expected an image tensor"):
        to_image(torch.zeros(shape))


def test_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        to_image(torch.full((3, 2, 2), float("nan")))
    with pytest.raises(ValueError, match="expected a batch"):
        to_images(torch.zeros(3, 2, 2))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_png_mode_opens_as_rgb(tmp_path: Path, mode: str):
    grey = np.array([[0, 255]], np.uint8)
    deep = Image.fromarray(grey.astype(np.uint16) * 257)
    image = deep if mode == "I;16" else Image.fromarray(grey).convert(mode)
    image.save(tmp_path / "a.png")
    opened = open_image(tmp_path / "a.png")
    assert opened.mode == "RGB"
    assert np.asarray(opened).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path):
    Image.fromarray(np.array([[0x8000, 0xFFFF]], np.uint16)).save(tmp_path / "deep.png")
    assert np.asarray(open_map(tmp_path / "deep.png"))[0, :, 0].tolist() == [128, 255]


def test_cmyk_jpeg_and_webp(tmp_path: Path):
    Image.new("RGB", (16, 16), (255, 0, 0)).convert("CMYK").save(tmp_path / "a.jpg", quality=95)
    Image.new("RGB", (16, 16), (255, 0, 0)).save(tmp_path / "a.webp", lossless=True)
    for name in ("a.jpg", "a.webp"):
        red, green, _ = np.asarray(open_image(tmp_path / name))[8, 8].tolist()
        assert red > 240
        assert green < 15


def test_transparency_is_white_in_pictures_and_black_in_maps(tmp_path: Path):
    Image.new("RGBA", (2, 2), (10, 20, 30, 0)).save(tmp_path / "clear.png")
    assert open_image(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    assert open_map(tmp_path / "clear.png").getpixel((0, 0)) == (0, 0, 0)
    Image.new("P", (2, 2), 1).save(tmp_path / "palette.png", transparency=1)
    assert open_map(tmp_path / "palette.png").getpixel((0, 0)) == (0, 0, 0)


def test_exif_orientation_is_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right to see it upright
    Image.new("RGB", (20, 10)).save(tmp_path / "turned.jpg", exif=exif)
    assert open_image(tmp_path / "turned.jpg").size == (10, 20)
    assert image_size(tmp_path / "turned.jpg") == (20, 10)


def test_missing_folder_and_not_an_image(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*nowhere\.png"):
        open_image(tmp_path / "nowhere.png")
    with pytest.raises(ValueError, match="is not a file"):
        open_image(tmp_path)
    (tmp_path / "text.png").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    noise().save(tmp_path / "other.png", format="BMP")
    for name in ("text.png", "empty.png", "other.png"):
        with pytest.raises(ValueError, match=f"{name} is not a readable PNG, JPEG or WebP") as caught:
            open_image(tmp_path / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_cut_short_is_refused_in_one_line(tmp_path: Path, suffix: str):
    path = tmp_path / f"whole{suffix}"
    noise(64, 64).save(path)
    data = path.read_bytes()
    for share in (0.3, 0.7):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ValueError, match="whole") as caught:
            open_image(path)
        assert "\n" not in str(caught.value)


@given(st.binary(max_size=80), st.integers(8, 300))
def test_mutated_png_never_raises_anything_else(tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int):
    folder = tmp_path_factory.mktemp("mutated", numbered=True)
    noise(32, 32).save(folder / "a.png")
    data = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(data[:at] + junk + data[at + len(junk) :])
    try:
        assert open_image(folder / "a.png").mode == "RGB"
    except ValueError as error:
        assert "\n" not in str(error)


def test_resize_and_fit():
    assert resize(noise(), (20, 10)).size == (20, 10)
    assert fit(noise(30, 10), 8).size == (8, 8)
    assert fit(noise(30, 10), (8, 4)).size == (8, 4)
    two = Image.new("RGB", (4, 4), (255, 0, 0))
    two.paste((0, 0, 255), (2, 0, 4, 4))
    colours = resize(two, (9, 9), nearest=True).getcolors()
    assert colours is not None
    assert {colour for _, colour in colours} == {(255, 0, 0), (0, 0, 255)}
    same = noise()
    assert resize(same, same.size).tobytes() == same.tobytes()
    for broken in (lambda: resize(same, (0, 4)), lambda: fit(same, 0)):
        with pytest.raises(ValueError, match="at least 1 x 1"):
            broken()


def test_png_carries_parameters_and_settings(tmp_path: Path):
    settings = {"prompt": "a café \N{SNOWMAN}", "seed": 7, "scale": 0.5, "controls": [{"name": "tiny-canny"}]}
    path = write_png(noise(), tmp_path / "new" / "deep" / "a.png", "a café\nSteps: 20", settings)
    assert read_settings(path) == settings
    with Image.open(path) as image:
        assert image.info["parameters"] == "a café\nSteps: 20"
        assert json.loads(image.info["zeroconv"]) == settings
    assert open_image(path).tobytes() == noise().tobytes()
    assert [file.name for file in path.parent.iterdir()] == ["a.png"]


def test_settings_that_are_not_there(tmp_path: Path):
    with pytest.raises(ValueError, match="carries no zeroconv settings"):
        read_settings(write_png(noise(), tmp_path / "plain.png"))
    with pytest.raises(FileNotFoundError):
        read_settings(tmp_path / "nowhere.png")


def test_failed_write_leaves_nothing(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="cannot write"):
        write_png(noise(), tmp_path / "file" / "a.png")
    (tmp_path / "a.png").mkdir()
    with pytest.raises(OSError, match=r"cannot write .*a\.png"):
        write_png(noise(), tmp_path / "a.png")
    with pytest.raises(ValueError, match="JSON"):
        write_png(noise(), tmp_path / "b.png", settings={"scale": float("nan")})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "file"]


def header_of(path: Path, width: int, height: int) -> Path:
    """A PNG file of 57 bytes: a header that promises RGB pixels, and none of them."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    size, check, end = struct.pack(">I", 13), struct.pack(">I", zlib.crc32(header)), struct.pack(">I", zlib.crc32(b"IDAT"))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + size + header + check + b"\0\0\0\0IDAT" + end)
    return path


@pytest.mark.parametrize("size", [(8000, 4001), (80_000, 50_000)])  # the second is too large for Pillow itself
def test_too_many_pixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]):
    path = header_of(tmp_path / "bomb.png", *size)
    for read in (open_image, open_map, image_size, read_settings):
        with pytest.raises(ValueError, match=r"too large.* megapixels"):
            read(path)


def test_32_megapixels_are_not_too_many(tmp_path: Path):
    path = header_of(tmp_path / "large.png", 8000, 4000)
    assert image_size(path) == (8000, 4000)
    assert MAX_PIXELS == 8000 * 4000
    with pytest.raises(ValueError, match=r"large\.png is damaged or cut short"):
        open_image(path)


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "ICO"])
def test_other_formats_are_refused_whatever_they_are_called(tmp_path: Path, kind: str):
    noise(16, 16).save(tmp_path / "other.png", format=kind)
    with pytest.raises(ValueError, match=r"other\.png is not a readable PNG, JPEG or WebP image"):
        open_image(tmp_path / "other.png")


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path):
    noise(16, 16).save(tmp_path / "a.jpg", exif=b"Exif\0\0no directory here")
    assert open_image(tmp_path / "a.jpg").size == (16, 16)


def test_failed_write_keeps_the_old_picture(tmp_path: Path):
    path = write_png(noise(), tmp_path / "a.png", settings={"seed": 1})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_png(noise(4, 4), path, settings={"scale": float("inf")})
    with pytest.raises(OSError, match="cannot write"):  # PNG has no such mode
        write_png(Image.new("CMYK", (4, 4)), path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_settings_are_read_from_pictures_alone(tmp_path: Path):
    for text in ("{", "[1]", "7"):
        info = PngInfo()
        info.add_text("zeroconv", text)
        noise().save(tmp_path / "a.png", pnginfo=info)
        with pytest.raises(ValueError, match=r"settings in .*a\.png are damaged"):
            read_settings(tmp_path / "a.png")


@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_photographs_over_32_megapixels_are_halved(tmp_path: Path, ending: str):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned
    noise = Image.effect_noise((801, 501), 80).resize((8010, 5010), Image.Resampling.NEAREST)
    options: dict[str, Any] = {"quality": 30} if ending == "jpg" else {"compress_level": 1}
    path = tmp_path / f"photo.{ending}"
    noise.save(path, exif=exif, **options)
    image = open_image(path)
    assert image.size == upright_size(path, photo=True) == (2505, 4005)
    wanted = np.asarray(noise.reduce(2).rotate(-90, expand=True), np.float32)
    assert np.abs(np.asarray(image)[..., 0] - wanted).mean() < 8
    for read in (open_map, upright_size):
        with pytest.raises(ValueError, match=r"too large: 8010 x 5010 pixels, at most 32 megapixels"):
            read(path)


def test_black_strokes_on_transparent_paper_are_told(tmp_path: Path) -> None:
    drawing = Image.new("RGBA", (32, 32))
    ImageDraw.Draw(drawing).line((4, 4, 28, 28), fill=(0, 0, 0, 255))
    drawing.save(tmp_path / "black.png")
    white = Image.new("RGBA", (32, 32))
    ImageDraw.Draw(white).line((4, 4, 28, 28), fill=(255, 255, 255, 255))
    white.save(tmp_path / "white.png")
    Image.new("RGBA", (32, 32)).save(tmp_path / "empty.png")
    for name, codes in (("black", ["map.transparent"]), ("white", []), ("empty", [])):
        heard: list[Message] = []
        with listen(heard.append):
            open_map(tmp_path / f"{name}.png")
        assert [message.code for message in heard] == codes


@pytest.mark.parametrize(
    ("ending", "said"), [("GIF", "a GIF"), ("AVIF", "an AVIF"), ("TIFF", "a TIFF"), ("BMP", "a BMP"), ("heic", "a HEIC")]
)
def test_a_picture_of_another_format_is_named(tmp_path: Path, ending: str, said: str) -> None:
    path = tmp_path / "picture.png"
    if ending == "heic":  # Pillow writes none
        path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    else:
        noise().save(path, ending)
    with pytest.raises(ValueError, match=f"picture.png is not a readable PNG, JPEG or WebP image but {said}: save it as PNG"):
        open_image(path)


@pytest.mark.parametrize(
    ("value", "way"), [("photo.png", r"open_image\(path\)"), (np.zeros((4, 4, 3)), r"Image.fromarray\(array\)")]
)
def test_what_is_no_image_says_how_to_make_one(value: Any, way: str) -> None:
    with pytest.raises(ValueError, match=f"expected a Pillow image, got a (str|ndarray): {way} makes one"):
        to_8bit(value)

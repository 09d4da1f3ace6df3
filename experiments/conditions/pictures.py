"""Pictures as people have them: of every size, content, mode and file format, each made from a generator."""

import io
import math
import zlib
from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from PIL import Image, ImageDraw

from zeroconv.world import make

__all__ = ["BROKEN", "CONTENTS", "ENCODINGS", "HANDED", "draw_alpha", "draw_picture", "draw_size"]

Size = tuple[int, int]
SIDE = 4096
LARGEST = 4_000_000  # pixels of a few pictures in a hundred; of most it is a hundredth
EXTREMES = (
    (1, 1), (2, 1), (1, 2), (2, 2), (3, 3), (SIDE, 1), (1, SIDE), (SIDE, 2), (1, 3000), (5, SIDE), (7, 13), (1000, 1),
)  # fmt: skip
ORIENTATION = 0x0112  # the EXIF tag
LYING = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip
"""How a picture lies in a file, by the number that EXIF has for it (CIPA DC-008, "Orientation")."""
JUNK = b"neither a profile nor a table, only \x00\xff\x00 bytes"


def draw_size(generator: np.random.Generator, largest: int = LARGEST) -> Size:
    """Width and height from 1 to 4096, each log-uniform; of an area that is too large one side is cut."""
    if generator.random() < 0.06:
        return EXTREMES[generator.integers(len(EXTREMES))]
    scale = float(generator.choice([1, 0.1, 0.01], p=[0.06, 0.24, 0.7]))
    sides = [round(SIDE ** float(generator.random())) for _ in range(2)]
    cut = int(generator.integers(2))
    sides[cut] = max(1, min(sides[cut], int(largest * scale / sides[1 - cut])))
    return sides[0], sides[1]


def noise(size: Size, generator: np.random.Generator) -> np.ndarray:
    """Every pixel for itself."""
    return generator.integers(0, 256, (size[1], size[0], 3), np.uint8)


def flat(size: Size, generator: np.random.Generator) -> np.ndarray:
    """One colour, often black or white."""
    colours = ((0, 0, 0), (255, 255, 255), (128, 128, 128), tuple(generator.integers(0, 256, 3).tolist()))
    return np.full((size[1], size[0], 3), colours[generator.integers(len(colours))], np.uint8)


def gradient(size: Size, generator: np.random.Generator) -> np.ndarray:
    """From one colour to another."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    share = ((rows / size[1] + columns / size[0]) / 2)[..., None]
    start, end = generator.uniform(0, 255, (2, 3))
    return (start * (1 - share) + end * share).astype(np.uint8)


def chequers(size: Size, generator: np.random.Generator) -> np.ndarray:
    """Squares of 1 to 16 pixels, black and white."""
    side = int(generator.integers(1, 17))
    rows, columns = np.mgrid[: size[1], : size[0]] // side
    return np.repeat(((rows + columns) % 2 * 255).astype(np.uint8)[..., None], 3, axis=2)


def shapes(size: Size, generator: np.random.Generator) -> np.ndarray:
    """Filled ellipses, triangles and rectangles."""
    image = Image.fromarray(flat(size, generator))
    pen = ImageDraw.Draw(image)
    for _ in range(int(generator.integers(1, 12))):
        points = (generator.uniform(-0.2, 1.2, (3, 2)) * size).round().tolist()
        colour = tuple(generator.integers(0, 256, 3).tolist())
        (left, top), (right, bottom) = np.sort(points[:2], axis=0).tolist()
        kind = int(generator.integers(3))
        if kind == 0:
            pen.polygon([tuple(point) for point in points], fill=colour)
        else:
            (pen.ellipse if kind == 1 else pen.rectangle)((left, top, right, bottom), fill=colour)
    return np.asarray(image)


def writing(size: Size, generator: np.random.Generator) -> np.ndarray:
    """Short strokes in rows, as text has them: dark on bright or bright on dark."""
    ink, paper = ((20, 20, 30), (245, 240, 230)) if generator.random() < 0.7 else ((240, 240, 240), (15, 25, 20))
    image = Image.new("RGB", size, paper)
    pen, height = ImageDraw.Draw(image), float(generator.uniform(6, 30))
    for top in np.arange(2, size[1], 1.5 * height)[:60]:
        for left in np.arange(2, size[0], 0.7 * height)[:60]:
            letter = generator.random((4, 2)) * (0.5 * height, height) + (left, top)
            pen.line([tuple(point) for point in letter.tolist()], fill=ink, width=max(1, round(height / 12)))
    return np.asarray(image)


@cache
def scene(seed: int) -> Image.Image:
    """A scene of the tiny world."""
    return Image.fromarray(make(seed, size=256).rgb)


def photograph(size: Size, generator: np.random.Generator) -> np.ndarray:
    """A part of a scene of the tiny world."""
    left, top = generator.uniform(0, 200, 2)
    right, bottom = generator.uniform((left + 8, top + 8), 256)
    box = (float(left), float(top), float(right), float(bottom))
    return np.asarray(scene(int(generator.integers(6))).resize(size, Image.Resampling.BICUBIC, box=box))


CONTENTS: dict[str, Callable[[Size, np.random.Generator], np.ndarray]] = {
    "noise": noise, "flat": flat, "gradient": gradient, "chequers": chequers, "shapes": shapes, "writing": writing,
    "photograph": photograph,
}  # fmt: skip


def draw_picture(generator: np.random.Generator, size: Size) -> Image.Image:
    """A picture of a size with one of the contents, RGB."""
    return Image.fromarray(list(CONTENTS.values())[generator.integers(len(CONTENTS))](size, generator))


def draw_alpha(generator: np.random.Generator, size: Size) -> Image.Image:
    """How opaque each pixel is, mode L: everything, nothing, at random, from left to right, or all but a hole."""
    plain = Image.new("L", size, 255)
    match int(generator.integers(6)):
        case 0:
            return plain
        case 1:
            return Image.new("L", size)
        case 2:
            return Image.fromarray(generator.integers(0, 256, (size[1], size[0]), np.uint8))
        case 3:
            return Image.linear_gradient("L").rotate(90).resize(size)
        case _:
            left, right = np.sort(generator.integers(0, size[0] + 1, 2))
            top, bottom = np.sort(generator.integers(0, size[1] + 1, 2))
            plain.paste(0, (int(left), int(top), int(right), int(bottom)))
            return plain


def with_alpha(image: Image.Image, alpha: Image.Image, mode: str = "RGBA") -> Image.Image:
    """A picture in a mode with transparency."""
    image = image.convert(mode[:-1])
    image.putalpha(alpha)
    return image


def sixteen(image: Image.Image) -> np.ndarray:
    """The grey levels of a picture in 16 bits, as all of (H, W) uint16."""
    return np.asarray(image.convert("L")).astype(np.uint16) * 257


def with_transparent(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A picture of mode L, P or RGB whose one colour, that of some pixel, counts as transparent."""
    place = int(generator.integers(image.width)), int(generator.integers(image.height))
    image.info["transparency"] = image.getpixel(place)
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """A file's bytes."""
    file = io.BytesIO()
    if kind == "PNG":
        options["compress_level"] = 1
    if "transparency" in image.info:
        options["transparency"] = image.info["transparency"]
    image.save(file, kind, **options)
    return file.getvalue()


def deep(image: Image.Image) -> bytes:
    """A PNG of 16 bits in colour, which Pillow does not write."""
    bgr = cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR if image.mode == "RGB" else cv2.COLOR_RGBA2BGRA)
    return cv2.imencode(".png", bgr.astype(np.uint16) * 257)[1].tobytes()


def turned(image: Image.Image, kind: str, generator: np.random.Generator) -> bytes:
    """A file whose EXIF data say how it must be turned to be upright; some of them nonsense, which turns nothing."""
    exif = Image.Exif()
    exif[ORIENTATION] = int(generator.choice([*LYING, 1, 0, 9]))
    lying = LYING.get(exif[ORIENTATION])
    return saved(image if lying is None else image.transpose(lying), kind, exif=exif)


def moving(image: Image.Image, kind: str) -> bytes:
    """A file with two frames, of which the first counts."""
    return saved(image, kind, save_all=True, append_images=[image.rotate(180)], duration=100)


Encode = Callable[[Image.Image, Image.Image, np.random.Generator], bytes]
ENCODINGS: dict[str, Encode] = {
    "PNG 1": lambda image, _, __: saved(image.convert("1"), "PNG"),
    "PNG L": lambda image, _, __: saved(image.convert("L"), "PNG"),
    "PNG L, one level transparent": lambda image, _, g: saved(with_transparent(image.convert("L"), g), "PNG"),
    "PNG LA": lambda image, alpha, _: saved(with_alpha(image, alpha, "LA"), "PNG"),
    "PNG P": lambda image, _, g: saved(image.quantize(int(2 ** g.integers(1, 9))), "PNG"),
    "PNG P, one colour transparent": lambda image, _, g: saved(with_transparent(image.quantize(16), g), "PNG"),
    "PNG P, alpha in the palette": lambda image, _, g: saved(image.quantize(8), "PNG", transparency=g.bytes(8)),
    "PNG RGB": lambda image, _, __: saved(image, "PNG"),
    "PNG RGB, one colour transparent": lambda image, _, g: saved(with_transparent(image.copy(), g), "PNG"),
    "PNG RGBA": lambda image, alpha, _: saved(with_alpha(image, alpha), "PNG"),
    "PNG I;16": lambda image, _, __: saved(Image.fromarray(sixteen(image)), "PNG"),
    "PNG RGB, 16 bits": lambda image, _, __: deep(image),
    "PNG RGBA, 16 bits": lambda image, alpha, _: deep(with_alpha(image, alpha)),
    "PNG, EXIF": lambda image, _, g: turned(image, "PNG", g),
    "PNG, odd profile": lambda image, _, __: saved(image, "PNG", icc_profile=JUNK),
    "PNG, two frames": lambda image, _, __: moving(image, "PNG"),
    "JPEG L": lambda image, _, g: saved(image.convert("L"), "JPEG", quality=int(g.integers(1, 100))),
    "JPEG RGB": lambda image, _, g: saved(image, "JPEG", quality=int(g.integers(1, 100)), subsampling=int(g.integers(3))),
    "JPEG CMYK": lambda image, _, __: saved(image.convert("CMYK"), "JPEG"),
    "JPEG, progressive": lambda image, _, __: saved(image, "JPEG", progressive=True, optimize=True),
    "JPEG, EXIF": lambda image, _, g: turned(image, "JPEG", g),
    "JPEG, odd EXIF": lambda image, _, g: saved(image, "JPEG", exif=b"Exif\0\0" + (JUNK if g.random() < 0.5 else b"")),
    "JPEG, odd profile": lambda image, _, __: saved(image, "JPEG", icc_profile=JUNK),
    "WebP RGB": lambda image, _, g: saved(image, "WEBP", quality=int(g.integers(1, 100)), method=0),
    "WebP RGBA": lambda image, alpha, _: saved(with_alpha(image, alpha), "WEBP", method=0),
    "WebP, lossless": lambda image, alpha, _: saved(with_alpha(image, alpha), "WEBP", lossless=True, method=0),
    "WebP, EXIF": lambda image, _, g: turned(image, "WEBP", g),
    "WebP, odd profile": lambda image, _, __: saved(image, "WEBP", icc_profile=JUNK, method=0),
    "WebP, two frames": lambda image, _, __: moving(image, "WEBP"),
}
"""Files that must open, upright and of the picture's size: `encode(rgb, alpha, generator)` gives their bytes."""


def some_file(image: Image.Image, generator: np.random.Generator) -> bytes:
    """A picture in one of the three formats."""
    return saved(image, ("PNG", "JPEG", "WEBP")[generator.integers(3)])


def foreign(image: Image.Image, generator: np.random.Generator) -> bytes:
    """What is no PNG, JPEG or WebP."""
    kinds = ("GIF", "BMP", "TIFF", "PPM", "ICO")
    texts = (b"", b"\n", b"<!DOCTYPE html><html>404</html>", b'{"error": ""}', b"PK\3\4", b"\x89PNG\r\n\x1a\n", b"RIFF")
    if generator.random() < 0.5:
        return saved(image.resize((16, 16)), kinds[generator.integers(len(kinds))])
    return texts[generator.integers(len(texts))]


def cut(image: Image.Image, generator: np.random.Generator) -> bytes:
    """A file whose end is missing."""
    whole = some_file(image, generator)
    return whole[: int(generator.integers(len(whole)))]


def scratched(image: Image.Image, generator: np.random.Generator) -> bytes:
    """A file in which some bytes are other bytes."""
    file = bytearray(some_file(image, generator))
    for place in generator.integers(0, len(file), int(generator.integers(1, 20))):
        file[place] = int(generator.integers(256))
    return bytes(file)


def boastful(_: Image.Image, generator: np.random.Generator) -> bytes:
    """A header that promises more pixels than are read."""
    width, height = (int(side) for side in generator.integers(6000, 2**31 - 1, 2))
    whole = saved(Image.new("L", (1, 1)), "PNG")
    head = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + whole[24:29]
    return whole[:12] + head + zlib.crc32(head).to_bytes(4, "big") + whole[33:]


BROKEN: dict[str, Callable[[Image.Image, np.random.Generator], bytes]] = {
    "cut": cut, "scratched": scratched, "foreign": foreign, "boastful": boastful,
}  # fmt: skip
"""Files that cannot be opened, or perhaps can: `spoil(rgb, generator)` gives their bytes."""


def real(image: Image.Image, generator: np.random.Generator) -> Image.Image:
    """A picture of mode F; some of its pixels are no number, infinite or out of range."""
    values = np.array(image.convert("L"), np.float32)
    odd = generator.random(values.shape) < 0.1 * float(generator.integers(2))
    values[odd] = generator.choice([math.nan, math.inf, -math.inf, -1, 1e30], int(odd.sum()))
    return Image.fromarray(values)


Hand = Callable[[Image.Image, Image.Image, np.random.Generator], Image.Image]
PLAIN = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")
HANDED: dict[str, Hand] = {
    **{mode: lambda image, _, __, mode=mode: image.convert(mode) for mode in PLAIN},
    **{mode: lambda image, alpha, _, mode=mode: with_alpha(image, alpha, mode) for mode in ("LA", "PA", "RGBA")},
    "La": lambda image, alpha, _: with_alpha(image, alpha, "LA").convert("La"),
    "RGBa": lambda image, alpha, _: with_alpha(image, alpha).convert("RGBa"),
    "P, one colour transparent": lambda image, _, g: with_transparent(image.quantize(16), g),
    "RGB, one colour transparent": lambda image, _, g: with_transparent(image.copy(), g),
    "I;16": lambda image, _, __: Image.fromarray(sixteen(image)),
    "I;16B": lambda image, _, __: Image.frombytes("I;16B", image.size, sixteen(image).astype(">u2").tobytes()),
    "I": lambda image, _, __: Image.fromarray(sixteen(image).astype(np.int32)),
    "F": lambda image, _, g: real(image, g),
}
"""Pillow's images that are no files, by mode: `hand(rgb, alpha, generator)`."""

"""Pictures as the clients send them: base64 text, with or without `data:` before it."""

from PIL import Image, ImageFilter

from zeroconv.conditions.raster.resizing import LANCZOS, LINEAR, resize_map
from zeroconv.data_uri import PNG_URI, is_data_uri
from zeroconv.errors import InputError, name_field
from zeroconv.generation.request import ResizeMode
from zeroconv.images import decode, open_image
from zeroconv.picture_files import upright_size

__all__ = ["BLACK_OR_WHITE", "blur_mask", "fill_hole", "fit_picture", "open_mask_text", "picture_size", "read_picture"]

BLACK_OR_WHITE = [0] * 128 + [255] * 128
"""By grey level."""
LONGEST_BLUR = 64  # pixels
REPEATS = 3  # how often a blur is laid over what is wider, so that it hides that
FILL_BLURS = (256, 64, 16, 4, 2)  # pixels, the widest first, so that the finest that reaches a pixel is what is seen


def read_picture(value: object, field: str) -> str:
    """A picture as a `data:` URI.

    Args:
        value: base64 text, or a `data:` URI.
        field: of the request.

    Raises:
        InputError: it is neither; an address of the web or a path is never followed.
    """
    if not isinstance(value, str) or not value:
        raise InputError(f"{field} is {value!r:.40}; expected a picture as base64 text", field=field)
    if any(mark in value for mark in "\n\r\t "):  # base64 is often written in lines
        value = "".join(value.split())
    if is_data_uri(value):
        return value
    if value.startswith(("http://", "https://", "file:")):
        raise InputError(f"{field} is an address; expected a picture as base64 text", field=field)
    return PNG_URI + value


def picture_size(uri: str, field: str) -> tuple[int, int]:
    """Width and height of a picture, by its header alone.

    Raises:
        InputError: it is no picture.
    """
    with name_field(field):
        return upright_size(uri, photo=True)


def fit_picture(uri: str, size: tuple[int, int], mode: ResizeMode, field: str) -> Image.Image:
    """A picture of a size, RGB.

    Raises:
        InputError: it cannot be read.
    """
    with name_field(field):
        return resize_map(open_image(uri), size, LANCZOS, mode)


def open_mask_text(uri: str, size: tuple[int, int], mode: ResizeMode, field: str) -> Image.Image:
    """A mask of a size, 8-bit grey: black or white alone. Where a picture is transparent in parts, its opacity is the mask.

    Raises:
        InputError: it cannot be read.
    """
    with name_field(field):
        image = decode(uri)
        image = image.convert("RGBA") if image.has_transparency_data else image
        if image.mode == "RGBA" and image.getchannel("A").getextrema() != (255, 255):
            image = image.getchannel("A")
        grey = resize_map(image.convert("L").convert("RGB"), size, LINEAR, mode).convert("L")
        return grey.point(BLACK_OR_WHITE)


def blur_mask(mask: Image.Image, across: float, down: float) -> Image.Image:
    """A mask with soft borders.

    Args:
        mask: 8-bit grey.
        across: standard deviation in pixels.
        down: the same.

    Raises:
        InputError: for a negative one, or one that is too large.
    """
    for value in (across, down):
        if not 0 <= value <= LONGEST_BLUR:
            raise InputError(f"mask_blur is {value:g}; expected 0 to {LONGEST_BLUR}", field="mask_blur")
    return mask.filter(ImageFilter.GaussianBlur((across, down)))


def fill_hole(image: Image.Image, mask: Image.Image) -> Image.Image:
    """A picture whose hole has the colours around it, blurred, the nearest ones sharpest.

    Args:
        image: RGB.
        mask: 8-bit grey of the same size, white where the hole is.
    """
    known = image.convert("RGBA")
    known.putalpha(mask.point(lambda level: 255 - level))
    filled = Image.new("RGBA", image.size, "grey")
    for radius in FILL_BLURS:
        premultiplied = known.convert("RGBa")  # so that what is in the hole adds nothing
        spread = premultiplied.filter(ImageFilter.GaussianBlur(radius)).convert("RGBA")
        for _ in range(REPEATS):
            filled.alpha_composite(spread)
    return Image.composite(filled.convert("RGB"), image, mask)

"""The picture and the mask that image-to-image starts from, and the part around the mask alone where that is asked for."""

import io
from dataclasses import dataclass
from typing import Any

from PIL import Image

from zeroconv.conditions.raster.resizing import inner_size
from zeroconv.data_uri import encode_png
from zeroconv.errors import InputError, name_field
from zeroconv.generation.request import ResizeMode
from zeroconv.images import fit, open_image
from zeroconv.picture_files import open_lazily
from zeroconv.web.compatible.automatic1111.bodies import ImageToImageBody
from zeroconv.web.compatible.automatic1111.pictures import (
    BLACK_OR_WHITE,
    blur_mask,
    fill_hole,
    fit_picture,
    open_mask_text,
    read_picture,
)

__all__ = ["Region", "Start", "picture_text", "read_start"]

RESIZE_MODES: tuple[ResizeMode, ...] = ("stretch", "crop", "fill")
FILL, ORIGINAL = 0, 1


@dataclass(frozen=True)
class Region:
    """A part of a picture that is made anew, larger, and laid over it.

    Attributes:
        picture: all of it, RGB.
        mask: where it is painted anew, 8-bit grey of its size.
        box: left, top, right, bottom of the part in pixels.
    """

    picture: Image.Image
    mask: Image.Image
    box: tuple[int, int, int, int]

    def cut(self, size: tuple[int, int]) -> tuple[Image.Image, Image.Image]:
        """The part of the picture and of the mask, at a size."""
        return fit(self.picture.crop(self.box), size), fit(self.mask.crop(self.box), size)

    def lay_over(self, content: bytes) -> bytes:
        """The whole picture with the part that was made, as PNG with the text of the part.

        Args:
            content: of the part, a PNG.
        """
        made = Image.open(io.BytesIO(content))
        text = made.info.get("parameters", "")
        left, top, right, bottom = self.box
        painted = self.picture.copy()
        painted.paste(made.convert("RGB").resize((right - left, bottom - top), Image.Resampling.LANCZOS), (left, top))
        return png_with_text(Image.composite(painted, self.picture, self.mask), text)


@dataclass(frozen=True)
class Start:
    """What a request starts from.

    Attributes:
        fields: of the `GenerationRequest`: `init_image`, `strength` and perhaps `mask_image`.
        hole: the mask of the pictures' size before it was blurred; None where there is none.
        region: where the result belongs, if it is a part.
    """

    fields: dict[str, Any]
    hole: Image.Image | None = None
    region: Region | None = None


def read_start(body: ImageToImageBody, size: tuple[int, int]) -> Start:
    """What a request starts from.

    Args:
        body: of `img2img`.
        size: of the pictures that are made.

    Raises:
        InputError: for a picture or a mask that cannot be used.
    """
    if not body.init_images or len(body.init_images) != 1:
        said = f"init_images has {len(body.init_images or ())} pictures; expected one"
        raise InputError(said, field="init_images")
    if body.resize_mode >= len(RESIZE_MODES):
        raise InputError(
            "resize_mode is 3, which is not available here; expected 0 (stretch), 1 (cut) or 2 (fill up)", field="resize_mode"
        )
    mode, uri = RESIZE_MODES[body.resize_mode], read_picture(body.init_images[0], "init_images.0")
    strength = {"strength": 0.75 if body.denoising_strength is None else body.denoising_strength}
    if not body.mask:
        return Start({**strength, "init_image": encode_png(fit_picture(uri, size, mode, "init_images.0"))})
    if body.inpainting_fill not in (FILL, ORIGINAL):
        said = f"inpainting_fill is {body.inpainting_fill}, which is not available here; expected 0 (the colours around) or 1"
        raise InputError(said, field="inpainting_fill")
    across, down = (body.mask_blur_x, body.mask_blur_y) if body.mask_blur is None else (body.mask_blur, body.mask_blur)
    mask_uri, region = read_picture(body.mask, "mask"), None
    if body.inpaint_full_res:
        with name_field("init_images.0"):
            picture = open_image(uri)
        hole = invert(open_mask_text(mask_uri, picture.size, "stretch", "mask"), body)
        region = Region(picture, blur_mask(hole, across, down), around(hole, size, body.inpaint_full_res_padding or 0))
        image, mask = region.cut(size)
        hole = fit(hole.crop(region.box), size).point(BLACK_OR_WHITE)
    else:
        image = fit_picture(uri, size, mode, "init_images.0")
        hole = invert(open_mask_text(mask_uri, size, mode, "mask"), body)
        mask = blur_mask(hole, across, down)
    image = fill_hole(image, hole) if body.inpainting_fill == FILL else image
    return Start({**strength, "init_image": encode_png(image), "mask_image": encode_png(mask)}, hole, region)


def invert(mask: Image.Image, body: ImageToImageBody) -> Image.Image:
    """A mask as it is meant.

    Raises:
        InputError: nothing is white in it.
    """
    mask = mask.point(lambda level: 255 - level) if body.inpainting_mask_invert else mask
    if mask.getbbox() is None:
        raise InputError("mask has no white pixel: nothing is painted anew", field="mask")
    return mask


def around(mask: Image.Image, size: tuple[int, int], padding: int) -> tuple[int, int, int, int]:
    """The box around what is white in a mask, of the shape of `size` as far as the mask is large enough.

    Args:
        mask: 8-bit grey with white pixels.
        size: width and height of the shape.
        padding: pixels around it.
    """
    box = mask.getbbox()
    assert box is not None, "something is white in it"
    width, height = box[2] - box[0] + 2 * padding, box[3] - box[1] + 2 * padding
    shape = size[0] / size[1]
    wide = max(width, round(height * shape))
    high = max(height, round(wide / shape))
    if wide > mask.width or high > mask.height:
        wide, high = inner_size(size, mask.size)
        wide, high = max(wide, min(width, mask.width)), max(high, min(height, mask.height))
    left = min(max(0, (box[0] + box[2] - wide) // 2), mask.width - wide)
    top = min(max(0, (box[1] + box[3] - high) // 2), mask.height - high)
    return left, top, left + wide, top + high


def png_with_text(image: Image.Image, text: str) -> bytes:
    """A picture as PNG with the text that tools read."""
    from PIL.PngImagePlugin import PngInfo

    buffer, chunks = io.BytesIO(), PngInfo()
    chunks.add_text("parameters", text)
    image.save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def picture_text(uri: str, field: str) -> dict[str, str]:
    """The texts in a picture, read from its header.

    Args:
        uri: of the picture.
        field: of the request.

    Raises:
        InputError: it is no picture.
    """
    with name_field(field), open_lazily(uri) as image:
        return {str(name): value for name, value in image.info.items() if isinstance(value, str)}

"""Images in and out: files and their PNG text, Pillow images (RGB, or RGBA with a hole), tensors (3, H, W) in [0, 1]."""

import json
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from zeroconv.checkpoints.files.atomic import replacing
from zeroconv.data_uri import picture_name
from zeroconv.messages import Message, tell
from zeroconv.picture_files import MAX_PIXELS as MAX_PIXELS
from zeroconv.picture_files import PictureSource as PictureSource
from zeroconv.picture_files import open_lazily, photo_scale

if TYPE_CHECKING:
    from torch import Tensor

OPAQUE = 128  # from this alpha on a pixel is kept; below it is part of the hole
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def open_image(path: PictureSource) -> Image.Image:
    """Open a picture as upright 8-bit RGB; transparent parts become white.

    Args:
        path: a PNG, JPEG or WebP file, a part of another file that is one, or a `data:` URI that holds one. 16-bit, grey,
            palette and CMYK are converted. A photograph of more than 32 megapixels is halved until it has no more.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not a PNG, JPEG or WebP, damaged, or too large; the message is one line and names the file.
    """
    return flatten(decode(path, photo=True), WHITE)


def open_map(path: PictureSource) -> Image.Image:
    """Open a condition map like `open_image`, but transparent parts become black, which means "nothing here".

    Black strokes on transparent paper would vanish so, and are told.
    """
    decoded = decode(path)
    image = flatten(decoded, BLACK)
    if image.getbbox() is None and decoded.has_transparency_data and has_shape(decoded.convert("RGBA").getchannel("A")):
        said = "black strokes on transparent paper are read as nothing: expected white on black"
        tell(Message(f"{picture_name(path)}: {said}", "map.transparent"))
    return image


def has_shape(channel: Image.Image) -> bool:
    """Whether a channel is not the same everywhere."""
    values = np.asarray(channel)
    return bool(values.min() < values.max())


def open_with_mask(path: PictureSource) -> Image.Image:
    """Open a picture with a hole as upright RGBA: what is transparent is the hole; errors as `open_image`.

    Raises:
        ValueError: also when nothing in it is transparent.
    """
    image, path = decode(path), picture_name(path)
    if not image.has_transparency_data:
        raise ValueError(f"{path} has no transparency; expected a picture whose transparent pixels are the hole to fill")
    image = image.convert("RGBA")
    if np.array(image.getchannel("A")).min() >= OPAQUE:
        raise ValueError(f"{path} has no transparent pixel; expected a picture whose transparent pixels are the hole to fill")
    return image


def image_size(path: PictureSource) -> tuple[int, int]:
    """Width and height in pixels from the header alone (as stored, before EXIF rotation); errors as `open_image`."""
    with open_lazily(path, photo=True) as image:
        return image.size


def check_pixels(image: Image.Image) -> None:
    """Raise a ValueError for a picture or map without pixels, and for what is no Pillow image."""
    given = cast("object", image)  # whatever the annotation says, people try
    if not isinstance(given, Image.Image):
        hint = "open_image(path)" if isinstance(given, str | os.PathLike) else "Image.fromarray(array)"
        raise ValueError(f"expected a Pillow image, got a {type(given).__name__}: {hint} makes one")
    if 0 in image.size:
        raise ValueError(f"the picture is {image.width} x {image.height} pixels; expected at least 1 x 1")


def to_8bit(image: Image.Image) -> Image.Image:
    """A Pillow image of any mode in 8 bits: RGBA where it has transparency, RGB otherwise.

    Modes of integers are 16-bit grey and are scaled, as those of files; mode F is clipped to 0 … 255, as Pillow does.

    Raises:
        ValueError: when it has no pixels.
    """
    check_pixels(image)
    if image.mode.startswith("I"):  # Pillow's own conversion clips at 255 instead of scaling
        wide: NDArray[Any] = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide.clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode == "La":  # has no way straight to RGBA
        image = image.convert("LA")
    return image.convert("RGBA") if image.has_transparency_data else as_rgb(image)


def as_rgb(image: Image.Image) -> Image.Image:
    """A Pillow image in mode RGB: itself, not a copy, if it has that mode."""
    return image if image.mode == "RGB" else image.convert("RGB")


def to_tensor(image: Image.Image) -> "Tensor":
    """Convert a Pillow image to a float32 tensor (3, H, W) in [0, 1]."""
    import torch

    pixels = np.array(image.convert("RGB"))  # (H, W, 3), a copy torch may own
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div_(255)


def to_masked_tensor(image: Image.Image) -> "Tensor":
    """Like `to_tensor`, but -1 where an RGBA image is transparent (alpha below one half): the maps of inpainting.

    Raises:
        ValueError: when the image has no transparency.
    """
    import torch

    if image.mode != "RGBA":
        raise ValueError(f"an inpainting map is of mode {image.mode}; expected RGBA, its transparent pixels the hole to fill")
    opaque = torch.from_numpy(np.array(image.getchannel("A")) >= OPAQUE)
    return torch.where(opaque, to_tensor(image), -1.0)


def to_image(tensor: "Tensor") -> Image.Image:
    """Convert a tensor (3, H, W) or (1, 3, H, W) in [0, 1] to an RGB image; values outside are clipped.

    Raises:
        ValueError: another shape, or a value that is not finite.
    """
    shape = tuple(tensor.shape)
    if len(shape) == 4 and shape[0] == 1:
        tensor = tensor[0]
    if tensor.ndim != 3 or tensor.shape[0] != 3:
        raise ValueError(f"expected an image tensor (3, H, W), got {shape}")
    tensor = tensor.detach().to("cpu").float()
    if not bool(tensor.isfinite().all()):
        raise ValueError("the image tensor holds values that are not finite (NaN or infinity)")
    pixels = tensor.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(pixels)


def to_images(tensor: "Tensor") -> list[Image.Image]:
    """Convert a batch (B, 3, H, W) in [0, 1] to a list of B RGB images; errors as `to_image`."""
    if tensor.ndim != 4:
        raise ValueError(f"expected a batch of images (B, 3, H, W), got {tuple(tensor.shape)}")
    return [to_image(one) for one in tensor]


def normalize(tensor: "Tensor") -> "Tensor":
    """Map [0, 1] to [-1, 1], the range of the autoencoder."""
    return tensor * 2 - 1


def resize(image: Image.Image, size: tuple[int, int], nearest: bool = False) -> Image.Image:
    """Resize to (width, height), ignoring the aspect ratio.

    `nearest` keeps colours that mean something, as in a segmentation map, exact; otherwise Lanczos.
    """
    if min(size) < 1:
        raise ValueError(f"expected a size of at least 1 x 1 pixels, got {size[0]} x {size[1]}")
    if image.size == size:
        return image.copy()
    return image.resize(size, Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS)


def fit(image: Image.Image, size: int | tuple[int, int]) -> Image.Image:
    """Cut the largest centred part with the right aspect ratio and resize it to a square or a (width, height) box."""
    box = (size, size) if isinstance(size, int) else size
    if min(box) < 1:
        raise ValueError(f"expected a size of at least 1 x 1 pixels, got {box[0]} x {box[1]}")
    if image.size == box:
        return image.copy()
    return ImageOps.fit(image, box, method=Image.Resampling.LANCZOS, centering=(0.5, 0.5))


def write_png(
    image: Image.Image,
    path: str | os.PathLike[str],
    parameters: str | None = None,
    settings: dict[str, Any] | None = None,
) -> Path:
    """Write a PNG whole or not at all: a temporary file beside it is renamed at the end.

    Args:
        image: the picture.
        path: where to; missing folders are made.
        parameters: text for the chunk "parameters", which other image tools read.
        settings: everything needed to make the picture again, kept as JSON in the chunk "zeroconv".

    Returns:
        The path written.

    Raises:
        OSError: the folder or file cannot be written; one line that names it.
    """
    path = Path(path)
    text = PngInfo()
    if parameters is not None:
        text.add_text("parameters", parameters)
    if settings is not None:
        text.add_text("zeroconv", json.dumps(settings, ensure_ascii=True, allow_nan=False))
    with replacing(path) as part:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(part, format="PNG", pnginfo=text)
    return path


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read back the `settings` that `write_png` stored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: not an image, or no readable settings in it.
    """
    path = Path(path)
    text = decode(path).info.get("zeroconv")
    if not isinstance(text, str):
        raise ValueError(f"{path} carries no zeroconv settings; only pictures made by zeroconv do")
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(f"the zeroconv settings in {path} are damaged")
    return cast(dict[str, Any], settings)


def decode(path: PictureSource, photo: bool = False) -> Image.Image:
    """Decode fully and turn upright, in whatever mode the file has; a photo of too many pixels is halved."""
    image, path = open_lazily(path, photo), picture_name(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scale = photo_scale(image.size)
            if scale > 1:  # JPEG: its decoder leaves out the high frequencies
                image.draft(None, (image.width // scale, image.height // scale))
            image.load()
            info = dict(image.info)
            upright = ImageOps.exif_transpose(image)
            if (rest := photo_scale(upright.size)) > 1:
                upright = flatten(upright, WHITE).reduce(rest)
            upright.info = info | upright.info
            return upright
    except Exception as error:  # as above, now for damaged pixel data
        raise ValueError(f"{path} is damaged or cut short and cannot be decoded") from error
    finally:
        image.close()


def flatten(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    """Any mode to RGB, with transparency laid on the background colour."""
    image = to_8bit(image)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), image)
    return as_rgb(image)

"""Aspect buckets: pictures of any size, each reduced and cut to the bucket of its shape, and its map with it."""

from dataclasses import dataclass
from math import floor, log

from PIL import Image, ImageOps

from zeroconv.conditions import Condition
from zeroconv.conditions.raster.resizing import LANCZOS, Resizing
from zeroconv.errors import InputError
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["Size", "View", "bucket_sizes", "bucket_step", "choose_bucket", "fit_bucket"]

Size = tuple[int, int]
WIDEST = 2.0  # width over height of the widest bucket; the highest is as narrow


def bucket_sizes(side: int, step: int) -> list[Size]:
    """Widths and heights in pixels, multiples of `step`, of shapes from 1 : 2 to 2 : 1, of at most the area of a square.

    For each width the largest such height, and for each height the largest such width; the square itself is among them.

    Args:
        side: of the square, in pixels.
        step: of widths and heights, in pixels.

    Raises:
        InputError: when the square is smaller than a step.
    """
    if side < step:
        raise InputError(f"resolution is {side}; expected {step} pixels or more for this base", field="data.resolution")
    side = side // step * step
    found: set[Size] = set()
    for width in range(step, floor(side * WIDEST) + 1, step):
        height = side * side // width // step * step
        if height and max(width, height) <= WIDEST * min(width, height):
            found |= {(width, height), (height, width)}
    return sorted(found)


def bucket_step(base: StableDiffusion, side: int) -> int:
    """The pixels of which all sides of buckets are multiples: what autoencoder and U-Net take, smaller for a small side.

    Args:
        base: the base.
        side: of the square, in pixels.
    """
    factor = base.vae_scale_factor
    whole = factor * 2 ** (len(base.unet.config.block_out_channels) - 1)  # what the U-Net halves without a rest
    return max(factor, min(whole, side // 8 // factor * factor))


def choose_bucket(size: Size, buckets: list[Size]) -> Size:
    """The bucket whose shape is nearest to a picture's, in the ratio of width to height; of equal ones the largest."""

    def distance(bucket: Size) -> tuple[float, int]:
        return round(abs(log(size[0] / size[1] * bucket[1] / bucket[0])), 9), -bucket[0] * bucket[1]

    return min(buckets, key=distance)


@dataclass(frozen=True)
class View:
    """The part of a picture that is learnt from: reduced until it just covers its bucket, cut, and perhaps mirrored.

    Attributes:
        picture: width and height in pixels of the picture as it is.
        bucket: of the part.
        left: pixels of the reduced picture that are cut off to its left.
        top: those above.
        mirrored: whether left and right are exchanged after the cut.
    """

    picture: Size
    bucket: Size
    left: int
    top: int
    mirrored: bool = False

    @property
    def scale(self) -> float:
        """By how much the picture is reduced: 1 for not at all, more than 1 where it is too small and would be enlarged."""
        return max(self.bucket[0] / self.picture[0], self.bucket[1] / self.picture[1])

    @property
    def slack(self) -> Size:
        """How many pixels of the reduced picture can be cut off to the left, and above."""
        (width, height), (w, h) = self.picture, self.bucket
        return max(0, floor(width * self.scale + 1e-6) - w), max(0, floor(height * self.scale + 1e-6) - h)

    def of_picture(self, image: Image.Image) -> Image.Image:
        """The part of the picture, RGB."""
        part = self.cut(image, LANCZOS)
        return ImageOps.mirror(part) if self.mirrored else part

    def of_map(self, image: Image.Image, condition: Condition) -> Image.Image:
        """The same part of its map, brought to the size by the condition's own rule, mirrored as its contract has it."""
        part = self.cut(image, condition.resizing)
        return condition.mirror(part) if self.mirrored else part

    def cut(self, image: Image.Image, resizing: Resizing) -> Image.Image:
        """The part, at the bucket's size; where nothing is reduced its pixels stay what they are."""
        if self.scale == 1:
            return image.crop((self.left, self.top, self.left + self.bucket[0], self.top + self.bucket[1]))
        (width, height), (w, h), scale = self.picture, self.bucket, self.scale
        box = self.left / scale, self.top / scale, (self.left + w) / scale, (self.top + h) / scale
        return resizing.resample(image, self.bucket, (box[0], box[1], min(box[2], width), min(box[3], height)))

    def time_ids(self) -> tuple[int, ...]:
        """What SDXL is told of it: height and width of the picture, what is cut off above and left, height and width."""
        left = self.slack[0] - self.left if self.mirrored else self.left
        return (self.picture[1], self.picture[0], self.top, left, self.bucket[1], self.bucket[0])


def fit_bucket(name: str, size: Size, buckets: list[Size]) -> Size:
    """The bucket of a pair's picture.

    Args:
        name: of the pair.
        size: of its picture.
        buckets: all there are.

    Raises:
        InputError: for a picture that is smaller than its bucket.
    """
    bucket = choose_bucket(size, buckets)
    if View(size, bucket, 0, 0).scale > 1:
        (width, height), (w, h) = size, bucket
        raise InputError(
            f"pair {name!r} is {width}x{height}, smaller than its bucket of {w}x{h}",
            hint="give a larger picture, or a smaller `resolution`",
        )
    return bucket

"""Pictures and maps of other sizes brought together, and said: a score depends on the size it is taken at."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions import Condition
from zeroconv.conditions.raster.resizing import LANCZOS, Size, check_size, resize_map
from zeroconv.errors import InputError
from zeroconv.evaluation.folders.picture_folder import PictureFolder

__all__ = ["Sizes", "common_size"]


@dataclass
class Sizes:
    """How pictures and maps are brought to one size, and what was.

    Attributes:
        size: width and height that all are brought to, cut to its shape; None is the pictures' own.
        mode: how what has another shape is fitted: "crop", "stretch" or "fill"; None refuses it.
        changed: how many were resized, by what they are and from where to where.
    """

    size: Size | None = None
    mode: str | None = None
    changed: Counter[tuple[str, Size, Size]] = field(default_factory=Counter[tuple[str, Size, Size]])

    def __post_init__(self) -> None:
        check_size(self.size or (1, 1), self.mode or "crop")

    def fit_picture(self, image: Image.Image, what: str, size: Size) -> Image.Image:
        """A picture at the size that all are judged at.

        Args:
            image: the picture.
            what: it is called in what is said.
            size: of all.

        Raises:
            InputError: for one of another shape, if nothing says how it is fitted.
        """
        return image if image.size == size else resize_map(image, size, LANCZOS, self.choose_mode(what, image.size, size))

    def fit_map(self, image: Image.Image, known: Condition, size: Size) -> Image.Image:
        """A map at the size of its picture, as its condition is resized; errors as `fit_picture`."""
        own = known.picture_size(image)
        if own == size:
            return image
        return conditions.fit_map(image, size, known.name, self.choose_mode("maps", own, size))

    def choose_mode(self, what: str, size: Size, target: Size) -> str:
        """How something is fitted, which is counted.

        Raises:
            InputError: when it has another shape and nothing says how.
        """
        same_shape = abs(size[0] * target[1] - size[1] * target[0]) <= max(*size, *target)  # but for rounding
        mode = self.mode or ("crop" if self.size is not None else "stretch" if same_shape else None)
        if mode is None:
            found = f"{what} of {size[0]}x{size[1]} go with pictures of {target[0]}x{target[1]}, which have another shape"
            raise InputError(found, field="resize", hint="say with --resize crop, stretch or fill how they were fitted")
        self.changed[what, size, target] += 1
        return mode

    def lines(self) -> list[str]:
        """What was resized, for people."""
        return [
            f"{count} {what if count > 1 else what.removesuffix('s')} resized from {w}x{h} to {width}x{height} before judging"
            for (what, (w, h), (width, height)), count in self.changed.items()
        ]


def common_size(folders: Mapping[str, PictureFolder]) -> Size:
    """The one size of all pictures, from their headers.

    Raises:
        InputError: when they differ, naming two.
    """
    files = [(folder, stem) for folder in folders.values() for stem in folder.files]
    folder, stem = files[0]
    first, (w, h) = folder.files[stem], folder.size_of(stem)
    for folder, stem in files:
        width, height = folder.size_of(stem)
        if (width, height) != (w, h):
            raise InputError(
                f"{folder.files[stem]} is {width}x{height} and {first} {w}x{h}: scores of mixed sizes do not compare",
                field="size",
                hint=f"bring all to one with --size, such as {w}x{h}",
            )
    return w, h

"""One control of a request, opened: a ControlNet, its map, and how, where and when it acts."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.control import ControlNet, StepWindow
from zeroconv.control.weighting import check_scale
from zeroconv.errors import InputError
from zeroconv.generation.request import ControlRequest
from zeroconv.images import to_tensor

__all__ = ["Control"]


@dataclass(frozen=True)
class Control:
    """A ControlNet with its condition map.

    Attributes:
        network: the ControlNet.
        image: the condition map, RGB, of the size of the pictures; or one map for each picture. For inpainting it is
            RGBA, transparent where the hole is.
        scale: strength; 1 as trained, 0 off (then the network is not run).
        start: share of the steps after which it begins to act, 0 … 1.
        end: share of the steps after which it stops, 0 … 1.
        mask: where it acts: a grey picture of the map's size, white = fully, black = not; None is everywhere.
        layers: a further weight for each connection, shallow to deep, the middle's last; None is 1 everywhere.

    Raises:
        InputError: for a scale or layer weight that is not finite, or an empty or reversed step window.
    """

    network: ControlNet
    image: Image.Image | Sequence[Image.Image]
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Image.Image | None = None
    layers: Sequence[float] | NDArray[Any] | Tensor | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        check_scale(self.scale)
        for weight in () if self.layers is None else self.layers:
            if not math.isfinite(weight):
                raise InputError(f"a layer weight is {weight}; expected a finite number", field="layers")
        StepWindow(self.start, self.end)

    @property
    def window(self) -> StepWindow:
        """The steps in which it acts."""
        return StepWindow(self.start, self.end)

    def tensor_of(self, picture: int) -> Tensor:
        """The map of picture `picture` as the network reads it: (3, H, W) in [0, 1], and -1 in the hole of inpainting.

        Raises:
            ValueError: when there is no such map, or an inpainting map has no hole.
        """
        image = self.condition_map(picture)
        known = conditions.find(self.network.config.condition)
        return known.to_tensor(image) if known else to_tensor(image)

    def condition_map(self, picture: int) -> Image.Image:
        """The map of picture `picture`.

        Raises:
            InputError: when there are fewer maps than pictures.
        """
        if isinstance(self.image, Image.Image):
            return self.image
        if picture >= len(self.image):
            message = f"a control has {len(self.image)} maps, picture {picture + 1} needs one"
            raise InputError(message, field="condition", hint="give one map, or one each")
        return self.image[picture]

    def describe(self, picture: int, embed: Callable[[Image.Image, str], str]) -> ControlRequest:
        """The request that makes this control again for one picture.

        Args:
            picture: which.
            embed: `embed(image, mode)` gives a picture, in a Pillow mode, as text that holds it.
        """
        known = conditions.find(self.network.config.condition)
        return ControlRequest(
            network=self.network.name,
            condition=embed(self.condition_map(picture), known.contract.mode if known else "RGB"),
            mask=embed(self.mask, "L") if self.mask else None,
            scale=self.scale,
            start=self.start,
            end=self.end,
            layers=None if self.layers is None else tuple(float(weight) for weight in self.layers),
        )

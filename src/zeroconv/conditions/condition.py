"""What a condition is: the contract of its map, how it is extracted, how obedience is measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from zeroconv.images import check_pixels

__all__ = [
    "FLAT",
    "GREY",
    "Condition",
    "Contract",
    "Halves",
    "check_flat",
    "check_lines",
    "check_sizes",
    "check_soft_lines",
    "colourful",
    "share_of",
]

Extract = Callable[..., Image.Image]
Fidelity = Callable[..., float]
Measures = Callable[..., Mapping[str, float]]
DrawParameters = Callable[..., Mapping[str, Any]]
GREY = "red = green = blue"


@dataclass(frozen=True)
class Contract:
    """What a map must look like; it always has its picture's size.

    Attributes:
        summary: one sentence, which is also the contract as text.
        mode: Pillow's.
        values: of a channel.
        polarity: what is bright, where that means something.
        palette: the colours that occur, where they mean something.
        channels: what each of them means.
        suits: published ControlNets that read such maps, as "owner/name" on the hub.
    """

    summary: str
    mode: Literal["RGB", "RGBA"] = "RGB"
    values: Literal["0 or 255", "0 … 255"] = "0 … 255"
    polarity: str = ""
    palette: str = ""
    channels: str = "red, green, blue"
    suits: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The summary."""
        return self.summary


@dataclass(frozen=True)
class Halves:
    """An extractor with a network in two halves, so that the network sees many pictures at once.

    Each takes, by name, those of the extractor's parameters that it needs.

    Attributes:
        look: `look(images, …)`: what was found in each picture.
        draw: `draw(image, found, …)`: its map.
    """

    look: Callable[..., Sequence[Any]]
    draw: Extract


@dataclass(frozen=True)
class Condition:
    """One kind of condition (section 4 of the paper).

    Attributes:
        name: as users write it.
        summary: half a line for help texts.
        contract: what a map must look like.
        extract: `extract(image, **parameters)` gives the map.
        fidelity: `fidelity(generated, condition, **judge)` in [0, 1], higher obeys better. A judge that is a network
            takes the extractor's `method`, `weights` and `device`.
        measure: the fidelity's name.
        draw_parameters: extractor parameters for one training visit: `draw_parameters(generator, …)`, with those
            given parameters that it names, on which its draws depend, and `size` (of the picture) if it names that.
        check: `check(condition)` lists what looks wrong about a map.
        of_any_picture: whether the extractor's defaults serve any picture; False where the default method is the
            embedded annotator, which knows the tiny world alone: training asks for ready maps or a method there.
        halves: of `extract`, where it has a network.
        measures: as `fidelity`, but all that is measured, by name; the fidelity is the first.
    """

    name: str
    summary: str
    contract: Contract
    extract: Extract
    fidelity: Fidelity
    measure: str
    draw_parameters: DrawParameters | None = None
    check: Callable[[Image.Image], list[str]] = lambda _: []
    of_any_picture: bool = True
    halves: Halves | None = None
    measures: Measures | None = None

    def judge(self, generated: Image.Image, condition: Image.Image, **judge: Any) -> dict[str, float]:
        """All that is measured of a picture and its map, by name, the fidelity first; errors as `fidelity`."""
        if self.measures is not None:
            return dict(self.measures(generated, condition, **judge))
        return {self.measure: self.fidelity(generated, condition, **judge)}


def check_sizes(image: Image.Image, condition: Image.Image) -> None:
    """Raise a ValueError unless a picture and its map have the same size and some pixels."""
    check_pixels(image)
    if image.size != condition.size:
        raise ValueError(f"the picture is {image.size}, its map {condition.size}; expected the same size")


def share_of(image: Image.Image, test: Callable[[np.ndarray], np.ndarray]) -> float:
    """The share of pixels (H, W, 3), uint8, for which `test` says yes."""
    check_pixels(image)
    return float(np.mean(test(np.asarray(image.convert("RGB")))))


def colourful(image: Image.Image) -> float:
    """The share of pixels that are not grey: channels more than 24 levels apart."""
    return share_of(image, lambda rgb: rgb.max(axis=2).astype(int) - rgb.min(axis=2) > 24)


def check_soft_lines(image: Image.Image) -> list[str]:
    """Warnings for a map of lines in grey levels, white on black: polarity, emptiness, colour."""
    white = share_of(image, lambda rgb: rgb.min(axis=2) > 127)
    if white > 0.6:
        return [f"this map looks inverted: {white:.0%} white, expected white lines on black"]
    if share_of(image, lambda rgb: rgb.max(axis=2) > 0) == 0:
        return ["this map is empty: no white line on it, so it controls nothing"]
    colour = colourful(image)
    return [f"this map has colours ({colour:.0%} of it), expected white lines on black"] if colour > 0.05 else []


def check_lines(image: Image.Image) -> list[str]:
    """Warnings for a map of pure white lines on black: as `check_soft_lines`, and grey levels."""
    found = check_soft_lines(image)
    grey = share_of(image, lambda rgb: (rgb.max(axis=2) >= 64) & (rgb.max(axis=2) < 192))
    lit = share_of(image, lambda rgb: rgb.max(axis=2) >= 64)
    if not found and grey > 0.5 * lit:
        return [f"{grey / lit:.0%} of this map's lines are grey (soft edges, or resized?), expected pure white on black"]
    return found


FLAT = 2.0  # grey levels of standard deviation


def check_flat(condition: Image.Image) -> list[str]:
    """Warnings for a map that is a picture: one colour all over."""
    check_pixels(condition)
    spread = np.asarray(condition.convert("RGB"), np.float32).std(axis=(0, 1)).max()
    return ["this map has one colour all over, so it controls hardly anything"] if spread < FLAT else []

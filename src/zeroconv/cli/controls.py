"""`--control NAME[:scale[:start-end]]` and the pictures that belong to it."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from zeroconv.cli.console import say

if TYPE_CHECKING:
    from PIL import Image

    from zeroconv.control import ControlNet
    from zeroconv.generation import Control
    from zeroconv.stable_diffusion import StableDiffusion

__all__ = [
    "MODES",
    "Request",
    "Source",
    "build_controls",
    "condition_of",
    "parse_control",
    "parse_mode",
    "parse_requests",
    "parse_size",
]

MODES = ("crop", "stretch", "fill")  # those of `fit_map`, named here so that reading the words loads nothing
PATTERN = re.compile(r"(?P<name>.+?)(?::(?P<scale>[^:]+)(?::(?P<start>[\d.]+)-(?P<end>[\d.]+))?)?")


@dataclass(frozen=True)
class Source:
    """A picture that steers a control.

    Attributes:
        path: the file.
        ready: whether it is a condition map already, or a picture to extract one from.
    """

    path: Path
    ready: bool


@dataclass(frozen=True)
class Request:
    """One control as it was asked for; nothing is opened yet.

    Attributes:
        name: of the ControlNet.
        numbers: scale, start and end as far as they were given.
        source: its picture or map.
        mask: where it acts; None is everywhere.
    """

    name: str
    numbers: dict[str, float]
    source: Source
    mask: Path | None


def parse_control(text: str) -> tuple[str, dict[str, float]]:
    """Name, and scale, start and end as far as they are given.

    Raises:
        typer.BadParameter: when it cannot be read.
    """
    if Path(text).exists():
        return text, {}
    found = PATTERN.fullmatch(text)
    try:
        assert found is not None, "every text but the empty one matches"
        parts = found.groupdict()
        assert not re.search(r":[\d.-]+$", parts["name"]), "a number too many"
        return parts.pop("name"), {key: float(value) for key, value in parts.items() if value is not None}
    except (AssertionError, ValueError):
        raise typer.BadParameter(f"got {text!r}; expected NAME, NAME:SCALE or NAME:SCALE:START-END") from None


def parse_size(text: str) -> tuple[int, int]:
    """Width and height from "512" or "512x768".

    Raises:
        typer.BadParameter: when it cannot be read.
    """
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) for part in parts):
        raise typer.BadParameter(f"got size {text!r}; expected PIXELS or WIDTHxHEIGHT, such as 512x768")
    return int(parts[0]), int(parts[-1])


def parse_mode(text: str | None) -> str | None:
    """How maps are fitted, as it was given.

    Raises:
        typer.BadParameter: for an unknown mode.
    """
    if text not in (None, *MODES):
        raise typer.BadParameter(f"got the resize mode {text!r}; expected one of {', '.join(MODES)}")
    return text


def parse_requests(controls: Sequence[str], sources: Sequence[Source], masks: Sequence[Path]) -> list[Request]:
    """Each control with its own picture or map, or with one picture that all share; masks likewise.

    Raises:
        typer.BadParameter: when they cannot be paired, or a control cannot be read.
    """
    count = len(controls)
    shared = len(sources) == 1 and not sources[0].ready
    if len(sources) != count and not (count and shared):
        raise typer.BadParameter(
            f"got {count} --control and {len(sources)} --image or --condition; each control needs its own, in order"
        )
    if masks and len(masks) not in (1, count):
        raise typer.BadParameter(f"got {len(masks)} --mask for {count} --control; give one, or one each")
    return [
        Request(*parse_control(control), sources[i % len(sources)], masks[i % len(masks)] if masks else None)
        for i, control in enumerate(controls)
    ]


def condition_of(network: "ControlNet") -> str | None:
    """The condition a ControlNet was trained for, if it says so."""
    return network.config.condition


def build_controls(
    requests: Sequence[Request], base: "StableDiffusion", size: tuple[int, int], resize: str | None
) -> "list[Control]":
    """Open every ControlNet, make its map and say what is odd about it.

    Args:
        requests: the controls.
        base: the base.
        size: of the pictures, width and height.
        resize: how pictures, maps and masks of another size are fitted: "crop", "stretch" or "fill". None cuts pictures
            and refuses maps and masks.

    Raises:
        ValueError: for a map of another size, a base that does not fit, a name that is not known.
    """
    from zeroconv.control import ControlNet
    from zeroconv.generation import Control
    from zeroconv.images import open_map

    opened: dict[str, ControlNet] = {}
    controls: list[Control] = []
    for request in requests:
        if request.name not in opened:
            opened[request.name] = ControlNet.from_pretrained(request.name, unet=base.unet)
            opened[request.name].check_base(base.unet)
        network = opened[request.name]
        mask = load(request.mask, size, resize, "mask", open_map).convert("L") if request.mask else None
        image, numbers = map_of(network, request, size, resize), request.numbers
        controls.append(
            Control(network, image, numbers.get("scale", 1.0), numbers.get("start", 0.0), numbers.get("end", 1.0), mask)
        )
    return controls


def map_of(network: "ControlNet", request: Request, size: tuple[int, int], resize: str | None) -> "Image.Image":
    """The ready map, or the one extracted from a picture, as the network's maps were in training."""
    from zeroconv import conditions
    from zeroconv.conditions.raster.tiling import at_size
    from zeroconv.images import open_image, open_map, open_with_mask

    condition, source = condition_of(network), request.source
    if not source.ready:
        if condition is None:
            raise ValueError(
                f"{request.name} does not say which condition it follows: extract a map and give it as --condition"
            )
        if condition == "inpaint":
            raise ValueError(
                f"{request.name} fills a hole, and only you know where: give it as --condition, RGBA and transparent there"
            )
        known, trained = conditions.get(condition).name, network.config.extract
        if trained:
            say(f"the map of {source.path} is extracted as in training, with {json.dumps(dict(trained))}")
        picture, mode = open_image(source.path), resize or "crop"
        image = at_size(lambda seen: conditions.extract(known, seen, **trained), picture, known, size, mode)
    else:
        image = load(source.path, size, resize, "map", open_with_mask if condition == "inpaint" else open_map, condition)
    for warning in conditions.get(condition).check(image) if condition else ():
        say(f"warning: {source.path}: {warning}")
    return image


def load(
    path: Path,
    size: tuple[int, int],
    resize: str | None,
    what: str,
    opened: "Callable[[Path], Image.Image]",
    condition: str | None = None,
) -> "Image.Image":
    """A map or mask of the pictures' size.

    Raises:
        ValueError: when it has another size and `resize` is not set.
    """
    image = opened(path)
    if image.size == size:
        return image
    if resize is not None:
        from zeroconv import conditions
        from zeroconv.conditions.raster.resizing import fit_map

        known = "segmentation" if condition is None else conditions.get(condition).name  # no value that was not there
        return fit_map(image, size, known, resize)
    (width, height), (wanted_width, wanted_height) = image.size, size
    raise ValueError(
        f"the {what} {path} is {width}x{height} pixels, the pictures are {wanted_width}x{wanted_height}: "
        f"add --resize to fit it, or --size {width}x{height} for pictures of its size"
    )

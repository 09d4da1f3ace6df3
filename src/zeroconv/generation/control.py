"""One control of a request, opened: a ControlNet, its map, and how, where and when it acts."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zeroconv import conditions
from zeroconv.conditions.condition import Condition
from zeroconv.conditions.user_maps import check_user_map
from zeroconv.control import ControlNet, StepWindow
from zeroconv.control.weighting import check_scale
from zeroconv.control.zero_convolution import all_zero
from zeroconv.data_uri import encode_png, picture_name
from zeroconv.errors import InputError, under_field
from zeroconv.generation.named_maps import check_channels, check_names, join_named, missing_map
from zeroconv.generation.picture_input import open_mask, read_mask, to_picture
from zeroconv.generation.request import ControlRequest
from zeroconv.images import open_map, to_tensor
from zeroconv.messages import Message

__all__ = ["Control", "Picture", "describe_controls", "read_controls", "to_mask"]

FAINT = 1e-3
"""Strength below which a control has no visible effect."""
Picture = Image.Image | str | Path | NDArray[Any] | Tensor
Named = Mapping[str, Picture | None]


@dataclass(frozen=True, init=False)
class Control:
    """A ControlNet with its condition map. What looks wrong about the map is told, once, where the control is made.

    Attributes:
        network: the ControlNet.
        image: the condition map, of the size of the pictures, or one map for each picture: a Pillow image, the path of
            one, or an array (H, W) or (H, W, 3 or 4), uint8 or floats in [0, 1]. For inpainting it is RGBA, transparent where
            the hole is. Of a network of several conditions a mapping with a map for each, `{"canny": edges, "depth": None}`;
            None leaves one out. They are kept side by side.
        scale: strength; 1 as trained, 0 off (then the network is not run).
        start: share of the steps after which it begins to act, 0 … 1.
        end: share of the steps after which it stops, 0 … 1.
        mask: where it acts: a grey picture (or path, or array) of the map's size, white = fully, black = not; None is
            everywhere.
        layers: a further weight for each connection, shallow to deep, the middle's last; None is 1 everywhere.
        checked: the map, or the maps, if they have been looked over where they entered; they are not again.

    Raises:
        InputError: for a scale or layer weight that is not finite, an empty or reversed step window, or what is no picture.
    """

    network: ControlNet
    image: Image.Image | Sequence[Image.Image]
    scale: float = 1.0
    start: float = 0.0
    end: float = 1.0
    mask: Image.Image | None = None
    layers: Sequence[float] | NDArray[Any] | Tensor | None = None
    checked: Image.Image | Sequence[Image.Image] | None = field(default=None, repr=False, compare=False)

    def __init__(
        self,
        network: ControlNet,
        image: Picture | Named | Sequence[Picture | Named],
        scale: float = 1.0,
        start: float = 0.0,
        end: float = 1.0,
        mask: Picture | None = None,
        layers: Sequence[float] | NDArray[Any] | Tensor | None = None,
        checked: Image.Image | Sequence[Image.Image] | None = None,
    ) -> None:
        given = cast("object", network)
        if not isinstance(given, ControlNet):
            said = f"network is {given!r:.80}; expected a ControlNet"
            raise InputError(said, field="network", hint="open it with ControlNet.from_pretrained(…)")
        for weight in () if layers is None else layers:
            if not math.isfinite(weight):
                raise InputError(f"a layer weight is {weight}; expected a finite number", field="layers")
        StepWindow(start, end)
        known = conditions.find(network.config.condition)
        if known is not None:
            check_channels(network, known)
        maps = read_maps(image, known, network.name)
        if known is not None:
            check_maps(known, image, maps, checked, network.name)
        values = {
            "network": network,
            "image": maps,
            "scale": check_scale(scale),
            "start": float(start),
            "end": float(end),
            "mask": None if mask is None else to_mask(mask),
            "layers": layers,
            "checked": maps,
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def window(self) -> StepWindow:
        """The steps in which it acts."""
        return StepWindow(self.start, self.end)

    def idle_reasons(self, steps: int) -> list[Message]:
        """Why this control changes nothing in a picture of so many denoising steps, or acts in one of them alone."""
        name, found = self.network.name or "a control", list[Message]()
        if not self.scale:
            found.append(Message(f"{name} has scale 0: it has no effect", "no-effect.scale"))
        elif abs(self.scale) < FAINT:
            said = f"{name} has scale {self.scale:g}, which changes no picture that one could see; 1 is as trained"
            found.append(Message(said, "no-effect.scale"))
        elif self.layers is not None and not any(float(weight) for weight in self.layers):
            found.append(Message(f"{name} has layer weights that are all 0: it has no effect", "no-effect.layers"))
        if self.mask is not None and self.mask.convert("L").getextrema()[1] == 0:
            found.append(Message(f"the mask of {name} is black: it acts nowhere and has no effect", "no-effect.mask"))
        if all_zero([*self.network.controlnet_down_blocks, self.network.controlnet_mid_block]):
            said = f"every connection of {name} is exactly zero, so it was never trained: it has no effect"
            found.append(Message(said, "no-effect.network"))
        if self.window.between_steps(steps):
            said = f"the window {self.start:g} to {self.end:g} of {name} holds none of {steps} steps as a whole"
            found.append(Message(f"{said}: it acts in the one around its middle", "window.one-step", "info"))
        return found

    def tensor_of(self, picture: int) -> Tensor:
        """The map of picture `picture` as the network reads it: (3, H, W) in [0, 1], and -1 in the hole of inpainting.

        Of a network of n conditions it is (3 n, H, W).

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

    def picture_size(self, image: Image.Image) -> tuple[int, int]:
        """Width and height of the picture that a map of this control belongs to."""
        known = conditions.find(self.network.config.condition)
        return known.picture_size(image) if known else image.size

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


def to_mask(given: Any) -> Image.Image:
    """The mask, of whatever kind it was given, as 8-bit grey."""
    if isinstance(given, str | Path):
        return open_mask(given)
    return read_mask(to_picture(given, open_mask, "mask"), "the mask")


def read_maps(given: Any, condition: Condition | None, network: str) -> Image.Image | Sequence[Image.Image]:
    """The map, or the maps, of whatever kind they were given; sequences that make images when asked are left to that."""
    if isinstance(given, Sequence) and not isinstance(given, str | list | tuple):
        return given
    if isinstance(given, list | tuple):
        return [read_map(one, condition, network) for one in given]
    return read_map(given, condition, network)


def read_map(given: Any, condition: Condition | None, network: str) -> Image.Image:
    """One map, or those of several conditions by their names."""
    if condition is None or not isinstance(given, Mapping):
        return to_picture(given, condition.open_map if condition else open_map, "condition")
    named = check_names(cast("Mapping[str, object]", given), condition, network)
    openers = {part.name: part.open_map for part in condition.each}
    maps = {name: None if one is None else to_picture(one, openers[name], "condition") for name, one in named.items()}
    return join_named(maps, condition, network)


def check_maps(condition: Condition, given: Any, maps: Any, checked: Any, name: str) -> None:
    """Tell what looks wrong about maps; sequences that make images when asked are left to whoever made them.

    Args:
        condition: whose maps they should be.
        given: as they were handed over; a path is what a message calls its map.
        maps: the same as images.
        checked: images that have been looked over before.
        name: of the network.
    """
    several = isinstance(maps, list)
    before = {id(one) for one in (checked if isinstance(checked, list | tuple) else [checked])}
    for index, one in enumerate(maps if several else [maps]):
        if isinstance(one, Image.Image) and id(one) not in before:
            before.add(id(one))
            value = given[index] if several else given
            if condition.parts and not isinstance(value, Mapping):
                raise missing_map(name, condition, condition.parts[-1].name)
            place = f"map {index + 1}" if several else "the map"
            of = "" if name == ControlNet.name else f" of {name}"
            source = picture_name(value) if isinstance(value, str | Path) else place + of
            check_user_map(condition, one, source)


def read_controls(controls: Control | Sequence[Control]) -> list[Control]:
    """The controls of a call, from one or several.

    Raises:
        InputError: for what is no `Control`.
    """
    found = [controls] if isinstance(controls, Control) else list(controls)
    for index, control in enumerate(cast("Sequence[object]", found)):
        if not isinstance(control, Control):
            said = f"controls.{index} is a {type(control).__name__}; expected a Control"
            raise InputError(said, field=f"controls.{index}", hint="make one with Control(network, image)")
    return found


def describe_controls(controls: Sequence[Control], count: int) -> list[tuple[ControlRequest, ...]]:
    """For each picture the requests of its controls, maps and masks embedded; a map that many share is encoded once."""
    encoded: dict[tuple[int, str], tuple[str, Image.Image]] = {}  # with the picture, for its id is free once it is gone

    def embed(image: Image.Image, mode: str) -> str:
        key = id(image), mode
        if key not in encoded:
            encoded[key] = encode_png(image.convert(mode)), image
        return encoded[key][0]

    described: list[tuple[ControlRequest, ...]] = []
    for picture in range(count):
        one: list[ControlRequest] = []
        for index, control in enumerate(controls):
            with under_field(f"controls.{index}"):
                one.append(control.describe(picture, embed))
        described.append(tuple(one))
    return described

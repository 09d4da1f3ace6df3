"""What a service offers: its bases, and the ControlNets that fit them."""

from dataclasses import asdict, dataclass
from typing import Any

from zeroconv.checkpoints.formats.controlnet_hints import split_condition
from zeroconv.checkpoints.formats.controlnet_settings import read_stored_config
from zeroconv.checkpoints.formats.controlnet_union import union_conditions
from zeroconv.checkpoints.hub.resolve import embedded_names, resolve
from zeroconv.control import ControlNet
from zeroconv.errors import name_field
from zeroconv.generation.base import find_device
from zeroconv.generation.request import Precision
from zeroconv.stable_diffusion import StableDiffusion

__all__ = ["BaseEntry", "Catalogue", "ControlEntry", "read_catalogue"]


@dataclass(frozen=True)
class BaseEntry:
    """A base.

    Attributes:
        name: as it is opened.
        width: of its pictures, in pixels.
        height: the same.
        family: "sd15", "sd21" or "sdxl".
        connections: between a ControlNet and it, the middle's too; 13 of Stable Diffusion, 10 of SDXL.
    """

    name: str
    width: int
    height: int
    family: str
    connections: int


@dataclass(frozen=True)
class ControlEntry:
    """A ControlNet.

    Attributes:
        name: as it is opened.
        condition: that it follows, if it says so; of several "canny+depth".
        bases: those that it fits.
        extract: how its maps were extracted in training, where it says so, as names and values.
    """

    name: str
    condition: str | None
    bases: tuple[str, ...]
    extract: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """All of it.

    Attributes:
        bases: the first is that of requests that name none.
        controls: in the order of their names, those of the package first.
        device: of torch, such as "cpu".
        dtype: of the bases.
    """

    bases: tuple[BaseEntry, ...]
    controls: tuple[ControlEntry, ...]
    device: str
    dtype: Precision

    def networks_of(self, base: str) -> dict[str, ControlEntry]:
        """The ControlNets that fit a base, by name."""
        return {one.name: one for one in self.controls if base in one.bases}

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Catalogue":
        """From plain values."""
        controls = tuple(
            ControlEntry(one["name"], one["condition"], tuple(one["bases"]), tuple(map(tuple, one["extract"])))
            for one in values["controls"]
        )
        return cls(tuple(BaseEntry(**one) for one in values["bases"]), controls, values["device"], values["dtype"])


def read_catalogue(bases: tuple[str, ...], controls: tuple[str, ...], device: str | None) -> Catalogue:
    """Look at every network once; weights stay where they are until they are used.

    Args:
        bases: names that were given.
        controls: names that were given; those of the package that fit come before them.
        device: of torch; None is the best there is.

    Raises:
        InputError: one of them cannot be opened, or a given ControlNet fits no base.
    """
    opened: dict[str, StableDiffusion] = {}
    for index, name in enumerate(bases):
        with name_field(f"base.{index}"):
            opened[name] = StableDiffusion.from_pretrained(name, dtype=None)
    entries = tuple(
        BaseEntry(name, base.size, base.size, base.family.key, count_connections(base.unet)) for name, base in opened.items()
    )
    found: list[ControlEntry] = []
    embedded = [name for name in embedded_names("ControlNet") if stored_base(name) in (None, *bases)]
    for index, name in enumerate(dict.fromkeys([*embedded, *controls])):
        fits: dict[str, ControlNet] = {}
        reason: ValueError | OSError | None = None
        for base_name, base in opened.items():
            try:
                network = ControlNet.from_pretrained(name, unet=base.unet)
                network.check_base(base.unet)
                if network.config.base in (None, base_name) or name in controls:
                    fits[base_name] = network
            except (ValueError, OSError) as error:
                reason = error
        if fits:
            found += describe_network(name, next(iter(fits.values())), tuple(fits))
        elif name in controls:
            with name_field(f"control.{index - len(embedded)}"):
                raise reason or ValueError(f"{name} fits none of the bases")
    place = find_device(device)
    return Catalogue(entries, tuple(found), str(place), "float32" if place.type == "cpu" else "float16")


def describe_network(name: str, network: ControlNet, bases: tuple[str, ...]) -> list[ControlEntry]:
    """A ControlNet as it is listed; a ControlNet-Union that was named without a condition as one for each of them."""
    union, extract = network.config.union, tuple(network.config.extract.items())
    if union is None or split_condition(name)[1] is not None:
        return [ControlEntry(name, network.config.condition, bases, extract)]
    return [ControlEntry(f"{name}#{condition}", condition, bases, extract) for condition in union_conditions(union)]


def count_connections(unet: Any) -> int:
    """The skip connections of a U-Net, and its middle block: 13 of Stable Diffusion, 10 of SDXL."""
    return 2 + sum(len(block.resnets) + (block.downsamplers is not None) for block in unet.down_blocks)


def stored_base(name: str) -> str | None:
    """The base that a ControlNet of the package was trained on, from its settings alone."""
    config = read_stored_config(resolve(name, "ControlNet"))
    return None if config is None else config.base

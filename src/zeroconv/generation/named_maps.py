"""The maps of a ControlNet of several conditions, each by its condition's name, as the one map that the network reads."""

from collections.abc import Mapping

from PIL import Image

from zeroconv import conditions
from zeroconv.conditions.condition import Condition
from zeroconv.conditions.raster.side_by_side import join_maps
from zeroconv.control import ControlNet
from zeroconv.control.condition_channels import CHANNELS
from zeroconv.errors import InputError

__all__ = ["check_channels", "check_names", "join_named", "missing_map"]


def check_channels(network: ControlNet, known: Condition) -> None:
    """Refuse a network that does not read three channels for each map of its condition, or grey ones of one condition.

    Raises:
        InputError: naming both numbers.
    """
    found, expected = network.config.conditioning_channels, CHANNELS * len(known.each)
    if found != expected and not (found == 1 and not known.parts):
        said = f"{network.name} reads {found} channels, and the maps of {known.name} have {expected}"
        hint = f"name the conditions of its {found} channels behind #, in their order, three channels each: NAME#canny+depth"
        raise InputError(said, field="network", hint=hint)


def check_names(given: Mapping[str, object], known: Condition, network: str) -> dict[str, object]:
    """The same by the conditions' own names, where aliases may have been given.

    Raises:
        InputError: for a condition that the network does not follow.
    """
    wanted, found = [part.name for part in known.each], dict[str, object]()
    for name, value in given.items():
        condition = conditions.find(name)
        if condition is None or condition.name not in wanted:
            said = f"{network} follows {' and '.join(wanted)}, and a map of {name!r} is given"
            raise InputError(said, field="condition", hint=f"expected maps of {', '.join(wanted)}")
        found[condition.name] = value
    return found


def missing_map(network: str, known: Condition, name: str) -> InputError:
    """The error for a map that nobody gave."""
    listed, hint = " and ".join(part.name for part in known.each), f"give it, or say that it is left out: {name}=none"
    return InputError(f"{network} follows {listed}, and the map of {name} is missing", field="condition", hint=hint)


def join_named(maps: Mapping[str, Image.Image | None], known: Condition, network: str) -> Image.Image:
    """The map that a network reads, of one for each of its conditions.

    Args:
        maps: by condition; None leaves one out, for which the network reads zeros.
        known: what the network follows.
        network: its name, for errors.

    Raises:
        InputError: when one is missing, all are left out, or they differ in size.
    """
    for part in known.each:
        if part.name not in maps:
            raise missing_map(network, known, part.name)
    sizes = {image.size: name for name, image in maps.items() if image is not None}
    if not sizes:
        raise InputError(f"all maps of {network} are left out; expected one at least", field="condition")
    if len(sizes) > 1:
        listed = ", ".join(f"that of {name} {width}x{height}" for (width, height), name in sizes.items())
        raise InputError(f"the maps of {network} differ in size: {listed}; expected one size", field="condition")
    black = Image.new("RGB", next(iter(sizes)))
    return join_maps([maps[part.name] or black for part in known.each])

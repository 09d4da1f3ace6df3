"""`--control NAME[:SCALE[:START-END]]` and the pictures that belong to it, as plain values of a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

__all__ = ["MODES", "Source", "parse_control", "parse_controls", "parse_mode", "parse_size"]

MODES = ("crop", "stretch", "fill")  # those of `ResizeMode`, named here so that reading the words loads nothing
NAMED = re.compile(r"(?P<name>[a-z-]+)=(?P<path>.+)", re.DOTALL)
NONE = "none"  # in place of the path of a map that is left out
PATTERN = re.compile(r"(?P<name>.+?)(?::(?P<scale>[^:]+)(?::(?P<start>[\d.]+)-(?P<end>[\d.]+))?)?")


@dataclass(frozen=True)
class Source:
    """A picture that steers a control.

    Attributes:
        path: the file.
        ready: whether it is a condition map already, or a picture to extract one from.
        name: of the condition whose map it is, where that is said: "depth=depth.png".
    """

    path: Path
    ready: bool
    name: str | None = None

    @classmethod
    def parse(cls, path: Path, ready: bool) -> "Source":
        """From the word behind `--image` or `--condition`; a file that is called so is meant as it is."""
        found = NAMED.fullmatch(str(path)) if ready and not path.exists() else None
        return cls(path, ready) if found is None else cls(Path(found["path"]), ready, found["name"])


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


def parse_controls(controls: Sequence[str], sources: Sequence[Source], masks: Sequence[Path]) -> list[dict[str, Any]]:
    """Each control with its own picture or map, or with one picture that all share; masks likewise.

    Maps with names belong to one control of several conditions, and so does a picture right before them.

    Returns:
        The fields of a `ControlRequest` for each.

    Raises:
        typer.BadParameter: when they cannot be paired, or a control cannot be read.
    """
    count, groups = len(controls), group_sources(sources)
    shared = len(sources) == 1 and not sources[0].ready
    if len(groups) != count and not (count and shared):
        named = ", those with names as one" if any(one.name for one in sources) else ""
        raise typer.BadParameter(
            f"got {count} --control and {len(groups)} --image or --condition{named}; each control needs its own, in order"
        )
    if masks and len(masks) not in (1, count):
        raise typer.BadParameter(f"got {len(masks)} --mask for {count} --control; give one, or one each")
    requests: list[dict[str, Any]] = []
    for i, control in enumerate(controls):
        (network, numbers), group = parse_control(control), groups[i % len(groups)]
        pictures: dict[str, Any] = {"condition" if one.ready else "image": str(one.path) for one in group if one.name is None}
        if maps := {one.name: None if str(one.path) == NONE else str(one.path) for one in group if one.name is not None}:
            pictures["maps"] = maps
        requests.append({"network": network, **numbers, **pictures, "mask": str(masks[i % len(masks)]) if masks else None})
    return requests


def group_sources(sources: Sequence[Source]) -> list[list[Source]]:
    """The sources of each control: one, or maps with different names one after the other, with a picture before them."""
    groups: list[list[Source]] = []
    for source in sources:
        last = groups[-1] if groups else []
        goes_on = bool(last) and source.name is not None and source.name not in {one.name for one in last}
        if goes_on and not any(one.ready and one.name is None for one in last):
            last.append(source)
        else:
            groups.append([source])
    return groups

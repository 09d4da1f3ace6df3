"""`--control NAME[:SCALE[:START-END]]` and the pictures that belong to it, as plain values of a request."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

__all__ = ["MODES", "Source", "parse_control", "parse_controls", "parse_mode", "parse_size"]

MODES = ("crop", "stretch", "fill")  # those of `ResizeMode`, named here so that reading the words loads nothing
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

    Returns:
        The fields of a `ControlRequest` for each.

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
    requests: list[dict[str, Any]] = []
    for i, control in enumerate(controls):
        (network, numbers), source = parse_control(control), sources[i % len(sources)]
        picture = {"condition" if source.ready else "image": str(source.path)}
        requests.append({"network": network, **numbers, **picture, "mask": str(masks[i % len(masks)]) if masks else None})
    return requests

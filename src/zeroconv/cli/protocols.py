"""`zeroconv evaluate --protocol`: options that a protocol decides, and what of them somebody wrote all the same."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from zeroconv.conditions import Condition
    from zeroconv.evaluation.folders import Measurer, Sizes
    from zeroconv.evaluation.protocols import FollowedProtocol

__all__ = ["choose_judging", "choose_options", "choose_reference", "follow", "open_sets", "written_options"]

NAMES = {
    "steps": "num_inference_steps", "guidance": "guidance_scale", "negative": "negative_prompt", "per_map": "pictures_per_map",
    "control_guidance": "control_guidance_scale",
}  # fmt: skip
"""Options by the names of the plan."""


def follow(name: str | None) -> "FollowedProtocol | None":
    """The protocol that somebody names, not yet followed in anything.

    Raises:
        InputError: for an unknown one.
    """
    if name is None:
        return None
    from zeroconv.evaluation.protocols import FollowedProtocol, get_protocol

    return FollowedProtocol(get_protocol(name))


def written_options(ctx: typer.Context) -> set[str]:
    """The names of the options that stand on the command line."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return {name for name, source in sources.items() if source is not None and source.name != "DEFAULT"}


def choose_options(followed: "FollowedProtocol | None", options: Mapping[str, Any], written: Collection[str]) -> dict[str, Any]:
    """How pictures are made and of which pairs, by the names of `evaluate_control`; a protocol decides what nobody wrote.

    Raises:
        InputError: for an unknown sampler, or a protocol whose pairs must be named.
    """
    chosen = dict(options)
    if followed is not None:
        chosen = followed.settle(options, written)
        chosen["data"] = followed.choose_data(options["data"] if "data" in written else None)
        if "count" not in written:
            chosen["count"] = followed.protocol.pictures
    return {NAMES.get(name, name): value for name, value in chosen.items()}


def choose_judging(
    followed: "FollowedProtocol",
    folder: Path,
    maps: Path | None,
    condition: str | None,
    sizes: "Sizes",
    judge: Mapping[str, Any],
) -> "tuple[Condition, Sizes, dict[str, Any]]":
    """How the pictures of a folder are judged: by which measure, at which size, by whom.

    Raises:
        InputError: for a condition that the protocol says nothing of, or that nobody says.
    """
    from zeroconv.evaluation.folders import PictureFolder, Sizes
    from zeroconv.evaluation.folders.picture_folder import find_condition

    pictures, there = PictureFolder.open(folder), followed.protocol
    parameters = followed.choose_judge(find_condition(pictures, maps, condition).name, judge)
    followed.check_making(pictures)
    if sizes.size is not None:
        followed.deviate("judged at", "x".join(map(str, sizes.size)), "x".join(map(str, there.size)))
    if sizes.mode is not None:
        followed.deviate("resize", sizes.mode, there.resize)
    return followed.rule.judged, Sizes(sizes.size or there.size, sizes.mode or there.resize), parameters


def open_sets(
    followed: "FollowedProtocol",
    features: Sequence[str],
    aesthetic: str | None,
    judge: Mapping[str, Any],
    device: str | None,
    sizes: "Sizes | None" = None,
) -> "list[Measurer]":
    """What the protocol measures of whole sets, as `open_protocol_measurers`."""
    from zeroconv.evaluation.protocols import open_protocol_measurers

    return open_protocol_measurers(followed, features, aesthetic, judge, sizes, device or "cpu")


def choose_reference(followed: "FollowedProtocol", given: Path | None, out: Path) -> Path | None:
    """The pictures that sets are compared with: scenes of a protocol are rendered into the folder of the report."""
    from zeroconv.evaluation.protocols import make_reference

    return make_reference(followed, given, out / "reference")

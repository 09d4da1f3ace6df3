"""A stage in, a picture with the truth about it out, at any size."""

from collections.abc import Sequence
from dataclasses import dataclass

from zeroconv.errors import InputError
from zeroconv.world.captions import NAMED_FROM
from zeroconv.world.geometry.vectors import Floats, Ints
from zeroconv.world.pictures import LARGEST, SMALLEST
from zeroconv.world.rendering import render
from zeroconv.world.staging.build import BuiltThing, build_stage
from zeroconv.world.staging.description import StageDescription

__all__ = ["StagePicture", "photograph"]


@dataclass(frozen=True, eq=False)
class StagePicture:
    """A picture of a stage and the truth about it; see `zeroconv.world.rendering.Rendering` for units and axes.

    Attributes:
        rgb: (H, W, 3) uint8.
        distance: (H, W) float32 metres, inf in the sky.
        normals: (H, W, 3) float32: right, up, forward.
        classes: (H, W) uint8 ADE20K classes, counted from 0.
        keypoints: (18, 3) float32: x, y in pixels, visible 0 or 1; (N, 18, 3) of several people; None without a person.
        caption: of what can be seen.
        kind: one of `zeroconv.world.KINDS`.
        seen: (H, W) int16, the index of the thing that is seen, or -1.
        things: as they stand, in the stage's order.
    """

    rgb: Ints
    distance: Floats
    normals: Floats
    classes: Ints
    keypoints: Floats | None
    caption: str
    kind: str
    seen: Ints
    things: Sequence[BuiltThing]


def photograph(stage: StageDescription, width: int = 128, height: int | None = None) -> StagePicture:
    """The picture of a stage.

    Args:
        stage: what is on it.
        width: in pixels, 16 to 1024.
        height: likewise; the width if left out. The field of view is across the shorter of both.

    Raises:
        InputError: a size or something on the stage cannot be used.
    """
    height = width if height is None else height
    for name, side in (("width", width), ("height", height)):
        if not SMALLEST <= side <= LARGEST:
            raise InputError(f"{name} is {side}; expected {SMALLEST} to {LARGEST} pixels", field=name)
    built = build_stage(stage)
    rendering = render(built.scene, (width, height))
    return StagePicture(
        rgb=rendering.rgb, distance=rendering.distance, normals=rendering.normals, classes=rendering.classes,
        keypoints=rendering.keypoints, kind=built.kind, seen=rendering.things, things=built.things,
        caption=built.scene.story.caption(built.scene.draw, lambda name: rendering.coverage.get(name, 0) > NAMED_FROM),
    )  # fmt: skip

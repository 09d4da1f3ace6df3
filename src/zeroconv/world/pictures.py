"""The door to the tiny world: a seed in, a captioned picture with the truth about it out."""

from dataclasses import dataclass

from zeroconv.world.captions import NAMED_FROM
from zeroconv.world.geometry.vectors import Floats, Ints
from zeroconv.world.indoor import IndoorKind, indoor
from zeroconv.world.outdoor import OutdoorKind, outdoor
from zeroconv.world.rendering import render
from zeroconv.world.scenes import Scene
from zeroconv.world.things.draw import Draw

HELD_OUT_SEED = 900_000_000
"""Seeds from here on never train anything; training counts from 0."""
MAX_SEED = 2**32 - 1
SMALLEST, LARGEST = 16, 1024
"""Sizes of pictures, pixels."""
OUTDOORS: dict[str, OutdoorKind] = {"house": "house", "car": "car", "tree": "tree", "person": "person"}
INDOORS: dict[str, IndoorKind] = {
    "still-life": "still-life",
    "room": "room",
    "person-indoors": "person-indoors",
}
KINDS = (*OUTDOORS, *INDOORS)
"""Kinds of scenes."""
KIND_WEIGHTS = (0.27, 0.12, 0.06, 0.17, 0.15, 0.11, 0.12)


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture of the tiny world and the truth about it; see `Rendering` for units and axes.

    Attributes:
        rgb: (S, S, 3) uint8.
        distance: (S, S) float32 metres, inf in the sky.
        normals: (S, S, 3) float32: right, up, forward.
        classes: (S, S) uint8 ADE20K classes, counted from 0.
        keypoints: (18, 3) float32: x, y in pixels, visible 0 or 1; None without a person.
        caption: at most 47 tokens of the embedded tokenizer.
        kind: one of `KINDS`.
        seed: `make(seed)` makes the same picture again, if its kind was not asked for.
    """

    rgb: Ints
    distance: Floats
    normals: Floats
    classes: Ints
    keypoints: Floats | None
    caption: str
    kind: str
    seed: int


def make(seed: int, kind: str | None = None, size: int = 128) -> Picture:
    """The picture of a seed.

    Args:
        seed: 0 to 2**32 - 1; from `HELD_OUT_SEED` on for evaluation only.
        kind: one of `KINDS`; by default the seed decides.
        size: side in pixels, 16 to 1024.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(f"size {size} is out of range: pictures have {SMALLEST} to {LARGEST} pixels a side")
    chosen, built = build_scene(seed, kind)
    rendering = render(built, size)

    def visible(name: str) -> bool:
        return rendering.coverage.get(name, 0) > NAMED_FROM

    return Picture(
        rgb=rendering.rgb,
        distance=rendering.distance,
        normals=rendering.normals,
        classes=rendering.classes,
        keypoints=rendering.keypoints,
        caption=built.story.caption(built.draw.copy(), visible),
        kind=chosen,
        seed=seed,
    )


def scene(seed: int, kind: str | None = None) -> Scene:
    """The scene of a seed, not yet rendered.

    Args:
        seed: 0 to 2**32 - 1.
        kind: one of `KINDS`; by default the seed decides.

    Raises:
        ValueError: if an argument is out of range.
    """
    return build_scene(seed, kind)[1]


def build_scene(seed: int, kind: str | None = None) -> tuple[str, Scene]:
    """The kind and the scene of a seed. A kind that is asked for gives another scene than the same kind by the seed's choice.

    Raises:
        ValueError: if an argument is out of range.
    """
    if not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed {seed} is out of range: seeds are 0 to {MAX_SEED}")
    if kind is not None and kind not in KINDS:
        raise ValueError(f"unknown kind of scene {kind!r}: expected one of {', '.join(KINDS)}")
    draw = Draw(seed)
    chosen = draw.pick(KINDS, KIND_WEIGHTS) if kind is None else kind
    if chosen in OUTDOORS:
        return chosen, outdoor(draw, OUTDOORS[chosen])
    return chosen, indoor(draw, INDOORS[chosen])

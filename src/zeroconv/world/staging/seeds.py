"""The scene of a seed, taken apart: its things, each where it stands, and its camera and light as plain values."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from zeroconv.world.captions import TREE_WORDS, IndoorStory, OutdoorStory
from zeroconv.world.geometry.camera import Camera
from zeroconv.world.geometry.light import Light, Sun
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.polyhedra import Convex
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Ellipsoid
from zeroconv.world.geometry.vectors import Floats
from zeroconv.world.indoor import FLOORS, WALLS
from zeroconv.world.pictures import build_scene
from zeroconv.world.scenes import Scene
from zeroconv.world.staging.description import CameraPlace, GroundLook, LightPlace, PlacedThing, RoomLook, StageDescription
from zeroconv.world.staging.kinds import ThingKind
from zeroconv.world.things.backdrop import Landscape
from zeroconv.world.things.furniture import TABLE_TOP
from zeroconv.world.things.objects import OBJECTS
from zeroconv.world.things.thing import with_article

__all__ = ["Part", "SeedScene", "describe_seed", "light_place", "read_scene"]

REMEMBERED = 16
"""Scenes that need not be built again while somebody changes them; each is a few hundred solids."""
TURNED: tuple[ThingKind, ...] = ("house", "car", "person", "cube", "pyramid", "book")
"""Kinds whose first solid shows how they are turned."""
AROUND_FIRST: tuple[ThingKind, ...] = ("house", "car", "person", "tree", "plant", "lamp", "vase", "teapot", "apple")
"""Kinds that stand about the middle of their first solid."""
BY_CLASS: dict[int, ThingKind] = {
    Label.SOFA: "sofa", Label.LAMP: "lamp", Label.POT: "plant", Label.CHAIR: "chair", Label.SHELF: "bookshelf",
    Label.TABLE: "table",
}  # fmt: skip
BY_NAME: dict[str, ThingKind] = {
    "tree": "tree", "bush": "bush", "rock": "rock", "fence": "fence", "ball": "ball", "rug": "rug", "window": "window",
    "painting": "painting", "table": "big table",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Part:
    """A thing of a seed's scene.

    Attributes:
        name: the only one of its name there.
        words: in captions.
        solids: where they stand.
        joints: (18, 3) of a person, metres.
        place: (x, y, z) of its pivot, metres.
        turn: degrees.
    """

    name: str
    kind: ThingKind
    words: str
    solids: Sequence[Primitive]
    joints: Floats | None
    place: tuple[float, float, float]
    turn: float


@dataclass(frozen=True, eq=False)
class SeedScene:
    """A seed's scene and its things by name, in the order they were put up."""

    kind: str
    scene: Scene
    parts: dict[str, Part]


def describe_seed(seed: int, kind: str | None = None) -> StageDescription:
    """The scene of a seed as a stage: rendered, it gives the picture of that seed bit for bit.

    Args:
        seed: 0 to 2**32 - 1.
        kind: one of `zeroconv.world.KINDS`; by default the seed decides.

    Raises:
        ValueError: if an argument is out of range.
    """
    known = read_scene(seed, kind)
    backdrop = known.scene.backdrop
    ground, room = GroundLook(), RoomLook()
    if isinstance(backdrop, Landscape):
        one = backdrop.ground
        ground = GroundLook(covering=one.covering, path=one.path, lake=one.lake, mountains=bool(backdrop.sky.ranges))
    elif isinstance(known.scene.story, IndoorStory):
        room = room_look(known.scene.story)
    return StageDescription.model_validate({
        "kind": kind, "seed": seed, "things": [placed(part, seed) for part in known.parts.values()],
        "camera": camera_place(known.scene.camera), "light": light_place(known.scene), "ground": ground, "room": room,
    })  # fmt: skip


def placed(part: Part, seed: int) -> PlacedThing:
    """A part where it stands."""
    x, y, z = part.place
    return PlacedThing(kind=part.kind, x=x, y=y, z=z, turn=part.turn, look=seed, part=part.name)


@lru_cache(REMEMBERED)
def read_scene(seed: int, kind: str | None) -> SeedScene:
    """The scene of a seed, taken apart. Nobody may change it."""
    chosen, scene = build_scene(seed, kind)
    parts, counted, start = dict[str, Part](), dict[str, int](), 0
    words = words_of(scene)
    for count in scene.stage.counts:
        name, solids = scene.stage.names[start], scene.stage.solids[start : start + count]
        start += count
        if name == "seat":  # belongs to the person who sits on it
            person = parts["subject"]
            parts["subject"] = part_of("subject", person.kind, person.words, [*person.solids, *solids], person.joints)
            continue
        seen = counted.get(name, 0)
        counted[name] = seen + 1
        own = f"{name} {seen}" if name in ("bush", "rock") else name
        what = kind_of(name, chosen, words.get(name, ""), solids)
        joints = scene.joints if name == "subject" else None
        parts[own] = part_of(own, what, words.get(name, f"a {name}"), solids, joints)
    return SeedScene(chosen, scene, parts)


def part_of(name: str, kind: ThingKind, words: str, solids: Sequence[Primitive], joints: Floats | None) -> Part:
    """A part with its place."""
    first = solids[0]
    corners = np.concatenate([solid.corners for solid in solids])
    middle = first.centre if kind in AROUND_FIRST else (corners.min(0) + corners.max(0)) / 2
    height = TABLE_TOP if name.startswith("object") else 0.0
    turn = yaw_of(first) if kind in TURNED else 0.0
    return Part(name, kind, words, solids, joints, (tidy(middle[0]), height, tidy(middle[2])), tidy(turn))


def tidy(value: float | np.floating[Any]) -> float:
    """A number as people write it. Places and turns are pivots only: nothing moves when they are rounded."""
    return round(float(value), 3) + 0.0


def yaw_of(solid: Primitive) -> float:
    """Degrees by which a solid's own axes are turned about the vertical."""
    if not isinstance(solid, Convex | Ellipsoid):
        return 0.0
    return float(np.rad2deg(np.arctan2(float(solid.axes[0, 2]), float(solid.axes[0, 0]))))


def kind_of(name: str, scene_kind: str, words: str, solids: Sequence[Primitive]) -> ThingKind:
    """What a thing is, by its name in the scene."""
    if name == "subject":
        subjects: dict[str, ThingKind] = {"house": "house", "car": "car", "tree": "tree"}
        return subjects.get(scene_kind, "person")
    if name.startswith("object"):
        return next(kind for kind in OBJECTS if kind in words.split())  # pyright: ignore[reportReturnType]
    if name.startswith("furniture"):
        return BY_CLASS[solids[0].label]
    return BY_NAME[name.split()[0]]


def words_of(scene: Scene) -> dict[str, str]:
    """What the things of a scene are called, by their names."""
    story = scene.story
    if isinstance(story, OutdoorStory):
        trees = {f"tree {i}": with_article(TREE_WORDS[story.foliage]) for i in range(story.trees)}
        ball = {} if story.ball is None else {"ball": with_article(story.ball) + " ball"}
        fence = {} if story.fence is None else {"fence": with_article(story.fence) + " fence"}
        return {"subject": story.subject, **trees, **ball, **fence, "bush": "bushes", "rock": "rocks"}
    assert isinstance(story, IndoorStory)
    named = {**dict(story.items), **dict(story.on_wall)}
    return named | {key: value for key, value in (("subject", story.person), ("table", story.table)) if value}


def room_look(story: IndoorStory) -> RoomLook:
    """The words of a room's wall and floor as choices."""
    wall = next((name for name, _ in WALLS if name in story.wall.split()), None)
    floor = next((name for name in FLOORS if name in story.floor.split()), None)
    return RoomLook.model_validate({"wall": wall, "floor": floor})


def camera_place(camera: Camera) -> CameraPlace:
    """A camera as it goes round the point it looks at."""
    eye, target = camera.eye.astype(np.float64), camera.target.astype(np.float64)
    x, z = eye[0] - target[0], eye[2] - target[2]
    return CameraPlace(
        x=float(target[0]), z=float(target[2]), aim=float(target[1]), distance=float(np.hypot(x, z)),
        angle=float(np.rad2deg(np.arctan2(x, -z))), height=float(eye[1]),
    )  # fmt: skip


def light_place(scene: Scene) -> LightPlace:
    """Where the light of a scene comes from."""
    light: Light = scene.light
    source = light.source
    x, y, z = (float(value) for value in (source.direction if isinstance(source, Sun) else source.position))
    time = scene.story.time if isinstance(scene.story, OutdoorStory) else "day"
    direction, elevation = np.rad2deg(np.arctan2(x, -z)), np.rad2deg(np.arctan2(y, np.hypot(x, z)))
    return LightPlace(time=time, direction=tidy(direction), elevation=tidy(elevation))

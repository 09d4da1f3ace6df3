"""Outdoor scenes: a house, a car, a tree or a person in a landscape."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from zeroconv.world.captions import OutdoorStory
from zeroconv.world.geometry.camera import Camera
from zeroconv.world.geometry.light import Light, Sun
from zeroconv.world.geometry.palette import linear
from zeroconv.world.geometry.vectors import Floats, vector
from zeroconv.world.scenes import Scene
from zeroconv.world.things.backdrop import Landscape
from zeroconv.world.things.car import car
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.furniture import seat
from zeroconv.world.things.ground import Covering, Ground
from zeroconv.world.things.house import House, house
from zeroconv.world.things.people import Person, facing, person
from zeroconv.world.things.plants import Foliage, tree
from zeroconv.world.things.scenery import Surroundings, add_ball, add_bushes, add_fence, add_rocks, add_trees
from zeroconv.world.things.skeleton import POSES
from zeroconv.world.things.sky import Range, Sky, TimeOfDay, draw_sky
from zeroconv.world.things.stage import Stage
from zeroconv.world.things.thing import Thing

OutdoorKind = Literal["house", "car", "tree", "person"]
TIMES: tuple[TimeOfDay, ...] = ("day", "evening", "night", "cloudy")
COVERINGS: tuple[Covering, ...] = ("grass", "snow", "sand", "autumn")
ROCK_COLOURS = ((84, 98, 130), (112, 94, 86), (72, 100, 88))
POSE_WEIGHTS = (0.16, 0.14, 0.14, 0.12, 0.14, 0.12, 0.10, 0.08)
LONE_TREES: dict[Foliage, str] = {
    "green": "a green tree",
    "autumn": "an orange autumn tree",
    "blossom": "a pink blossom tree",
    "pine": "a pine tree",
}


@dataclass(frozen=True, eq=False)
class Subject:
    """What the picture is about, and how it wants to be seen.

    Attributes:
        distance, height: of the camera, metres.
        aim: height the camera looks at, metres.
        spacing: least and greatest sideways distance of other things, metres.
    """

    thing: Thing
    distance: float
    aim: float
    height: float
    spacing: tuple[float, float]
    sitting: bool = False


def outdoor(draw: Draw, kind: OutdoorKind) -> Scene:
    """A landscape with a subject of the given kind at the origin."""
    time = draw.pick(TIMES, (0.45, 0.25, 0.13, 0.17))
    covering = draw.pick(COVERINGS, (0.55, 0.18, 0.14, 0.13))
    sky = draw_sky(draw, time)
    yaw = draw.uniform(-0.55, 0.55)
    if draw.chance(0.35):
        sky = replace(sky, ranges=draw_mountains(draw))
    lake = draw.uniform(5, 9) if draw.chance(0.16) and kind != "person" else None

    stage = Stage()
    subject = SUBJECTS[kind](draw, yaw, time == "night")
    stage.add("subject", subject.thing.solids)
    if subject.sitting:
        stage.add("seat", [seat(0.04)])
    foliage, trees, ball, fence = _surround(stage, draw, kind, subject, covering)

    path = subject.thing.door if isinstance(subject.thing, House) and draw.chance(0.6) else None
    ground = Ground(covering, draw.uniform(0, 40), path, lake, lake_colour(sky))

    features = [("a lake", lake is not None), ("mountains", bool(sky.ranges)), ("a path", path is not None)]
    named = [words for words, there in features if there]
    story = OutdoorStory(subject.thing.words, time, covering, foliage, trees, ball, fence, named)
    joints = subject.thing.joints if isinstance(subject.thing, Person) else None
    return Scene(_camera(draw, subject), daylight(ground, sky), Landscape(ground, sky), stage, joints, story, draw)


def daylight(ground: Ground, sky: Sky) -> Light:
    """The light of a sky, and what the ground throws back of it."""
    sunlight = np.float32(sky.weather.strength) * vector(sky.weather.light)
    below = ground.mean_colour() * np.float32(0.35) * sunlight.mean()
    sun = Sun(sky.sun, np.float32(sky.weather.softness))
    return Light(sun, sunlight, sky.glow(), below, 0.35, sky.weather.exposure)


def lake_colour(sky: Sky) -> Floats:
    """(3,) linear: what water mirrors of a sky."""
    return sky.zenith * 0.45 + sky.horizon * 0.35


def draw_mountains(draw: Draw) -> Sequence[Range]:
    """A far range, and perhaps a lower, darker one before it."""
    colour: Floats = linear(draw.pick(ROCK_COLOURS))
    height = draw.uniform(0.15, 0.30)
    far = Range(draw.uniform(0, 50), height, 120.0, colour)
    if not draw.chance(0.6):
        return (far,)
    return (far, Range(draw.uniform(0, 50), height * 0.5, 70.0, colour * np.float32(0.7)))


def _surround(
    stage: Stage, draw: Draw, kind: OutdoorKind, subject: Subject, covering: Covering
) -> tuple[Foliage, int, str | None, str | None]:
    """Put things around the subject; foliage and number of the trees, colours of ball and fence."""
    around = Surroundings(*subject.spacing, subject.distance / 9, small=kind == "person")
    counts = (0.5, 0.3, 0.2) if kind == "tree" else (0.30, 0.30, 0.25, 0.15)
    count = draw.pick(range(len(counts)), counts)
    foliage: Foliage = "pine"
    if draw.pick((True, False), (0.65, 0.35)):
        leaves: Foliage = draw.pick(("green", "blossom"), (0.8, 0.2))
        by_covering: dict[Covering, Foliage] = {
            "grass": leaves,
            "snow": "pine",
            "sand": "green",
            "autumn": "autumn",
        }
        foliage = by_covering[covering]
    add_trees(stage, draw, around, count, foliage)
    if draw.chance(0.3) and covering not in ("snow", "sand"):
        add_bushes(stage, draw, around)
    ball = add_ball(stage, draw, around) if draw.chance(0.22) else None
    if draw.chance(0.15):
        add_rocks(stage, draw, around)
    fence = add_fence(stage, draw, around) if kind != "car" and draw.chance(0.22) else None
    return foliage, count, ball, fence


def _camera(draw: Draw, subject: Subject) -> Camera:
    azimuth, distance = draw.uniform(-0.12, 0.12), subject.distance
    x = distance * np.sin(azimuth) + draw.uniform(-0.4, 0.4) * distance / 9
    eye = (x, subject.height, -distance * np.cos(azimuth))
    return Camera.looking(eye, (draw.uniform(-0.5, 0.5) * distance / 9, subject.aim, 0))


def _house(draw: Draw, yaw: float, night: bool) -> Subject:
    thing = house(draw, yaw * 0.9, night)
    distance = draw.uniform(7.4, 9.4) * (1 + 0.30 * max(0, thing.height - 3.4))
    aim = thing.height * draw.uniform(0.38, 0.46)
    return Subject(thing, distance, aim, draw.uniform(1.5, 3.4), (2.9, 5.2))


def _car(draw: Draw, yaw: float, night: bool) -> Subject:
    thing = car(draw, draw.pick((1, -1)) * draw.uniform(0.1, 0.7) + (np.pi if draw.chance(0.5) else 0))
    return Subject(thing, draw.uniform(4.6, 6.2), 0.75, draw.uniform(1.0, 2.1), (2.2, 3.6))


def _tree(draw: Draw, yaw: float, night: bool) -> Subject:
    foliage: Foliage = "pine"
    if draw.pick((True, False)):
        leaves: tuple[Foliage, ...] = ("green", "autumn", "blossom")
        foliage = draw.pick(leaves)
    thing = Thing(LONE_TREES[foliage], tree(draw, 0, 0, foliage, 1.15))
    return Subject(thing, draw.uniform(5.5, 7.5), 1.25, draw.uniform(0.9, 2.2), (1.6, 3.4))


def _person(draw: Draw, yaw: float, night: bool) -> Subject:
    pose = draw.pick(POSES, POSE_WEIGHTS)
    thing = person(draw, (0, 0, 0), facing(draw), pose)
    sitting = pose == "sitting"
    aim = 0.75 if sitting else 0.88
    return Subject(thing, draw.uniform(2.9, 3.9), aim, draw.uniform(0.9, 1.5), (1.0, 2.4), sitting)


SUBJECTS: dict[OutdoorKind, Callable[[Draw, float, bool], Subject]] = {
    "house": _house,
    "car": _car,
    "tree": _tree,
    "person": _person,
}

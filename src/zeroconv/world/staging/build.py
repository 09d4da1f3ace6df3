"""From a stage to a scene that can be rendered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from zeroconv.errors import InputError
from zeroconv.world.captions import IndoorStory
from zeroconv.world.geometry.camera import Camera
from zeroconv.world.geometry.light import Lamp, Light
from zeroconv.world.geometry.motion import Motion
from zeroconv.world.geometry.palette import linear
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.vectors import Floats, rotation, vector
from zeroconv.world.indoor import LAMP_HEIGHT, WALLS, draw_floors
from zeroconv.world.outdoor import daylight, draw_mountains, lake_colour
from zeroconv.world.scenes import Scene
from zeroconv.world.staging.description import CameraPlace, LightPlace, PlacedThing, StageDescription
from zeroconv.world.staging.fresh import fresh
from zeroconv.world.staging.kinds import ON_WALL
from zeroconv.world.staging.looks import coloured, dressed_as, name_colour, with_windows
from zeroconv.world.staging.seeds import Part, SeedScene, light_place, read_scene, room_look
from zeroconv.world.staging.words import StagedStory
from zeroconv.world.things.backdrop import Landscape, Room
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.skeleton import POSES
from zeroconv.world.things.sky import WEATHER, Sky
from zeroconv.world.things.stage import Stage

__all__ = ["BuiltStage", "BuiltThing", "build_stage"]

FROM_WALL = 0.3
"""A lamp and a camera keep this far from the walls, metres."""


@dataclass(frozen=True, eq=False)
class BuiltThing:
    """A thing as it stands.

    Attributes:
        words: in captions.
        half: (x, z) half sizes of the rectangle of ground it stands on, along its own axes, metres.
        height: of its top, metres.
        offset: (x, z) of the rectangle's middle from the thing's place, along its own axes, metres.
    """

    words: str
    solids: Sequence[Primitive]
    joints: Floats | None
    half: tuple[float, float]
    height: float
    offset: tuple[float, float]


@dataclass(frozen=True, eq=False)
class BuiltStage:
    """A scene, the things in it in their order, and the kind of scene."""

    scene: Scene
    things: Sequence[BuiltThing]
    kind: str


def build_stage(stage: StageDescription) -> BuiltStage:
    """The scene of a stage, not yet rendered.

    Raises:
        InputError: a thing is not in the seed's scene, or the camera is not in the room.
    """
    known = read_scene(stage.seed, stage.kind)
    outdoors = isinstance(known.scene.backdrop, Landscape)
    night = outdoors and stage.light.time == "night"
    things = [build_thing(thing, known, night, f"things.{i}") for i, thing in enumerate(stage.things)]
    put_up = Stage()
    for i, thing in enumerate(things):
        put_up.add(str(i), thing.solids)
    people = [thing.joints for thing in things if thing.joints is not None]
    joints = None if not people else people[0] if len(people) == 1 else np.stack(people)
    backdrop = landscape(stage, known.scene) if outdoors else room(stage, known.scene)
    light = (
        daylight(backdrop.ground, backdrop.sky) if isinstance(backdrop, Landscape) else lamplight(stage, known.scene, backdrop)
    )
    camera = camera_of(stage.camera, backdrop)
    story = StagedStory(stage, known.kind, [thing.words for thing in things], known.scene.story)
    return BuiltStage(Scene(camera, light, backdrop, put_up, joints, story, Draw(0)), things, known.kind)


def build_thing(thing: PlacedThing, known: SeedScene, night: bool, field: str) -> BuiltThing:
    """A thing where it stands.

    Raises:
        InputError: it is not in the seed's scene.
    """
    part = None if thing.part is None else known.parts.get(thing.part)
    if part is None and (thing.part is not None or thing.kind in ON_WALL):
        there = ", ".join(name for name, one in known.parts.items() if one.kind == thing.kind) or "none"
        said = f"part is {thing.part!r:.40}; expected a {thing.kind} of the scene of the stage's seed, which are: {there}"
        raise InputError(said, field=f"{field}.part")
    if part is not None and part.kind != thing.kind:
        raise InputError(f"{thing.part!r} is a {part.kind} there, got {thing.kind}", field=f"{field}.kind")
    words, solids, joints, start, turn = look_of(thing, part, night)
    if thing.kind == "house":
        solids = with_windows(solids, night)
    if thing.colour is not None:
        solids, words = coloured(solids, thing.kind, thing.colour), name_colour(words, thing.kind, thing.colour)
    motion = Motion.of(start, (thing.x, thing.y, thing.z), np.deg2rad(thing.turn - turn), thing.size)
    moved = motion.solids(solids)
    half, height, offset = footprint(moved, thing)
    return BuiltThing(words, moved, motion.joints(joints), half, height, offset)


Look = tuple[str, Sequence[Primitive], Floats | None, tuple[float, float, float], float]
"""Words, solids, joints, the pivot and the turn in which they come."""


def look_of(thing: PlacedThing, part: Part | None, night: bool) -> Look:
    """A thing as it comes: from the seed's scene, new, or new in the clothes of the one there."""
    if part is not None and (thing.variety is None or part.words.endswith(thing.variety)):
        return part.words, part.solids, part.joints, part.place, part.turn
    made = fresh(thing.kind, thing.look, thing.variety, night)
    if part is not None and thing.kind == "person":
        words = part.words.removesuffix(next(pose for pose in POSES if part.words.endswith(pose))) + str(thing.variety)
        return words, dressed_as(made.solids, part.solids), made.joints, (0.0, 0.0, 0.0), 0.0
    return made.words, made.solids, made.joints, (0.0, 0.0, 0.0), 0.0


def footprint(solids: Sequence[Primitive], thing: PlacedThing) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """Half sizes of the ground that solids cover along their own axes, their height, and where its middle is."""
    corners = np.concatenate([solid.corners for solid in solids]).astype(np.float64)
    local = (corners - (thing.x, 0, thing.z)) @ rotation(np.deg2rad(thing.turn)).astype(np.float64)
    low, high = local.min(0), local.max(0)
    half, middle = (high - low) / 2, (high + low) / 2
    return (float(half[0]), float(half[2])), float(corners[:, 1].max()), (float(middle[0]), float(middle[2]))


def camera_of(place: CameraPlace, backdrop: Landscape | Room) -> Camera:
    """The camera.

    Raises:
        InputError: it is outside the room.
    """
    angle = np.deg2rad(place.angle)
    eye = place.x + place.distance * np.sin(angle), place.height, place.z - place.distance * np.cos(angle)
    if isinstance(backdrop, Room):
        inside = (np.asarray(eye) > backdrop.low + 0.02) & (np.asarray(eye) < backdrop.high - 0.02)
        if not inside.all():
            low, high = backdrop.low, backdrop.high
            room_size = f"x {low[0]:.1f} to {high[0]:.1f}, z {low[2]:.1f} to {high[2]:.1f}, height up to {high[1]:.1f} m"
            said = f"the camera at x {eye[0]:.1f}, height {eye[1]:.1f}, z {eye[2]:.1f} is outside the room ({room_size})"
            field = "height" if inside[0] and inside[2] else "distance"
            raise InputError(said, field=f"camera.{field}", hint="bring it nearer")
    return Camera.looking(eye, (place.x, place.aim, place.z), np.deg2rad(place.field_of_view))


def landscape(stage: StageDescription, scene: Scene) -> Landscape:
    """Ground and sky."""
    assert isinstance(scene.backdrop, Landscape)
    sky, look = sky_of(stage, scene, scene.backdrop.sky), stage.ground
    if look.mountains != bool(sky.ranges):
        sky = replace(sky, ranges=draw_mountains(Draw(stage.seed)) if look.mountains else ())
    ground = replace(scene.backdrop.ground, covering=look.covering, path=look.path, lake=look.lake, water=lake_colour(sky))
    return Landscape(ground, sky)


def sky_of(stage: StageDescription, scene: Scene, sky: Sky) -> Sky:
    """The seed's sky at another time, with the sun in another place."""
    light, own = stage.light, light_place(scene)
    if light.time != sky.time:
        weather = WEATHER[light.time]
        level = None if weather.clouds is None else sum(weather.clouds) / 2
        tones = {"zenith": linear(weather.zenith), "horizon": linear(weather.horizon)}
        sky = replace(sky, time=light.time, weather=weather, cloud_level=level, **tones)
    return sky if is_same_place(light, own) else replace(sky, sun=vector(direction_of(light)))


def is_same_place(one: LightPlace, other: LightPlace) -> bool:
    """Whether light comes from the same direction."""
    return one.direction == other.direction and one.elevation == other.elevation


def direction_of(light: LightPlace) -> tuple[float, float, float]:
    """The unit vector towards the light."""
    angle, height = np.deg2rad(light.direction), np.deg2rad(light.elevation)
    return float(np.cos(height) * np.sin(angle)), float(np.sin(height)), float(-np.cos(height) * np.cos(angle))


def room(stage: StageDescription, scene: Scene) -> Room:
    """The seed's room, with another wall or floor."""
    backdrop, story = scene.backdrop, scene.story
    assert isinstance(backdrop, Room)
    assert isinstance(story, IndoorStory)
    own, look = room_look(story), stage.room
    if look.wall is not None and look.wall != own.wall:
        wall = linear(dict(WALLS)[look.wall])
        second = None if backdrop.wall.second is None else vector(wall * 0.75)
        backdrop = replace(backdrop, wall=replace(backdrop.wall, colour=vector(wall), second=second))
    if look.floor is not None and look.floor != own.floor:
        backdrop = replace(backdrop, floor=draw_floors(Draw(stage.seed))[look.floor])
    return backdrop


def lamplight(stage: StageDescription, scene: Scene, backdrop: Room) -> Light:
    """The room's light, its lamp where it was put."""
    own, wanted, light = light_place(scene), stage.light, scene.light
    assert isinstance(light.source, Lamp)
    if is_same_place(wanted, own):
        return light
    x, up, z = direction_of(wanted)
    low, high = backdrop.low + FROM_WALL, backdrop.high - FROM_WALL
    place = np.clip((x / up * LAMP_HEIGHT, LAMP_HEIGHT, z / up * LAMP_HEIGHT), low, [high[0], LAMP_HEIGHT, high[2]])
    return replace(light, source=replace(light.source, position=vector(place)))

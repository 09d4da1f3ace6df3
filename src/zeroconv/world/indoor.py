"""Indoor scenes: a still life on a table, a furnished room, a person in a room."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from zeroconv.world.captions import IndoorStory, Item
from zeroconv.world.geometry.camera import Camera
from zeroconv.world.geometry.light import Lamp, Light
from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import Label, linear
from zeroconv.world.geometry.polyhedra import box
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Ellipsoid
from zeroconv.world.geometry.vectors import Floats, vector
from zeroconv.world.scenes import Scene
from zeroconv.world.things.backdrop import Room
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.furniture import FURNITURE, TABLE_TOP, big_table, furniture, seat
from zeroconv.world.things.objects import OBJECTS, small_object
from zeroconv.world.things.people import facing, person
from zeroconv.world.things.skeleton import POSES
from zeroconv.world.things.stage import Stage
from zeroconv.world.things.thing import with_article

IndoorKind = Literal["still-life", "room", "person-indoors"]
WALLS = (
    ("white", (236, 230, 218)),
    ("beige", (222, 202, 170)),
    ("blue", (150, 182, 206)),
    ("green", (168, 192, 156)),
    ("pink", (230, 188, 184)),
    ("yellow", (238, 216, 150)),
    ("grey", (176, 178, 182)),
    ("red", (186, 92, 80)),
    ("teal", (110, 160, 160)),
)
CEILING, TRIM = paint((240, 238, 232)), (232, 228, 218)
CEILING_HEIGHT, BEHIND_CAMERA = 2.7, -6
WOODS = ((172, 118, 72), (132, 88, 56), (198, 154, 104))
DARK_CHECKERS = ((52, 52, 58), (150, 60, 52), (60, 98, 140))
CARPETS = ("red", "blue", "green", "grey", "purple", "brown")
FLOORS = ("wooden", "tiled", "checkered", "carpet")
PICTURE_FRAMES = ((96, 66, 40), (40, 40, 44), (206, 170, 90))
WINDOW_FRAME = paint((240, 238, 232), shadow=False)
NIGHT_GLASS, DAY_GLASS = (36, 52, 96), (176, 212, 238)
LAMPS = {"warm": (1, 0.86, 0.66), "white": (1, 0.97, 0.92)}
LAMP_STRENGTH, LAMP_HEIGHT, EXPOSURE = 1.45, 2.45, 0.74
FROM_ABOVE, ABOVE_STRENGTH = (226, 228, 236), 0.5
POSE_WEIGHTS = (0.2, 0.14, 0.12, 0.06, 0.14, 0.1, 0.12, 0.12)


@dataclass(frozen=True, eq=False)
class Shell:
    """An empty room, the words of its wall and floor, its half width and its depth, metres."""

    room: Room
    wall: str
    floor: str
    half_width: float
    depth: float


def indoor(draw: Draw, kind: IndoorKind) -> Scene:
    """A room with what its kind asks for."""
    shell = _shell(draw, kind)
    light = _light(draw, kind, shell.room)
    stage = Stage()
    on_wall = _on_wall(stage, draw, kind, shell)
    human = table = None
    if kind == "still-life":
        table, items = _still_life(stage, draw)
        camera = _camera(draw, (1.75, 2.3), 0.5, (1.1, 1.65), wander=0.08, aim=0.88)
    else:
        items = _furnish(stage, draw, kind, shell)
        far, aim = ((3.9, 4.6), 0.95) if kind == "room" else ((2.9, 3.7), 0.86)
        camera = _camera(draw, far, 0.6, (1.2, 1.7), wander=0, aim=aim)
    if kind == "room" and draw.chance(0.4):
        items.append(_ball(stage, draw))
    if kind == "person-indoors":
        pose = draw.pick(POSES, POSE_WEIGHTS)
        human = person(draw, (0, 0, -0.1), facing(draw), pose)
        stage.add("subject", human.solids)
        if pose == "sitting":
            stage.add("seat", [seat(-0.06)])
            camera = Camera.looking(camera.eye, (0, 0.75, 0))
    story = IndoorStory(human.words if human else None, table, items, on_wall, shell.wall, shell.floor)
    return Scene(camera, light, shell.room, stage, human.joints if human else None, story, draw)


def _shell(draw: Draw, kind: IndoorKind) -> Shell:
    close = kind == "still-life"
    colour, rgb = draw.pick(WALLS)
    wall = paint(np.array(rgb) * draw.uniform(0.94, 1.04))
    pattern, fate = "", draw.share()
    if fate < 0.2:
        wall = replace(wall, texture="stripes", frequency=5.0 if close else 2.2, second=wall.colour * 0.82)
        pattern = "striped "
    elif fate < 0.3:
        wall = replace(wall, texture="bricks", frequency=3.2 if close else 1.6, second=wall.colour * 0.5 + 0.3)
        pattern = "brick "
    floor_kind = draw.pick(FLOORS, (0.45, 0.15, 0.25, 0.15))
    floor = draw_floors(draw)[floor_kind]
    half_width, depth = draw.uniform(2.3, 3.0), draw.uniform(1.7, 2.4)
    low, high = vector((-half_width, 0, BEHIND_CAMERA)), vector((half_width, CEILING_HEIGHT, depth))
    room = Room(low, high, floor, CEILING, wall, linear(TRIM))
    floor_words = "a carpet" if floor_kind == "carpet" else f"a {floor_kind} floor"
    return Shell(room, f"{with_article(colour)} {pattern}wall", floor_words, half_width, depth)


def draw_floors(draw: Draw) -> dict[str, Material]:
    """One floor of every kind: all are drawn, whichever is laid."""
    wood, dark = draw.pick(WOODS), draw.pick(DARK_CHECKERS)
    carpet = draw.tint(draw.pick(CARPETS))
    return {
        "wooden": paint(wood, "planks", 2.6),
        "tiled": paint((216, 208, 196), "tiles", 1.4, (150, 146, 140)),
        "checkered": paint((232, 228, 220), "checker", 1.5, dark),
        "carpet": Material(carpet, "mottle", 1.0, carpet * 0.75),
    }


def _light(draw: Draw, kind: IndoorKind, room: Room) -> Light:
    """A lamp near the ceiling, mostly a warm one."""
    warm = draw.pick((True, False), (0.6, 0.4))
    draw.share()  # once the hour of the day; the stream must still pass it
    colour = vector(LAMPS["warm" if warm else "white"]) * np.float32(LAMP_STRENGTH)
    lamp = Lamp(vector([draw.uniform(-1.4, 1.4), LAMP_HEIGHT, draw.uniform(-2.2, -0.6)]), np.float32(0.16))
    above = linear(FROM_ABOVE) * np.float32(ABOVE_STRENGTH)
    below = room.floor.colour * np.float32(0.17) + np.float32(0.07)
    return Light(lamp, colour, above, below, 0.14 if kind == "still-life" else 0.3, EXPOSURE)


def _on_wall(stage: Stage, draw: Draw, kind: IndoorKind, shell: Shell) -> list[Item]:
    """Perhaps a window, and perhaps a painting where the window leaves room for it."""
    close, back, items = kind == "still-life", shell.depth, list[Item]()
    window: float | None = None
    if draw.chance(0.45):
        window = draw.uniform(-0.8, 0.8) if close else draw.uniform(-1, 1) * (shell.half_width - 0.9)
        glass = paint(NIGHT_GLASS if draw.chance(0.25) else DAY_GLASS, glow=1.0, shadow=False)
        parts = (
            (0.01, (0.48, 0.55, 0.02), glass, Label.WINDOW),
            (0.005, (0.56, 0.63, 0.02), WINDOW_FRAME, Label.WALL),
            (0.02, (0.025, 0.55, 0.025), WINDOW_FRAME, Label.WALL),
            (0.02, (0.48, 0.025, 0.025), WINDOW_FRAME, Label.WALL),
        )
        stage.add("window", [box((window, 1.6, back - out), half, m, label) for out, half, m, label in parts])
        items.append(("window", "a window"))
    if draw.chance(0.4):
        x = draw.uniform(-0.9, 0.9) if close else draw.uniform(-1, 1) * (shell.half_width - 0.8)
        if window is None or abs(x - window) > 1.1:
            stage.add("painting", _painting(draw, x, back))
            items.append(("painting", "a painting"))
    return items


def _painting(draw: Draw, x: float, back: float) -> list[Primitive]:
    w, h = draw.uniform(0.25, 0.42), draw.uniform(0.25, 0.38)
    frame = paint(draw.pick(PICTURE_FRAMES))
    canvas = Material(draw.tint(draw.pick_colour()), "mottle", 0.8, draw.tint(draw.pick_colour()))
    return [
        box((x, 1.62, back - 0.02), (w + 0.05, h + 0.05, 0.03), frame, Label.PAINTING),
        box((x, 1.62, back - 0.035), (w, h, 0.03), canvas, Label.PAINTING),
    ]


def _still_life(stage: Stage, draw: Draw) -> tuple[str, list[Item]]:
    """A table with one to four objects in a row."""
    table, width, depth = big_table(draw)
    stage.add("table", table.solids)
    count = draw.pick((1, 2, 3, 4), (0.25, 0.32, 0.28, 0.15))
    row = np.linspace(-1, 1, count + 2)[1:-1] * width * 0.92
    places: Floats = row if count > 1 else np.array([draw.uniform(-0.25, 0.25)])
    items: list[Item] = []
    for i, x in enumerate(places):
        size = draw.uniform(0.14, 0.19) if count > 2 else draw.uniform(0.17, 0.25)
        z = draw.uniform(-0.55, 0.35) * depth * 0.7
        kind = draw.pick(OBJECTS)
        place = (float(x) + draw.uniform(-0.04, 0.04), TABLE_TOP, z)
        thing = small_object(draw, kind, place, size * (0.75 if kind == "apple" else 1))
        stage.add(f"object {i}", thing.solids)
        items.append((f"object {i}", thing.words))
    return table.words, items


def _furnish(stage: Stage, draw: Draw, kind: IndoorKind, shell: Shell) -> list[Item]:
    """Perhaps a rug, and furniture along the back wall: two or three pieces, up to two with a person."""
    items: list[Item] = []
    if draw.chance(0.55):
        colour = draw.pick_colour()
        wool = draw.tint(colour)
        material = Material(wool, "rings", 3.0, wool * 0.7 + 0.12)
        radii = (draw.uniform(1.0, 1.5), 0.012, draw.uniform(0.7, 1.0))
        stage.add("rug", [Ellipsoid((0, 0, 0.1), radii, material, Label.RUG)])
        items.append(("rug", with_article(colour) + " rug"))
    wide = kind == "room"
    slots = [-0.75, 0, 0.75] if wide else [-0.95, 0.95]
    draw.shuffle(slots)
    count = draw.integer(2, 4) if wide else draw.integer(0, 3)
    limit = shell.half_width - 0.75
    for i, slot in enumerate(slots[:count]):
        x = slot * (shell.half_width - (0 if wide else 0.35))
        z = shell.depth - draw.uniform(0.55, 0.8)
        piece, colour = draw.pick(FURNITURE), draw.pick_colour()
        material = Material(draw.tint(colour))
        thing = furniture(draw, piece, min(max(x, -limit), limit), z, colour, material)
        stage.add(f"furniture {i}", thing.solids)
        items.append((f"furniture {i}", thing.words))
    return items


def _camera(
    draw: Draw,
    distance: tuple[float, float],
    aside: float,
    height: tuple[float, float],
    wander: float,
    aim: float,
) -> Camera:
    """A camera within `aside` metres of the middle that aims at the height `aim`."""
    far = draw.uniform(*distance)
    eye = (draw.uniform(-aside, aside), draw.uniform(*height), -far)
    return Camera.looking(eye, (draw.uniform(-wander, wander) if wander else 0, aim, 0))


def _ball(stage: Stage, draw: Draw) -> Item:
    colour = draw.pick_colour()
    place = (draw.uniform(-1, 1), 0.18, draw.uniform(-0.8, 0))
    stage.add("ball", [Ellipsoid(place, 0.18, Material(draw.tint(colour), gloss=0.3), Label.BALL)])
    return "ball", with_article(colour) + " ball"

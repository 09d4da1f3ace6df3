"""People: balls and capsules around a skeleton, and the 18 joints of the OpenPose format."""

from dataclasses import dataclass, replace

import numpy as np

from zeroconv.world.geometry.materials import Material, paint
from zeroconv.world.geometry.palette import Label, linear
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Capsule, Ellipsoid
from zeroconv.world.geometry.vectors import Floats, rotation, vector
from zeroconv.world.things.draw import Draw
from zeroconv.world.things.skeleton import LEFT, RIGHT, Pose, Skeleton, skeleton
from zeroconv.world.things.thing import Place, Thing, with_article

SKIN = ((236, 190, 160), (198, 140, 102), (140, 92, 64), (250, 214, 186))
HAIR = (
    ("blond", (222, 186, 104)),
    ("brown", (96, 62, 40)),
    ("black", (34, 30, 32)),
    ("red", (168, 70, 36)),
    ("grey", (160, 160, 164)),
)
SHOE, EYE, LIPS = paint((52, 42, 40)), paint((30, 26, 30)), paint((170, 70, 66))


@dataclass(frozen=True, eq=False)
class Person(Thing):
    """A person.

    Attributes:
        joints: (18, 3) world coordinates, metres, in the order of OpenPose: nose, neck, right shoulder,
            elbow, wrist, the left ones, right hip, knee, ankle, the left ones, right and left eye, ears.
    """

    joints: Floats


@dataclass(frozen=True, eq=False)
class Clothing:
    """What a person is made of."""

    shirt: Material
    trousers: Material
    skin: Material
    hair: Material
    nose: Material


@dataclass(frozen=True, eq=False)
class Figure:
    """A skeleton standing in the world on `place`, turned by `axes`, the head turned by `head_axes`."""

    bones: Skeleton
    place: Place
    axes: Floats
    head_axes: Floats

    def world(self, point: Floats) -> Floats:
        """World coordinates (3,) float32 of a point (3,) of the body."""
        return vector(np.asarray(self.place) + self.axes @ (point + np.array([0, self.bones.lift, 0])))

    def face(self, x: float, y: float, z: float) -> Floats:
        """World coordinates (3,) float32 of a point of the head, from its centre."""
        head = self.bones.head + np.array([0, self.bones.lift, 0])
        return vector(np.asarray(self.place) + self.axes @ (head + self.head_axes @ np.array([x, y, z])))


def person(draw: Draw, place: Place, yaw: float, pose: Pose) -> Person:
    """A person with both feet on `place`, turned by `yaw`; at 0 the face is towards -z."""
    skin = SKIN[draw.integer(0, len(SKIN))]
    hair_name, hair = HAIR[draw.integer(0, len(HAIR))]
    shirt_name, trousers_name = draw.pick_colour(), draw.pick_colour()
    shirt, trousers = Material(draw.tint(shirt_name)), Material(draw.tint(trousers_name))
    stripes = ""
    if draw.chance(0.25):
        shirt = replace(shirt, texture="bands", frequency=9.0, second=linear((236, 232, 222)))
        stripes = "striped "
    wear = Clothing(shirt, trousers, paint(skin), paint(hair), paint(np.array(skin) * 0.93))

    bones = skeleton(draw, pose)
    draw.normal(0.12)  # once the tilt of the head; the stream must still pass it
    figure = Figure(bones, place, rotation(yaw), rotation(draw.normal(0.2)))
    long_hair = draw.chance(0.4)
    solids = [*_trunk(figure, wear), *_limbs(figure, wear), *_head(figure, wear, long_hair)]

    noun = "person" if draw.chance(0.6) else ("woman" if long_hair else "man")
    clothes = with_article(f"{stripes}{shirt_name} shirt")
    if draw.chance(0.65):
        clothes += f" and {trousers_name} trousers"
    if draw.chance(0.35) and not pose.startswith("with"):
        noun += f" with {hair_name} hair"
    return Person(f"a {noun} in {clothes} {pose}", solids, _joints(figure))


def facing(draw: Draw) -> float:
    """The turn of a person, radians: towards the viewer, a little aside, or seldom away."""
    aside, away = draw.uniform(-0.9, 0.9), draw.uniform(-0.5, 0.5) + np.pi
    return draw.pick((0.0, aside, away), (0.35, 0.55, 0.10))


def _bone(figure: Figure, start: Floats, end: Floats, thickness: float, material: Material) -> Capsule:
    return Capsule(figure.world(start), figure.world(end), thickness, material, Label.PERSON)


def _trunk(figure: Figure, wear: Clothing) -> list[Primitive]:
    bones = figure.bones
    left, right, pelvis = bones.limbs[LEFT], bones.limbs[RIGHT], bones.pelvis
    chest = figure.world(pelvis * 0.35 + bones.neck * 0.65)
    waist = pelvis + np.array([0.05, 0.06, 0]), pelvis + np.array([-0.05, 0.06, 0])
    return [
        Ellipsoid(chest, (0.205, 0.27, 0.125), wear.shirt, Label.PERSON, figure.axes),
        _bone(figure, *waist, 0.125, wear.shirt),
        _bone(figure, left.shoulder, right.shoulder, 0.078, wear.shirt),
        _bone(figure, left.hip, right.hip, 0.118, wear.trousers),
        _bone(figure, bones.neck, bones.head, 0.052, wear.skin),
    ]


def _limbs(figure: Figure, wear: Clothing) -> list[Primitive]:
    """Arms in sleeves that end before the wrists, hands, legs and shoes."""
    solids: list[Primitive] = []
    for limb in figure.bones.limbs.values():
        elbow, wrist, ankle = limb.elbow, limb.wrist, limb.ankle
        hand = figure.world(wrist + (wrist - elbow) * 0.16)
        heel, toe = ankle + np.array([0, -0.02, 0]), ankle + np.array([0, -0.03, -0.14])
        solids += [
            _bone(figure, limb.shoulder, elbow, 0.066, wear.shirt),
            _bone(figure, elbow, elbow * 0.35 + wrist * 0.65, 0.05, wear.shirt),
            _bone(figure, elbow * 0.4 + wrist * 0.6, wrist, 0.042, wear.skin),
            Ellipsoid(hand, 0.06, wear.skin, Label.PERSON),
            _bone(figure, limb.hip, limb.knee, 0.092, wear.trousers),
            _bone(figure, limb.knee, ankle, 0.070, wear.trousers),
            _bone(figure, heel, toe, 0.055, SHOE),
        ]
    return solids


def _head(figure: Figure, wear: Clothing, long_hair: bool) -> list[Primitive]:
    def part(centre: Floats, radii: float | tuple[float, ...], material: Material, axes: Floats | None = None) -> Ellipsoid:
        return Ellipsoid(centre, radii, material, Label.PERSON, axes)

    solids: list[Primitive] = [
        part(figure.world(figure.bones.head), (0.105, 0.128, 0.112), wear.skin),
        part(figure.face(0, 0.04, 0.03), (0.118, 0.118, 0.112), wear.hair),
    ]
    if long_hair:
        solids.append(part(figure.face(0, -0.06, 0.06), (0.11, 0.15, 0.07), wear.hair))
    solids += [part(figure.face(side * 0.042, 0.012, -0.103), 0.017, EYE) for side in (LEFT, RIGHT)]
    solids.append(part(figure.face(0, -0.02, -0.118), 0.02, wear.nose))
    solids.append(part(figure.face(0, -0.065, -0.095), (0.035, 0.011, 0.02), LIPS, figure.axes))
    return solids


def _joints(figure: Figure) -> Floats:
    left, right = figure.bones.limbs[LEFT], figure.bones.limbs[RIGHT]
    body = [figure.bones.neck]
    for side in (right, left):
        body += [side.shoulder, side.elbow, side.wrist]
    for side in (right, left):
        body += [side.hip, side.knee, side.ankle]
    face = figure.face
    eyes = [face(-0.042, 0.012, -0.1), face(0.042, 0.012, -0.1)]
    ears = [face(-0.112, 0, 0.0), face(0.112, 0, 0.0)]
    return np.array([face(0, -0.02, -0.12), *map(figure.world, body), *eyes, *ears])

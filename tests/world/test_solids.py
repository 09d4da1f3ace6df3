"""Every solid keeps its contract: hits lie on the surface, normals face the ray, bounds hold."""

from collections.abc import Callable

import numpy as np
import pytest

from zeroconv.world.geometry.materials import paint
from zeroconv.world.geometry.palette import Label
from zeroconv.world.geometry.polyhedra import box, prism, taper
from zeroconv.world.geometry.primitive import Primitive
from zeroconv.world.geometry.rounds import Capsule, Cone, Ellipsoid
from zeroconv.world.geometry.vectors import FAR, Floats, column, dot, rotation, vector

WHITE = paint((255, 255, 255))
SOLIDS: dict[str, Callable[[], Primitive]] = {
    "box": lambda: box((0.3, -0.2, 4), (0.9, 0.5, 0.7), WHITE, Label.BOX, 0.7),
    "roof": lambda: prism((0, -0.5, 4), (1.1, 0.8), 0.9, WHITE, Label.HOUSE, 0.4, "z"),
    "taper": lambda: taper((0, 0, 4), (1.0, 0.6, 0.8), (0.4, 0.3), WHITE, Label.CAR, -0.5),
    "ball": lambda: Ellipsoid((0.2, 0.1, 4), 0.9, WHITE, Label.BALL),
    "ellipsoid": lambda: Ellipsoid((0, 0, 4), (1.2, 0.6, 0.9), WHITE, Label.ROCK, rotation(0.8)),
    "cylinder": lambda: Cone((-0.4, -0.8, 4), (0.5, 0.7, 4.3), 0.6, 0.6, WHITE, Label.COLUMN),
    "cone": lambda: Cone((0, -0.9, 4), (0, 0.9, 4), 0.9, 0.1, WHITE, Label.COLUMN),
    "capsule": lambda: Capsule((-0.7, -0.4, 4), (0.6, 0.5, 4.4), 0.4, WHITE, Label.PERSON),
}


def rays() -> tuple[Floats, Floats]:
    """Starts (3, N) around the viewer and unit directions (3, N) towards the solids."""
    draw = np.random.default_rng(5)
    starts = draw.uniform(-0.5, 0.5, (3, 3000)).astype(np.float32)
    aims = draw.uniform(-1.4, 1.4, (3, 3000)).astype(np.float32) + column(vector((0, 0, 4)))
    directions = aims - starts
    return starts, directions / np.sqrt(dot(directions, directions))


@pytest.mark.parametrize("name", SOLIDS)
def test_hits_lie_on_the_surface_and_inside_the_bounds(name: str) -> None:
    solid = SOLIDS[name]()
    starts, directions = rays()
    t = solid.hit(starts, directions)
    met = t < FAR
    assert 0.1 < met.mean() < 0.95
    points = (starts + directions * t)[:, met]
    assert np.abs(solid.distance(points)).max() < 2e-3
    assert np.linalg.norm(points - column(solid.centre), axis=0).max() < solid.radius + 1e-3
    assert (points.min(1) > solid.corners.min(0) - 1e-3).all()
    assert (points.max(1) < solid.corners.max(0) + 1e-3).all()


@pytest.mark.parametrize("name", SOLIDS)
def test_normals_are_unit_and_face_the_ray(name: str) -> None:
    solid = SOLIDS[name]()
    starts, directions = rays()
    t = solid.hit(starts, directions)
    met = t < FAR
    normals = solid.normal((starts + directions * t)[:, met])
    np.testing.assert_allclose(np.linalg.norm(normals, axis=0), 1, atol=2e-3)
    facing = dot(normals, directions[:, met])
    assert np.quantile(facing, 0.995) < 0
    assert facing.max() < 0.1
    np.testing.assert_allclose(np.linalg.norm(solid.local_normal(normals), axis=0), 1, atol=2e-3)


@pytest.mark.parametrize("name", SOLIDS)
def test_missed_rays_stay_outside(name: str) -> None:
    """Marching along the ray is an oracle for `hit`: no point of a missed ray is inside."""
    solid = SOLIDS[name]()
    starts, directions = rays()
    missed = solid.hit(starts, directions) == FAR
    for t in np.linspace(1, 8, 40):
        assert solid.distance((starts + directions * np.float32(t))[:, missed]).min() > -2e-3


def test_a_ball_is_hit_where_geometry_says() -> None:
    ball = Ellipsoid((0, 0, 5), 2.0, WHITE, Label.BALL)
    hits = ball.hit(np.zeros((3, 1), np.float32), column(vector((0, 0, 1))))
    np.testing.assert_allclose(hits, [3.0], rtol=1e-6)


def test_a_capsule_without_length_is_a_ball() -> None:
    capsule = Capsule((0, 0, 4), (0, 0, 4), 0.8, WHITE, Label.PERSON)
    ball = Ellipsoid((0, 0, 4), 0.8, WHITE, Label.PERSON)
    starts, directions = rays()
    np.testing.assert_allclose(capsule.hit(starts, directions), ball.hit(starts, directions), rtol=1e-3)


def test_a_box_has_its_six_normals() -> None:
    cube = box((0, 0, 0), (1, 1, 1), WHITE, Label.BOX)
    faces = np.concatenate([np.eye(3), -np.eye(3)], 1).astype(np.float32)
    np.testing.assert_array_equal(cube.normal(faces), faces)
    np.testing.assert_allclose(cube.distance(faces * 3), 2)

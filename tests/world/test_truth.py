"""Laws of the truth that comes with every picture."""

from functools import cache

import numpy as np
import pytest

from zeroconv.world import KINDS, Picture, make, scene
from zeroconv.world.geometry.palette import Label

SIZE = 64
EACH = [(kind, seed) for kind in KINDS for seed in (700, 702)]
UNREACHED = (Label.SKY, Label.MOUNTAIN)
"""Classes that are painted on the sky, without a surface."""

AT_RIMS = 0.002
"""Share of samples whose normal may face away: where the cap of a cone meets its mantle, either may be chosen."""


@cache
def picture_of(kind: str, seed: int) -> Picture:
    return make(seed, kind, SIZE)


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_depth_is_positive_and_infinite_exactly_in_the_sky(kind: str, seed: int) -> None:
    picture = picture_of(kind, seed)
    assert (picture.distance > 0).all()
    np.testing.assert_array_equal(np.isinf(picture.distance), picture.classes == Label.SKY)


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_surfaces_have_unit_normals_that_face_the_camera(kind: str, seed: int) -> None:
    picture = picture_of(kind, seed)
    reached = ~np.isin(picture.classes, UNREACHED)
    lengths = np.linalg.norm(picture.normals, axis=-1)
    np.testing.assert_allclose(lengths[reached], 1, atol=1e-2)
    np.testing.assert_array_equal(lengths[~reached], 0)
    width = SIZE * 2
    camera = scene(seed, kind).camera
    rays = camera.normals(camera.rays(width)).reshape(3, width, width)[:, ::2, ::2]
    towards = (picture.normals.transpose(2, 0, 1) * rays).sum(0)
    assert (towards[reached] > 0.02).mean() < AT_RIMS


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_neighbouring_depths_agree_with_the_normals(kind: str, seed: int) -> None:
    """The slope of the depth is an oracle for the normals: both come from different formulas."""
    picture = picture_of(kind, seed)
    width = SIZE * 2
    camera = scene(seed, kind).camera
    rays = camera.normals(camera.rays(width)).reshape(3, width, width)[:, ::2, ::2]
    points = rays / rays[2] * np.where(np.isinf(picture.distance), 0, picture.distance)
    across, down = np.diff(points, axis=2)[:, :-1], np.diff(points, axis=1)[:, :, :-1]
    slopes = np.cross(down, across, axis=0)
    slopes /= np.linalg.norm(slopes, axis=0) + 1e-12
    agreement = np.abs((slopes * picture.normals[:-1, :-1].transpose(2, 0, 1)).sum(0))
    reached = ~np.isin(picture.classes, UNREACHED)[:-1, :-1]
    assert np.median(agreement[reached]) > 0.99


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_classes_are_known_and_fit_the_kind(kind: str, seed: int) -> None:
    present = set(np.unique(picture_of(kind, seed).classes).tolist())
    assert present <= {int(label) for label in Label}
    subject = {
        "house": Label.HOUSE,
        "car": Label.CAR,
        "tree": Label.TREE,
        "person": Label.PERSON,
        "still-life": Label.TABLE,
        "room": Label.WALL,
        "person-indoors": Label.PERSON,
    }
    assert subject[kind] in present
    assert (Label.CEILING in present or Label.WALL in present) == (kind in ("still-life", "room", "person-indoors"))


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_joints_lie_on_the_person(kind: str, seed: int) -> None:
    picture = picture_of(kind, seed)
    if not kind.startswith("person"):
        assert picture.keypoints is None
        return
    assert picture.keypoints is not None
    visible = picture.keypoints[picture.keypoints[:, 2] == 1]
    assert len(visible) >= 12
    assert set(picture.keypoints[:, 2].tolist()) <= {0, 1}
    assert (visible[:, :2] > -0.5).all()
    assert (visible[:, :2] < SIZE).all()
    columns, rows = np.clip(visible[:, :2].astype(int), 0, SIZE - 1).T
    near = np.zeros((SIZE, SIZE), np.bool_)
    rows_of, columns_of = np.nonzero(picture.classes == Label.PERSON)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            near[np.clip(rows_of + dy, 0, SIZE - 1), np.clip(columns_of + dx, 0, SIZE - 1)] = True
    assert near[rows, columns].mean() > 0.8


def test_a_person_seen_from_the_front_has_the_right_arm_on_the_left_of_the_picture() -> None:
    for seed in range(15):
        joints = scene(seed, "person").joints
        assert joints is not None
        nose, right, left = joints[0], joints[2], joints[5]
        if nose[2] < joints[1][2] - 0.08:  # the face is turned to the camera
            assert right[0] < left[0]


@pytest.mark.parametrize(("kind", "seed"), EACH)
def test_pictures_are_neither_black_nor_white(kind: str, seed: int) -> None:
    rgb = picture_of(kind, seed).rgb
    assert 12 < rgb.mean() < 243
    assert rgb.std() > 8

"""Normals of known geometry: a sphere, planes, a stepped ramp; both conventions; what the extractor refuses."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conditions.scenes import COUNT, picture, rendering, true_map
from zeroconv.conditions.normal import (
    NORMAL,
    normal,
    normal_map,
    normals_from_depth,
    read_normals,
)
from zeroconv.metrics.geometry import angle_scores, angles_between

VIEW = 46.0  # degrees across a picture of the tiny world


def normals_from_distance(distance: np.ndarray, field_of_view: float = VIEW) -> np.ndarray:
    """Exact normals of a surface from distances seen by a pinhole camera.

    Of the two neighbours on an axis the one at the more similar distance is taken, so that edges stay sharp; both
    where they are alike.

    Args:
        distance: (H, W) along the line of sight, in any unit; infinity for no surface.
        field_of_view: degrees across the picture's width.

    Returns:
        (H, W, 3) unit vectors in the camera's frame, float32; (0, 0, 0) for no surface.
    """
    height, width = distance.shape
    half = np.tan(np.radians(field_of_view) / 2)
    x = ((np.arange(width) + 0.5) / width * 2 - 1) * half
    y = -((np.arange(height) + 0.5) * 2 - height) / width * half
    rays = np.stack(np.broadcast_arrays(x[None], y[:, None], 1.0), axis=-1)
    rays = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    there = np.isfinite(distance)
    points = rays * np.where(there, distance, np.nan)[..., None]
    vectors = np.cross(tangent(points, 1), tangent(points, 0))
    vectors *= -np.sign((vectors * rays).sum(-1, keepdims=True))  # towards the camera
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=np.isfinite(lengths) & (lengths > 0))
    return unit.astype(np.float32)


def tangent(points: np.ndarray, axis: int) -> np.ndarray:
    """The direction of a surface along an axis of the picture, (H, W, 3); nan where it has no neighbour."""
    step = np.diff(points, axis=axis, append=np.nan)
    before = np.diff(points, axis=axis, prepend=np.nan)
    sizes = [np.nan_to_num(np.linalg.norm(one, axis=-1, keepdims=True), nan=np.inf) for one in (step, before)]
    alike = np.maximum(*sizes) < 2 * np.minimum(*sizes)
    return np.where(alike, (step + before) / 2, np.where(sizes[0] <= sizes[1], step, before))


def rays(width: int, height: int) -> np.ndarray:
    half = np.tan(np.radians(VIEW) / 2)
    x = ((np.arange(width) + 0.5) / width * 2 - 1) * half
    y = -((np.arange(height) + 0.5) / height * 2 - 1) * half * height / width
    found = np.stack([*np.meshgrid(x, y), np.ones((height, width))], axis=-1)
    return found / np.linalg.norm(found, axis=-1, keepdims=True)


def sphere(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances and normals of a ball of radius 1, 4 in front."""
    ray, centre = rays(width, height), np.array([0, 0, 4.0])
    along = ray @ centre
    inside = along**2 - centre @ centre + 1
    distance = np.where(inside > 0, along - np.sqrt(np.maximum(inside, 0)), np.inf)
    points = ray * np.where(inside > 0, distance, 0)[..., None]
    return distance, np.where(inside[..., None] > 0, points - centre, 0)


@pytest.mark.parametrize("size", [(128, 128), (160, 100)])
def test_a_spheres_normals_are_exact_but_for_its_rim(size: tuple[int, int]) -> None:
    distance, normals = sphere(*size)
    found = normals_from_distance(distance, VIEW)
    assert np.array_equal(found.any(-1), np.isfinite(distance))
    middle = normals[..., 2] < -0.5
    assert middle.sum() > 1000
    assert angles_between(found, normals)[middle].max() < 2
    assert angle_scores(found, normals).mean < 3


@given(x=st.floats(-0.6, 0.6), y=st.floats(-0.6, 0.6))
def test_a_planes_normal_is_exact_up_to_the_border(x: float, y: float) -> None:
    plane = np.array([x, y, -1.0]) / np.linalg.norm([x, y, -1.0])
    ray = rays(24, 16)
    distance = (plane @ [0, 0, 3.0]) / (ray @ plane)
    found = normals_from_distance(distance, VIEW)
    assert angles_between(found, np.broadcast_to(plane, found.shape)).max() < 0.01


def test_a_stepped_ramp_faces_the_camera_on_every_step() -> None:
    """Fronto-parallel steps: no slope across a step's edge is taken for a surface."""
    ray = rays(64, 48)
    depth = np.repeat([5.0, 4.0, 3.0, 2.0], 16)[None].repeat(48, 0)
    found = normals_from_distance(depth / ray[..., 2], VIEW)
    assert angles_between(found, np.broadcast_to([0, 0, -1.0], found.shape)).max() < 0.01


def test_a_single_pixel_has_no_surface_and_tiny_ones_do_no_harm() -> None:
    assert not normals_from_distance(np.ones((1, 1))).any()
    for shape in ((1, 5), (5, 1), (2, 2)):
        assert np.isfinite(normals_from_distance(np.ones(shape))).all()
        assert np.isfinite(normals_from_depth(np.ones(shape, np.float32))).all()


def test_depth_that_grows_to_the_right_faces_left_and_to_the_ground_faces_up() -> None:
    ramp = np.tile(np.linspace(0.2, 1, 41, dtype=np.float32), (41, 1))
    left, top = normals_from_depth(ramp, strength=2.0), normals_from_depth(ramp.T, strength=2.0)
    slope = 2 * 0.8 / 40 * 41  # twice the slope across the picture
    assert np.allclose(left, np.array([-slope, 0, -1]) / np.hypot(slope, 1), atol=1e-5)
    assert np.allclose(top, np.array([0, slope, -1]) / np.hypot(slope, 1), atol=1e-5)
    red, green, blue = np.asarray(normal_map(left))[20, 20].tolist()
    assert red > 200 and green == 128 and blue > 180


def test_the_map_does_not_depend_on_the_resolution() -> None:
    small, large = (np.tile(np.linspace(0, 1, n, dtype=np.float32), (n, 1)) for n in (65, 513))
    assert np.abs(normals_from_depth(small)[32, 32] - normals_from_depth(large)[256, 256]).max() < 0.01


def test_background_faces_the_camera() -> None:
    ramp = np.tile(np.linspace(0, 1, 50, dtype=np.float32), (50, 1))
    found = normals_from_depth(ramp, background=0.4)
    assert np.array_equal((found == [0, 0, -1]).all(-1), ramp < 0.4)


@given(seed=st.integers(0, 2**32 - 1))
def test_flips_commute(seed: int) -> None:
    depth = np.random.default_rng(seed).random((9, 13)).astype(np.float32)
    mirrored = normals_from_depth(depth[:, ::-1])[:, ::-1] * [-1, 1, 1]
    assert np.allclose(mirrored, normals_from_depth(depth), atol=1e-5)
    upside_down = normals_from_depth(depth[::-1])[::-1] * [1, -1, 1]
    assert np.allclose(upside_down, normals_from_depth(depth), atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_conventions_differ_by_the_order_of_channels_and_can_be_read_back(seed: int) -> None:
    normals = np.random.default_rng(seed).normal(size=(5, 7, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    new, old = normal_map(normals), normal_map(normals, "v1.0")
    assert np.array_equal(np.asarray(new)[..., ::-1], np.asarray(old))
    for drawn, convention in ((new, "bae"), (old, "v1.0")):
        assert angles_between(read_normals(drawn, convention), normals).max() < 0.6


def test_truth_has_the_normals_that_its_distances_have() -> None:
    """The renderer also bends normals for the look of water, grass and bark, so the two are near, not equal."""
    errors = [angle_scores(normals_from_distance(picture(i).distance), picture(i).normals) for i in range(COUNT)]
    assert np.mean([error.mean for error in errors]) < 15
    assert np.mean([error.within_30 for error in errors]) > 0.9


@pytest.mark.parametrize(
    "parameters",
    [{"background": -0.1}, {"background": 1.5}, {"strength": 0}, {"strength": float("nan")}, {"convention": "rgb"},
     {"method": "midas"}],
)  # fmt: skip
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        normal(rendering(0), **parameters)
    assert "\n" not in str(caught.value)


def test_the_conventions_of_an_extracted_map_differ_by_the_order_of_channels() -> None:
    made = normal(rendering(0))
    assert np.array_equal(np.asarray(made)[..., ::-1], np.asarray(normal(rendering(0), convention="v1.0")))


def test_own_normals_are_met_better_than_flat_ones() -> None:
    flat = normal_map(np.zeros((128, 128, 3)))
    own = [NORMAL.fidelity(rendering(i), true_map(i, "normal")) for i in range(COUNT)]
    assert np.mean(own) > np.mean([NORMAL.fidelity(rendering(i), flat) for i in range(COUNT)]) + 0.05

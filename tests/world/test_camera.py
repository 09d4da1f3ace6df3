"""The camera is a level pinhole: rays and projection are each other's inverse."""

import numpy as np
import pytest

from zeroconv.world import KINDS, scene
from zeroconv.world.geometry.camera import Camera
from zeroconv.world.geometry.vectors import column

CAMERA = Camera.looking((1.0, 1.5, -4.0), (0.2, 0.8, 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_cameras_never_roll_and_stand_above_the_ground(kind: str) -> None:
    for seed in range(5):
        camera = scene(seed, kind).camera
        assert camera.axes[0, 1] == 0  # the right axis is level
        assert camera.axes[1, 1] > 0.5  # up is up
        assert camera.eye[1] > 0.5
        np.testing.assert_allclose(camera.axes @ camera.axes.T, np.eye(3), atol=1e-6)


def test_points_on_a_ray_are_seen_at_its_sample() -> None:
    width = 16
    rays = CAMERA.rays(width)
    np.testing.assert_allclose(np.linalg.norm(rays, axis=0), 1, atol=1e-6)
    x, y, depth = CAMERA.project((column(CAMERA.eye) + rays * 3).T)
    grid = (np.arange(width) + 0.5) / width * 2 - 1
    np.testing.assert_allclose(x.reshape(width, width), np.broadcast_to(grid, (width, width)), atol=1e-5)
    np.testing.assert_allclose(y.reshape(width, width), np.broadcast_to(grid[:, None], (width, width)), atol=1e-5)
    np.testing.assert_allclose(depth, CAMERA.depth(np.full(width**2, np.float32(3)), rays), atol=1e-5)


def test_the_aim_is_in_the_middle() -> None:
    x, y, depth = CAMERA.project(np.array([[0.2, 0.8, 0.0]], np.float32))
    np.testing.assert_allclose([x[0], y[0]], 0, atol=1e-6)
    assert depth[0] > 0


def test_windows_hold_what_they_should() -> None:
    corners = np.array([[0.1, 0.7, 0], [0.3, 0.9, 0]], np.float32)
    window = CAMERA.window(corners, 64)
    assert window is not None
    rows, columns = window
    assert rows.start <= 32 <= rows.stop
    assert columns.start <= 32 <= columns.stop
    assert rows.stop - rows.start < 16
    behind = corners - np.float32(10) * CAMERA.axes[2]
    assert CAMERA.window(behind, 64) is None
    assert CAMERA.window(np.concatenate([corners, behind]), 64) == (slice(0, 64), slice(0, 64))
    assert CAMERA.window(corners + np.float32(50) * CAMERA.axes[0], 64) is None

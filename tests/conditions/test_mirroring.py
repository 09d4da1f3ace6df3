"""The map of the mirrored picture: what says left or right in its colours is exchanged with it."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from zeroconv import conditions
from zeroconv.conditions.normal import normal_map, read_normals
from zeroconv.conditions.openpose.drawing import JOINTS, draw_pose
from zeroconv.conditions.openpose.mirroring import counterpart, mirror_pose
from zeroconv.conditions.openpose.reading import read_joints
from zeroconv.world import make

SIDES = [make(seed) for seed in range(900_000_100, 900_000_124)]
PEOPLE = [scene.keypoints for scene in SIDES if scene.keypoints is not None]


def mirrored(joints: np.ndarray, width: int) -> np.ndarray:
    """The joints of the mirrored person."""
    turned = joints[[counterpart(i) for i in range(len(JOINTS))]].copy()
    turned[:, 0] = width - 1 - turned[:, 0]
    return turned


@pytest.mark.parametrize("side", [128, 512])
def test_a_drawn_skeleton_mirrored_is_the_skeleton_of_the_mirrored_person(side: int) -> None:
    assert len(PEOPLE) >= 4
    for person in PEOPLE:
        joints = person * [side / 128, side / 128, 1]
        found = np.asarray(mirror_pose(draw_pose(joints, (side, side)))).astype(int)
        wanted = np.asarray(draw_pose(mirrored(joints, side), (side, side))).astype(int)
        lit = (found.max(axis=2) > 40) & (wanted.max(axis=2) > 40)  # ellipses are drawn between whole pixels
        plain = np.asarray(ImageOps.mirror(draw_pose(joints, (side, side)))).astype(int)
        apart, unchanged = (np.abs(one - wanted).sum(axis=2)[lit] > 96 for one in (found, plain))
        assert apart.mean() < (0.15 if side == 128 else 0.05) and apart.mean() < 0.25 * unchanged.mean()


def test_a_right_arm_is_a_left_one_then() -> None:
    """All but joints of which hardly a pixel can be seen."""
    found: list[bool] = []
    for person in PEOPLE:
        whole = draw_pose(person * [4, 4, 1], (512, 512))
        before, after = read_joints(whole), read_joints(conditions.get("pose").mirror(whole))
        for joint, (x, y) in before.items():
            seen = after.get(counterpart(joint), (9.0, 9.0))
            found.append(abs(seen[0] - (1 - x)) < 0.01 and abs(seen[1] - y) < 0.01)
        assert not conditions.get("pose").check(mirror_pose(whole))
    assert len(found) > 150 and np.mean(found) > 0.98


def test_twice_is_once_and_no_colour_is_new() -> None:
    whole = draw_pose(np.stack(PEOPLE) * [4, 4, 1], (512, 512))
    twice = np.abs(np.asarray(mirror_pose(mirror_pose(whole))).astype(int) - np.asarray(whole)).sum(axis=2)
    assert (twice[np.asarray(whole).any(axis=2)] > 48).mean() < 0.05
    assert mirror_pose(Image.new("RGB", (40, 30))) == Image.new("RGB", (40, 30))


def test_normals_face_the_other_way() -> None:
    whole = normal_map(SIDES[0].normals)
    turned = conditions.get("normal").mirror(whole)
    wanted = read_normals(whole)[:, ::-1] * [-1, 1, 1]
    assert np.abs(read_normals(turned) - wanted).max() < 0.02
    assert conditions.get("normal").mirror(turned) == whole


@pytest.mark.parametrize("name", ["canny", "depth", "segmentation", "scribble", "soft-edge", "lineart", "lines", "tile"])
def test_other_maps_are_turned_round_alone(name: str) -> None:
    image = Image.fromarray(SIDES[0].rgb)
    whole = conditions.extract(name, image)
    assert conditions.get(name).mirror(whole) == ImageOps.mirror(whole)

"""Depth, segmentation and pose read from pictures of the tiny world by the embedded annotator."""

import numpy as np
import pytest
from PIL import Image

from tests.conditions.scenes import COUNT, picture, rendering, true_map
from zeroconv.conditions.depth import inverse_depth
from zeroconv.conditions.openpose.reading import read_joints
from zeroconv.conditions.pose import estimate_people, pose
from zeroconv.conditions.segmentation import UNKNOWN, read_classes, segmentation
from zeroconv.metrics.geometry import depth_scores
from zeroconv.metrics.keypoints import pck
from zeroconv.metrics.segmentation import mean_iou

PEOPLE = [i for i in range(COUNT) if picture(i).keypoints is not None]


def test_depth_meets_the_truth() -> None:
    scores = [depth_scores(inverse_depth(rendering(i)), np.asarray(true_map(i, "depth"))[..., 0] / 255) for i in range(COUNT)]
    assert np.mean([score.delta1 for score in scores]) > 0.8
    assert np.mean([score.rmse for score in scores]) < 0.1


def test_segmentation_meets_the_truth_in_the_palettes_colours() -> None:
    found = [read_classes(segmentation(rendering(i))) for i in range(COUNT)]
    assert all(UNKNOWN not in classes for classes in found)
    wanted = [read_classes(true_map(i, "segmentation")) for i in range(COUNT)]
    assert np.mean([mean_iou(*pair, least=0.005) for pair in zip(found, wanted, strict=True)]) > 0.55


def test_people_are_found_where_they_are_and_nowhere_else() -> None:
    met: list[float] = []
    for i in PEOPLE:
        (found,), wanted = estimate_people(rendering(i)).body, picture(i).keypoints
        assert wanted is not None and found.shape == (18, 3)
        met.append(pck(found[:, :2], wanted[:, :2], wanted[:, 2], 0.1, 128))
    assert np.mean(met) > 0.6
    assert estimate_people(rendering(PEOPLE[0]), threshold=1.0).body.shape == (0, 18, 3)
    assert estimate_people(Image.new("RGB", (64, 64))).body.shape == (0, 18, 3)


def test_positions_are_in_pixels_of_the_picture() -> None:
    small, large = (estimate_people(rendering(PEOPLE[0]).resize(size)).body for size in ((128, 128), (512, 512)))
    seen = (small[0, :, 2] > 0.6) & (large[0, :, 2] > 0.6)
    assert seen.sum() > 5
    assert np.abs(large[0, seen, :2] - small[0, seen, :2] * 4).max() < 12


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_thresholds_that_make_no_sense_are_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="expected 0 … 1"):
        pose(rendering(0), threshold=threshold)


def test_a_drawn_pose_has_the_joints_that_were_found() -> None:
    image = rendering(PEOPLE[0])
    (found,) = estimate_people(image).body
    for joint, (x, y) in read_joints(pose(image)).items():
        assert found[joint, 2] > 0 and np.hypot(x * 128 - found[joint, 0], y * 128 - found[joint, 1]) < 3

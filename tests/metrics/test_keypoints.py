"""Keypoint metrics by known answers, worked out by hand."""

import numpy as np
import pytest

from zeroconv.conditions.openpose.drawing import JOINTS
from zeroconv.metrics.keypoints import COCO_SPREADS, OPENPOSE_SPREADS, oks, pck


def test_joints_within_the_distance_are_met() -> None:
    wanted = np.zeros((4, 2))
    found = np.array([[0, 0], [3, 4], [0, 5.01], [100, 0]])
    seen = np.array([1, 1, 1, 0])
    assert pck(found, wanted, seen, 5) == pytest.approx(2 / 3)
    assert pck(found, wanted, seen, 0.05, length=100) == pytest.approx(2 / 3)
    assert pck(found, wanted, np.ones(4), 4.9) == 0.25
    assert pck(found, wanted, np.zeros(4), 5) == 1


def test_oks_by_hand() -> None:
    """A joint that is off by its own spread times the person's size: exp(-1/8), as k is two spreads."""
    wanted, area = np.full((18, 2), 50.0), 10_000.0
    assert oks(wanted, wanted, np.ones(18), area) == 1
    found = wanted + np.stack([OPENPOSE_SPREADS * 100, np.zeros(18)], axis=1)
    assert oks(found, wanted, np.ones(18), area) == pytest.approx(np.exp(-1 / 8))
    one = np.zeros(18)
    one[0] = 1
    assert oks(wanted + np.array([5.2, 0]), wanted, one, area) == pytest.approx(np.exp(-(5.2**2) / (2 * area * 0.052**2)))
    assert oks(found, wanted, np.zeros(18), area) == 1
    assert oks(np.full((17, 2), 1e4), np.zeros((17, 2)), np.ones(17), 1.0, COCO_SPREADS) == 0
    with pytest.raises(ValueError, match="got 17 joints"):
        oks(wanted[:17], wanted[:17], np.ones(17), area)
    with pytest.raises(ValueError, match="an area above 0"):
        oks(wanted, wanted, np.ones(18), 0)


def test_openposes_spreads_are_cocos() -> None:
    coco = {"nose": 0, "eye": 1, "ear": 3, "shoulder": 5, "elbow": 7, "wrist": 9, "hip": 11, "knee": 13, "ankle": 15}
    assert len(COCO_SPREADS) == 17 and len(OPENPOSE_SPREADS) == len(JOINTS)
    for name, spread in zip(JOINTS, OPENPOSE_SPREADS, strict=True):
        kind = name.split()[-1].replace("neck", "shoulder")
        assert spread == COCO_SPREADS[coco[kind]]

"""Mean IoU by hand, and its laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.segmentation import mean_iou

seeds = st.integers(0, 2**32 - 1)


def test_overlap_by_hand() -> None:
    wanted = np.array([[0, 0, 1, 1], [0, 0, 1, 255]])
    found = np.array([[0, 0, 0, 1], [0, 0, 1, 1]])
    assert mean_iou(found, wanted) == pytest.approx((4 / 5 + 2 / 3) / 2)  # what is ignored counts on neither side
    assert mean_iou(found, wanted, ignore=-1) == pytest.approx((4 / 5 + 2 / 4 + 0) / 3)
    assert mean_iou(found, wanted, least=0.4) == pytest.approx(4 / 5)
    assert mean_iou(found, np.full((2, 4), 255)) == 1


@given(seed=seeds)
def test_overlap_laws(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 4, (2, 6, 6))
    assert mean_iou(a, a) == 1
    assert 0 <= mean_iou(a, b) <= 1
    assert mean_iou(a + 4, a) == 0

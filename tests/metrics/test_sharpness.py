"""The mean gradient by hand, and its laws."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.sharpness import mean_gradient

seeds = st.integers(0, 2**32 - 1)


def test_gradients_by_hand() -> None:
    assert mean_gradient(np.full((8, 8, 3), 77, np.uint8)) == 0
    step = np.repeat([[0, 0, 90, 90]], 4, 0)
    assert mean_gradient(step) == pytest.approx(90 / 3)
    assert mean_gradient(np.stack([step] * 3, 2).astype(np.uint8)) == pytest.approx(90 / 3)  # weights of the luma add up to 1
    assert mean_gradient(np.array([[0, 3], [4, 9]])) == pytest.approx(5)


@given(seed=seeds, sigma=st.floats(0.5, 3))
def test_blurring_lowers_it(seed: int, sigma: float) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (24, 24, 3)).astype(np.uint8)
    blurred = cv2.GaussianBlur(picture, (0, 0), sigma)
    assert mean_gradient(blurred) < mean_gradient(picture)


@given(seed=seeds)
def test_it_is_of_degree_one_and_blind_to_brightness(seed: int) -> None:
    picture = np.random.default_rng(seed).random((12, 12)) * 100
    assert mean_gradient(2 * picture + 30) == pytest.approx(2 * mean_gradient(picture))
    assert mean_gradient(picture[::-1, ::-1].T) == pytest.approx(mean_gradient(picture), rel=0.2)


@pytest.mark.parametrize("shape", [(1, 9, 3), (4, 4, 4), (4,), (2, 3, 4, 3)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected"):
        mean_gradient(np.zeros(shape))

"""SSIM against scikit-image, and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroconv.metrics.ssim import ssim


def noisy_pair(seed: int, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, shape, dtype=np.uint8)
    return a, (a + rng.integers(-60, 61, shape)).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("seed", "shape", "known"),
    [
        (0, (64, 64), 0.9051724824037705),
        (1, (23, 41), 0.904459399454353),
        (2, (11, 90), 0.9127723635724742),
        (3, (120, 12), 0.8989991421619614),
    ],
)
def test_ssim_is_scikit_images(seed: int, shape: tuple[int, int], known: float) -> None:
    """From scikit-image 0.26: structural_similarity(a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    data_range=255)."""
    assert ssim(*noisy_pair(seed, shape)) == pytest.approx(known, abs=1e-9)


@given(a=st.integers(0, 255), b=st.integers(0, 255))
def test_ssim_of_two_flat_pictures_by_hand(a: int, b: int) -> None:
    c1 = (0.01 * 255) ** 2
    flat = np.full((20, 15), a, np.uint8), np.full((20, 15), b, np.uint8)
    assert ssim(*flat) == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1))
    assert ssim(*flat) == pytest.approx(ssim(*flat[::-1]))

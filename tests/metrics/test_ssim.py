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
    assert ssim(*flat) == pytest.approx(ssim(flat[1], flat[0]))


def test_only_windows_with_something_lit_count() -> None:
    """A black margin changes nothing; the windows are the same whatever the order; nothing lit is alike."""
    a, b = (np.where(one > 200, one, 0).astype(np.uint8) for one in noisy_pair(5, (60, 50)))
    a[:, :20] = b[:, :20] = a[:12] = b[:12] = 0
    wide = [np.pad(one, 200) for one in (a, b)]
    assert ssim(wide[0], wide[1], lit=201) == pytest.approx(ssim(wide[1], wide[0], lit=201))
    assert ssim(wide[0], wide[1], lit=201) < ssim(wide[0], wide[1]) - 0.01
    assert ssim(wide[0], wide[1], lit=201) == pytest.approx(ssim(np.pad(a, 30), np.pad(b, 30), lit=201))
    assert ssim(np.zeros((20, 20)), np.full((20, 20), 9), lit=10) == 1
    assert ssim(np.zeros((20, 20)), np.full((20, 20), 10), lit=10) < 0.1


def test_windows_by_hand() -> None:
    """One lit pixel among black ones is seen by the 11 x 11 windows around it, in either picture."""
    black, dot = np.zeros((41, 41)), np.zeros((41, 41))
    dot[20, 20] = 255
    everything, seen = ssim(dot, black), ssim(dot, black, lit=255)
    assert 1 - seen == pytest.approx((1 - everything) * 31 * 31 / (11 * 11))

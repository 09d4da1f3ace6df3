"""MS-SSIM: its laws, and torchmetrics' own number."""

import numpy as np
import pytest

from tests.metrics.test_ssim import noisy_pair
from zeroconv.metrics.ms_ssim import SMALLEST, WEIGHTS, ms_ssim


@pytest.mark.parametrize(("seed", "shape"), [(0, (192, 192)), (1, (177, 301)), (2, (256, 176))])
def test_equal_to_torchmetrics(seed: int, shape: tuple[int, int]) -> None:
    import torch
    from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as of_torchmetrics

    a, b = noisy_pair(seed, shape)
    first, second = (torch.from_numpy(one).double()[None, None] / 255 for one in (a, b))
    known = float(of_torchmetrics(first, second, data_range=1.0, normalize="relu"))
    assert ms_ssim(a, b) == pytest.approx(known, abs=1e-6)
    assert ms_ssim(a, b) == pytest.approx(ms_ssim(b, a), abs=1e-12)


def test_of_a_picture_with_itself_and_with_its_opposite() -> None:
    a, _ = noisy_pair(3, (SMALLEST, SMALLEST))
    assert ms_ssim(a, a) == pytest.approx(1)
    assert ms_ssim(a, 255 - a) == 0
    flat = np.full((200, 200), 40, np.uint8)
    c1 = (0.01 * 255) ** 2  # two flat pictures differ by their luminance at the coarsest scale alone
    luminance = (2 * 40 * 200 + c1) / (40**2 + 200**2 + c1)
    assert ms_ssim(flat, np.full_like(flat, 200)) == pytest.approx(luminance ** WEIGHTS[-1])


def test_small_or_unlike_pictures_are_refused() -> None:
    small = np.zeros((SMALLEST - 1, 300))
    with pytest.raises(ValueError, match="176 pixels or more each way"):
        ms_ssim(small, small)
    with pytest.raises(ValueError, match="of one shape"):
        ms_ssim(np.zeros((200, 200)), np.zeros((200, 201)))

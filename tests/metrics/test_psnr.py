"""Normalized PSNR by hand."""

import numpy as np
import pytest

from zeroconv.metrics.psnr import normalized_psnr


def test_normalized_psnr_by_hand() -> None:
    """An error of e levels all over is 20 log10(255 / e) dB."""
    black = np.zeros((4, 4))
    for error, expected in ((0, 1.0), (2.55, 1.0), (25.5, 1 / 3), (255 / 10**0.5, 0.0), (255, 0.0)):
        assert normalized_psnr(black, black + error, best=40) == pytest.approx(expected, abs=1e-9)
    assert normalized_psnr(black[:0], black[:0], best=40) == 1

"""Maximum mean discrepancy of two sets of features: KID with a polynomial kernel, CMMD with a Gaussian one.

`MMD² = E k(x, x') + E k(y, y') - 2 E k(x, y)`. The unbiased estimate leaves out the pairs of a picture with itself, so it
may be negative; the biased one keeps them. A. Gretton, K. Borgwardt, M. Rasch, B. Schölkopf, A. Smola, "A kernel two-sample
test", 2012, https://jmlr.org/papers/v13/gretton12a.html
"""

from collections.abc import Callable
from functools import partial
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from zeroconv.metrics.bootstrap import Interval
from zeroconv.metrics.features import Features, as_pair, unit_rows, warn_of_few

__all__ = ["cmmd", "gaussian_kernel", "kernel_distance", "kid", "polynomial_kernel"]

Kernel = Callable[[Features, Features], Features]
"""From rows (n, D) and (m, D) to (n, m)."""

CMMD_SIGMA, CMMD_SCALE = 10.0, 1000.0  # S. Jayasumana et al., 2024, section 4
BLOCK = 1024  # rows of a kernel matrix in memory at once
NORMAL = 1.959964  # 97.5th percentile of the normal law
FEW = 100
"""Pictures below which the spread of a kernel distance is as large as the differences between good generators."""


def kid(found: ArrayLike, wanted: ArrayLike, *, biased: bool = False) -> Interval:
    """Kernel Inception distance: `MMD²` with `k(x, y) = (xᵀy / D + 1)³`; published figures are often times 1000.

    All pairs count, which is what the mean over the usual random subsets of 1000 estimates with more noise.
    M. Bińkowski, D. Sutherland, M. Arbel, A. Gretton, "Demystifying MMD GANs", 2018, https://arxiv.org/abs/1801.01401

    Args:
        found: (N, D) features, such as of generated pictures.
        wanted: (M, D), such as of real ones.
        biased: whether a picture's pair with itself counts.

    Raises:
        InputError: for fewer than three pictures, values that are not finite, or two dimensions.
    """
    return kernel_distance(found, wanted, polynomial_kernel, biased=biased)


def cmmd(found: ArrayLike, wanted: ArrayLike, *, biased: bool = False) -> Interval:
    """CLIP maximum mean discrepancy: 1000 `MMD²` with `k(x, y) = exp(-|x - y|² / (2 10²))` on embeddings of length 1.

    S. Jayasumana et al., "Rethinking FID: towards a better evaluation metric for image generation", 2024,
    https://arxiv.org/abs/2401.09603. The text describes the unbiased estimate; the authors' code, and with it published
    figures, keep a picture's pair with itself (`biased=True`), which adds 1000 (1 - mean k) (1/N + 1/M).

    Args:
        found: (N, D) image embeddings of CLIP, of any length.
        wanted: (M, D).
        biased: as the authors' code.

    Raises:
        InputError: as `kid`, and for an embedding that is zero.
    """
    a, b = as_pair(found, wanted, 3)
    a, b = unit_rows(a, "found"), unit_rows(b, "wanted")
    return kernel_distance(a, b, partial(gaussian_kernel, sigma=CMMD_SIGMA), scale=CMMD_SCALE, biased=biased)


def polynomial_kernel(x: Features, y: Features, degree: int = 3) -> Features:
    """`(xᵀy / D + 1)^degree`, (n, m)."""
    return (x @ y.T / x.shape[1] + 1) ** degree


def gaussian_kernel(x: Features, y: Features, sigma: float) -> Features:
    """`exp(-|x - y|² / (2 sigma²))`, (n, m)."""
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1)[None] - 2 * x @ y.T
    return np.exp(-np.maximum(squared, 0) / (2 * sigma**2))


def kernel_distance(
    found: ArrayLike, wanted: ArrayLike, kernel: Kernel, *, scale: float = 1.0, biased: bool = False
) -> Interval:
    """`scale MMD²` and its 95 % interval, from the jackknife over the pictures of both sets.

    A bootstrap would draw pictures twice, and a pair of equal ones is what the unbiased estimate must not see. Leaving out one
    picture at a time is exact here, for it changes three sums. Its variance is too large rather than too small (B. Efron, C.
    Stein, "The jackknife estimate of variance", 1981), most of all where both sets are of one distribution.

    Args:
        found: (N, D).
        wanted: (M, D).
        kernel: symmetric, positive definite.
        scale: of the result.
        biased: whether a picture's pair with itself counts.

    Raises:
        InputError: for fewer than three pictures, values that are not finite, or two dimensions.
    """
    a, b = as_pair(found, wanted, 3)
    n, m = len(a), len(b)
    warn_of_few("kernel distance", min(n, m), FEW, "its interval is wide and itself uncertain")
    own_a, own_b = (within(x, kernel, biased) for x in (a, b))  # of each picture with those of its set
    a_to_b, b_to_a = between(a, b, kernel)
    diagonal_a, diagonal_b = (diagonal(x, kernel) if biased else np.zeros(len(x)) for x in (a, b))
    pairs = partial(count_pairs, biased=biased)
    sum_a, sum_b, sum_ab = own_a.sum(), own_b.sum(), a_to_b.sum()
    rest_a, rest_b = sum_a - 2 * own_a + diagonal_a, sum_b - 2 * own_b + diagonal_b  # with one picture left out
    value = sum_a / pairs(n) + sum_b / pairs(m) - 2 * sum_ab / (n * m)
    without_a = rest_a / pairs(n - 1) + sum_b / pairs(m) - 2 * (sum_ab - a_to_b) / ((n - 1) * m)
    without_b = sum_a / pairs(n) + rest_b / pairs(m - 1) - 2 * (sum_ab - b_to_a) / (n * (m - 1))
    half = NORMAL * sqrt((n - 1) * without_a.var() + (m - 1) * without_b.var())
    return Interval(*(scale * float(one) for one in (value, value - half, value + half)))


def count_pairs(count: int, biased: bool) -> int:
    """Ordered pairs of `count` pictures, with or without those of a picture and itself."""
    return count * count if biased else count * (count - 1)


def within(x: Features, kernel: Kernel, biased: bool) -> Features:
    """The sum of `k(x_i, x_j)` over j for each i, without j = i unless biased: (n,)."""
    rows, _ = between(x, x, kernel)
    return rows if biased else rows - diagonal(x, kernel)


def between(x: Features, y: Features, kernel: Kernel) -> tuple[Features, Features]:
    """The sums of `k(x_i, y_j)` over j and over i: (n,) and (m,); the matrix is never whole in memory."""
    rows, columns = np.empty(len(x)), np.zeros(len(y))
    for first in range(0, len(x), BLOCK):
        block = kernel(x[first : first + BLOCK], y)
        rows[first : first + BLOCK] = block.sum(1)
        columns += block.sum(0)
    return rows, columns


def diagonal(x: Features, kernel: Kernel) -> Features:
    """`k(x_i, x_i)`, (n,)."""
    return np.array([kernel(row[None], row[None])[0, 0] for row in x])

"""Sliced Wasserstein distance of two sets of features: the mean over directions of distances on a line.

On a line the distance compares sorted values, so no Gaussian is assumed and no matrix of D x D is needed. J. Rabin, G.
Peyré, J. Delon, M. Bernot, "Wasserstein barycenter and its application to texture mixing", 2011,
https://doi.org/10.1007/978-3-642-24785-9_37; N. Bonneel et al., "Sliced and Radon Wasserstein barycenters of measures", 2015.
"""

import numpy as np
from numpy.typing import ArrayLike

from zeroconv.errors import InputError
from zeroconv.metrics.features import Features, as_pair, warn_of_few

__all__ = ["directions", "sliced_wasserstein", "wasserstein_on_lines"]

PROJECTIONS = 1000
BLOCK = 128  # directions at once, which bounds the memory
FEW = 1000
"""Pictures below which most of the distance is that of two samples of one distribution."""


def sliced_wasserstein(
    found: ArrayLike, wanted: ArrayLike, *, projections: int = PROJECTIONS, order: float = 2.0, seed: int = 0
) -> float:
    """`(mean over θ of W_p^p(θᵀx, θᵀy))^(1/p)`, θ uniform on the sphere: 0 or more, in the features' unit.

    It is biased upwards: two samples of one distribution have a distance of about 1/sqrt(N). The distance of two halves of
    the real pictures is the floor that it must be read against; no interval is given, for resampling adds the same bias.

    Args:
        found: (N, D), such as of generated pictures.
        wanted: (M, D), such as of real ones; N and M may differ.
        projections: how many directions.
        order: p, 1 or more.
        seed: of the directions: the same for all that is to be compared.

    Raises:
        InputError: for fewer than two pictures, values that are not finite, two dimensions, no direction, or p below 1.
    """
    if projections < 1:
        raise InputError(f"got {projections} projections; expected 1 or more", field="projections")
    if not 1 <= order < np.inf:
        raise InputError(f"the order is {order:g}; expected a number from 1 on", field="order")
    a, b = as_pair(found, wanted, 2)
    warn_of_few("sliced Wasserstein distance", min(len(a), len(b)), FEW, "biased upwards")
    lines = directions(a.shape[1], projections, seed)
    blocks = (lines[first : first + BLOCK] for first in range(0, projections, BLOCK))
    powers = np.concatenate([wasserstein_on_lines(a @ block.T, b @ block.T, order) for block in blocks])
    return float(powers.mean() ** (1 / order))


def directions(dimension: int, count: int, seed: int) -> Features:
    """Directions uniform on the sphere, (count, dimension), the same for the same seed."""
    drawn = np.random.default_rng([seed, dimension]).standard_normal((count, dimension))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def wasserstein_on_lines(a: Features, b: Features, order: float) -> Features:
    """`W_p^p = ∫ |F_a⁻¹(u) - F_b⁻¹(u)|^p du` of each column, exact for unequal counts: (K,).

    Args:
        a: (N, K) values, a column for each line.
        b: (M, K).
        order: p.
    """
    n, m = len(a), len(b)
    # F⁻¹ of n values is constant between multiples of 1/n: over the common denominator, integers.
    ends = np.union1d(np.arange(1, n + 1) * m, np.arange(1, m + 1) * n)
    widths = np.diff(ends, prepend=0) / (n * m)
    a, b = np.sort(a, axis=0)[(ends - 1) // m], np.sort(b, axis=0)[(ends - 1) // n]
    return widths @ np.abs(a - b) ** order

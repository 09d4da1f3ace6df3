"""Fréchet distance of two sets of features as if they were Gaussian: FID on Inception's, FD on any other.

`d² = |μ_x - μ_g|² + Tr(Σ_x + Σ_g - 2 (Σ_x Σ_g)^½)`. M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter,
"GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017, https://arxiv.org/abs/1706.08500
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from zeroconv.errors import InputError
from zeroconv.metrics.features import Features, as_features, as_pair, require_one_dimension, warn_of_few

__all__ = ["RECOMMENDED", "Moments", "frechet_distance", "frechet_distance_of"]

RECOMMENDED = 10_000
"""Pictures that the authors of FID recommend at least; published figures use 10,000 to 50,000."""


@dataclass(frozen=True, eq=False)
class Moments:
    """How many features, their mean, and their scatter: what a distance needs of a set that does not fit the memory.

    Attributes:
        count: pictures, N.
        mean: (D,) float64.
        scatter: (D, D) float64, `sum((x - mean) (x - mean)ᵀ)`.
    """

    count: int
    mean: Features
    scatter: Features

    @classmethod
    def of(cls, features: ArrayLike) -> Self:
        """Of features (N, D).

        Raises:
            InputError: for features that are not finite, or none.
        """
        x = as_features(features)
        mean = x.mean(0)
        centred = x - mean
        return cls(len(x), mean, centred.T @ centred)

    def merge(self, other: "Moments") -> "Moments":
        """Those of both sets together (T. Chan, G. Golub, R. LeVeque, 1979): the same in whatever parts they came.

        Raises:
            InputError: when the dimensions differ.
        """
        require_one_dimension(len(self.mean), len(other.mean), ("these moments", "the others"))
        count, step = self.count + other.count, other.mean - self.mean
        shift = np.outer(step, step) * (self.count * other.count / count)
        return Moments(count, self.mean + step * (other.count / count), self.scatter + other.scatter + shift)

    @property
    def covariance(self) -> Features:
        """`scatter / (N - 1)`, (D, D)."""
        return self.scatter / max(self.count - 1, 1)

    def root(self) -> Features:
        """A matrix L, (D, rank), with `L Lᵀ` the covariance: from its eigenvectors, without those it has no extent in."""
        values, vectors = np.linalg.eigh(self.covariance)
        kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0)
        return vectors[:, kept] * np.sqrt(values[kept])


def frechet_distance_of(found: ArrayLike, wanted: ArrayLike) -> float:
    """`frechet_distance` of features that are in memory; without any (D, D) matrix where there are fewer pictures than D.

    Args:
        found: (N, D), such as of generated pictures.
        wanted: (M, D), such as of real ones.

    Raises:
        InputError: for fewer than two pictures, values that are not finite, or two dimensions.
    """
    a, b = as_pair(found, wanted, 2)
    means = a.mean(0), b.mean(0)
    if min(len(a), len(b)) > a.shape[1]:
        return frechet_distance(Moments.of(a), Moments.of(b))
    warn_of_small_samples(min(len(a), len(b)), a.shape[1])
    roots = [(x - mean).T / np.sqrt(len(x) - 1) for x, mean in zip((a, b), means, strict=True)]
    return distance_of_gaussians(means[0], roots[0], means[1], roots[1])


def frechet_distance(found: Moments, wanted: Moments) -> float:
    """The squared Fréchet (2-Wasserstein) distance of two Gaussians with these moments: 0 or more.

    It says so when it cannot be trusted: from N pictures of dimension D a covariance has rank N - 1 at most, and the
    distance is biased upwards by about 1/N, differently for each generator. Only figures of equal N may be compared.

    Raises:
        InputError: for fewer than two pictures, or two dimensions.
    """
    if min(found.count, wanted.count) < 2:
        said = f"got moments of {found.count} and {wanted.count} pictures; expected 2 or more"
        raise InputError(said, field="found" if found.count < 2 else "wanted")
    require_one_dimension(len(found.mean), len(wanted.mean))
    warn_of_small_samples(min(found.count, wanted.count), len(found.mean))
    return distance_of_gaussians(found.mean, found.root(), wanted.mean, wanted.root())


def distance_of_gaussians(mean_a: Features, root_a: Features, mean_b: Features, root_b: Features) -> float:
    """From means and any roots `L Lᵀ = Σ`: `Tr (Σ_a Σ_b)^½` is the sum of the singular values of `L_aᵀ L_b`.

    So nothing is ever complex and no root of a singular product is needed, whatever the ranks.
    """
    shared = np.linalg.svd(root_a.T @ root_b, compute_uv=False).sum() if root_a.size and root_b.size else 0.0
    distance = ((mean_a - mean_b) ** 2).sum() + (root_a**2).sum() + (root_b**2).sum() - 2 * shared
    return max(float(distance), 0.0)


def warn_of_small_samples(count: int, dimension: int) -> None:
    """The two bounds below which a Fréchet distance says little."""
    if count <= dimension:
        why = f"the covariance of {dimension} dimensions has no full rank and the distance is biased upwards"
        warn_of_few("Fréchet distance", count, dimension + 1, why)
    else:
        warn_of_few("Fréchet distance", count, RECOMMENDED, "biased upwards; compare only figures of equally many pictures")

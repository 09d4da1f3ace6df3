"""How different pictures are from one another: pairwise distances of the pictures of one prompt, and the Vendi score."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from zeroconv.errors import InputError
from zeroconv.metrics.bootstrap import Interval, bootstrap_mean
from zeroconv.metrics.features import Features, as_features, unit_rows

__all__ = ["pairwise_diversity", "prompt_diversity", "vendi_score"]


def pairwise_diversity(features: ArrayLike) -> float:
    """The mean of `1 - cos(x_i, x_j)` over all pairs: 0 when all pictures are one, 1 when they have nothing in common.

    Args:
        features: (N, D) of N >= 2 pictures, such as CLIP's embeddings.

    Raises:
        InputError: for one picture, values that are not finite, or features that are zero.
    """
    x = unit_rows(as_features(features, least=2))
    n, total = len(x), x.sum(0)
    similarity = (total @ total - (x * x).sum()) / (n * (n - 1))
    return max(1 - float(similarity), 0.0)


def prompt_diversity(features: ArrayLike, prompts: Sequence[Hashable]) -> Interval:
    """The mean over prompts of `pairwise_diversity` of their pictures, and its interval over the prompts.

    Pictures of several prompts differ because they were asked to; this counts only what differs without being asked.

    Args:
        features: (N, D).
        prompts: the prompt, or any key, of each picture; those with one picture are left out.

    Raises:
        InputError: when no prompt has two pictures, or as `pairwise_diversity`.
    """
    x = as_features(features)
    if len(prompts) != len(x):
        raise InputError(f"got {len(prompts)} prompts for features of {len(x)} pictures; expected one each", field="prompts")
    rows: dict[Hashable, list[int]] = {}
    for row, prompt in enumerate(prompts):
        rows.setdefault(prompt, []).append(row)
    several = [x[members] for members in rows.values() if len(members) > 1]
    if not several:
        raise InputError("every prompt has one picture; diversity needs two or more of a prompt", field="prompts")
    return bootstrap_mean([pairwise_diversity(group) for group in several])


def vendi_score(features: ArrayLike) -> float:
    """The effective number of different pictures, from 1 to N: `exp(-sum λ log λ)`, λ the eigenvalues of `K / N`.

    K holds the cosines of all pairs. D. Friedman, A. Dieng, "The Vendi score: a diversity evaluation metric for machine
    learning", 2022, https://arxiv.org/abs/2210.02410. It grows with N: compare sets of one size.

    Args:
        features: (N, D).

    Raises:
        InputError: for no picture, values that are not finite, or features that are zero.
    """
    x = unit_rows(as_features(features))
    shares = np.linalg.svd(x, compute_uv=False) ** 2 / len(x)  # K's eigenvalues are squares of x's singular values
    return float(np.exp(entropy(shares)))


def entropy(shares: Features) -> float:
    """`-sum p log p`, with 0 log 0 = 0."""
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())

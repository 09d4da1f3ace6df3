"""KID and CMMD: plain double loops, no bias on halves of one set, honest intervals, and torchmetrics' own number."""

import warnings
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from zeroconv.errors import InputError
from zeroconv.metrics.bootstrap import Interval
from zeroconv.metrics.kernel_distance import cmmd, kernel_distance, kid, polynomial_kernel

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")
RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(9, 4)), RNG.normal(0.5, 1.5, size=(7, 4))


def by_loops(a: np.ndarray, b: np.ndarray, kernel: Callable[[np.ndarray, np.ndarray], float], biased: bool) -> float:
    def mean(x: np.ndarray, y: np.ndarray, apart: bool) -> float:
        pairs = product(range(len(x)), range(len(y)))
        return float(np.mean([kernel(x[i], y[j]) for i, j in pairs if not (apart and i == j)]))

    return mean(a, a, not biased) + mean(b, b, not biased) - 2 * mean(a, b, False)


def cubic(x: np.ndarray, y: np.ndarray) -> float:
    return float((x @ y / len(x) + 1) ** 3)


def gaussian(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x / np.linalg.norm(x), y / np.linalg.norm(y)
    return float(1000 * np.exp(-((x - y) ** 2).sum() / 200))


@pytest.mark.parametrize("biased", [False, True])
def test_equal_to_double_loops(biased: bool) -> None:
    assert kid(A, B, biased=biased).value == pytest.approx(by_loops(A, B, cubic, biased))
    assert cmmd(A, B, biased=biased).value == pytest.approx(by_loops(A, B, gaussian, biased))


@pytest.mark.parametrize("biased", [False, True])
def test_the_interval_is_the_jackknife_of_double_loops(biased: bool) -> None:
    rows = [np.delete(np.arange(9), i) for i in range(9)], [np.delete(np.arange(7), j) for j in range(7)]
    left_a = np.array([by_loops(A[row], B, cubic, biased) for row in rows[0]])
    left_b = np.array([by_loops(A, B[row], cubic, biased) for row in rows[1]])
    deviation = np.sqrt(8 / 9 * ((left_a - left_a.mean()) ** 2).sum() + 6 / 7 * ((left_b - left_b.mean()) ** 2).sum())
    found = kid(A, B, biased=biased)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * deviation, rel=1e-3)
    assert (found.high + found.low) / 2 == pytest.approx(found.value)


def test_a_large_matrix_is_summed_in_parts() -> None:
    a, b = RNG.normal(size=(1100, 3)), RNG.normal(size=(1300, 3))
    whole = polynomial_kernel(a, b).mean() * -2
    for x in (a, b):
        own = polynomial_kernel(x, x)
        whole += (own.sum() - np.trace(own)) / (len(x) * (len(x) - 1))
    assert kid(a, b).value == pytest.approx(whole, abs=1e-12)


def halves(metric: Callable[..., Interval], biased: bool) -> np.ndarray:
    """The metric of many random halves of one set."""
    x, rng = np.random.default_rng(3).normal(size=(60, 6)), np.random.default_rng(4)
    orders = (rng.permutation(60) for _ in range(60))
    return np.array([metric(x[order[:30]], x[order[30:]], biased=biased).value for order in orders])


@pytest.mark.parametrize("metric", [kid, cmmd])
def test_unbiased_on_halves_of_one_set(metric: Callable[..., Interval]) -> None:
    plain, biased = halves(metric, False), halves(metric, True)
    allowed = 3 * plain.std() / np.sqrt(len(plain))  # two pictures of one half are drawn as two of both: exactly 0 is expected
    assert abs(plain.mean()) < allowed < biased.mean() / 3


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    """Of two normal laws in one dimension with a linear kernel MMD² is the squared difference of their means."""

    def linear(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return x @ y.T

    rng, held = np.random.default_rng(5), 0
    for _ in range(200):
        found = kernel_distance(rng.normal(1, 1, (60, 1)), rng.normal(0, 1, (80, 1)), linear)
        held += found.low <= 1 <= found.high
    assert 178 <= held <= 199  # 95 % is 190


def test_equal_to_torchmetrics() -> None:
    import torch
    from torchmetrics.image.kid import KernelInceptionDistance

    class Passed(torch.nn.Module):
        num_features = 16

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)

    a, b = RNG.gamma(2, size=(80, 16)), RNG.gamma(2.2, size=(80, 16))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says at every start that it keeps the features
        metric = KernelInceptionDistance(Passed(), subsets=1, subset_size=80)  # one subset with all of them
    metric.update(torch.from_numpy(b)[:, None, None], real=True)
    metric.update(torch.from_numpy(a)[:, None, None], real=False)
    assert kid(a, b).value == pytest.approx(metric.compute()[0].item(), rel=1e-4)


def test_bad_input() -> None:
    with pytest.raises(InputError, match="2 pictures; expected 3 or more"):
        kid(A[:2], B)
    with pytest.raises(InputError, match="wanted are zero in row 1"):
        cmmd(A, np.array([[1.0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]))

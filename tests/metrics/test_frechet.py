"""Fréchet distance: closed forms, its laws, ranks, merged parts, and torchmetrics' own number."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroconv.errors import InputError
from zeroconv.messages import Message, MessageWarning, listen
from zeroconv.metrics.frechet import Moments, frechet_distance, frechet_distance_of

pytestmark = pytest.mark.filterwarnings("ignore::zeroconv.messages.MessageWarning")
seeds = st.integers(0, 2**32 - 1)


def gaussian(mean: np.ndarray, covariance: np.ndarray) -> Moments:
    return Moments(20_000, mean, covariance * 19_999)


def test_closed_form_of_two_gaussians_that_commute() -> None:
    a = gaussian(np.array([0.0, 1, 2]), np.diag([1.0, 4, 9]))
    b = gaussian(np.array([1.0, 1, 0]), np.diag([4.0, 4, 1]))
    # |(1, 0, 2)|² + (1 - 2)² + (2 - 2)² + (3 - 1)²
    assert frechet_distance(a, b) == pytest.approx(5 + 1 + 0 + 4)


def test_closed_form_of_two_gaussians_in_the_plane() -> None:
    """Tr (A B)^½ of 2 x 2 matrices is sqrt(Tr AB + 2 sqrt(det AB))."""
    a, b = np.array([[2.0, 0.7], [0.7, 1]]), np.array([[1.0, -0.4], [-0.4, 3]])
    shared = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    found = frechet_distance(gaussian(np.zeros(2), a), gaussian(np.ones(2), b))
    assert found == pytest.approx(2 + np.trace(a + b) - 2 * shared)


@settings(max_examples=30)
@given(seed=seeds, count=st.integers(2, 40), dimension=st.integers(1, 12))
def test_laws(seed: int, count: int, dimension: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(count, dimension)), 2 * rng.normal(size=(count + 3, dimension)) + 1
    step = rng.normal(size=dimension)
    found = frechet_distance_of(a, b)
    assert found >= 0
    assert frechet_distance_of(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance_of(b, a) == pytest.approx(found)
    assert frechet_distance_of(a + step, b + step) == pytest.approx(found, abs=1e-7)
    assert frechet_distance_of(a, a + step) == pytest.approx(step @ step, abs=1e-7)
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(found, abs=1e-6)


@given(seed=seeds, cut=st.integers(1, 29))
def test_moments_of_parts_are_those_of_the_whole(seed: int, cut: int) -> None:
    x = np.random.default_rng(seed).normal(3, 2, (30, 5))
    whole, merged = Moments.of(x), Moments.of(x[:cut]).merge(Moments.of(x[cut:]))
    assert merged.count == whole.count
    assert np.allclose(merged.mean, whole.mean) and np.allclose(merged.scatter, whole.scatter)
    assert np.allclose(whole.covariance, np.cov(x.T))


def test_sets_without_full_rank() -> None:
    rng = np.random.default_rng(0)
    a, b = np.zeros((50, 100)), np.zeros((60, 100))
    a[:, :3], b[:, 3:5] = rng.normal(size=(50, 3)), rng.normal(size=(60, 2))  # in planes that share no direction
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum()
    assert frechet_distance_of(a, b) == pytest.approx(expected)
    assert frechet_distance(Moments.of(a), Moments.of(b)) == pytest.approx(expected)
    assert frechet_distance_of(np.ones((5, 4)), np.ones((3, 4))) == 0  # points have no extent at all
    assert frechet_distance(Moments.of(np.ones((5, 4))), Moments.of(np.zeros((3, 4)))) == 4


@pytest.mark.parametrize("counts", [(300, 280), (40, 30)])
def test_equal_to_torchmetrics(counts: tuple[int, int]) -> None:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance

    rng = np.random.default_rng(1)
    a, b = (rng.gamma(2, size=(count, 48)) * rng.uniform(0.5, 2, 48) for count in counts)

    class Passed(torch.nn.Module):
        num_features = 48

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)

    metric = FrechetInceptionDistance(Passed(), input_img_size=(1, 1, 48)).set_dtype(torch.float64)
    metric.update(torch.from_numpy(b)[:, None, None], real=True)
    metric.update(torch.from_numpy(a)[:, None, None], real=False)
    assert frechet_distance_of(a, b) == pytest.approx(metric.compute().item(), rel=1e-4)


def test_few_pictures_are_told_with_the_least_number() -> None:
    heard: list[Message] = []
    x = np.random.default_rng(0).normal(size=(30, 40))
    with listen(heard.append):
        frechet_distance_of(x, x)
        frechet_distance_of(x[:, :8], x[:, :8])
    assert [message.code for message in heard] == ["metric.few-pictures"] * 2
    assert "no full rank" in heard[0].text and "expected 41 or more" in heard[0].text
    assert "expected 10000 or more" in heard[1].text
    with warnings.catch_warnings():
        warnings.simplefilter("error", MessageWarning)
        frechet_distance(gaussian(np.zeros(2), np.eye(2)), gaussian(np.zeros(2), np.eye(2)))


def test_wrong_features_are_refused() -> None:
    good, bad = np.ones((4, 3)), np.ones((4, 3))
    bad[2, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinity for 1 of 4 pictures, the first in row 2") as error:
        frechet_distance_of(good, bad)
    assert error.value.field == "wanted"
    with pytest.raises(InputError, match="3 dimensions and wanted 2"):
        frechet_distance_of(good, np.ones((4, 2)))
    with pytest.raises(InputError, match="of 1 pictures; expected 2 or more"):
        frechet_distance_of(good[:1], good)
    with pytest.raises(InputError, match="shape"):
        Moments.of(np.ones(3))
    with pytest.raises(InputError, match="no matrix of numbers"):
        Moments.of([[1.0], [2.0, 3.0]])
    with pytest.raises(InputError, match="1 and 4 pictures"):
        frechet_distance(Moments.of(good[:1]), Moments.of(good))
    with pytest.raises(InputError, match="dimensions"):
        Moments.of(good).merge(Moments.of(good[:, :2]))

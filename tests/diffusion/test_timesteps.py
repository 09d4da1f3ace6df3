"""Time steps are drawn as often as the closed forms say."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
import torch

from zeroconv.diffusion import TimestepDistribution, generator, logit_normal

DRAWS = 8_000


def histogram(distribution: TimestepDistribution, edges: list[int]) -> list[float]:
    """Shares of the draws in [edges[0], edges[1]), [edges[1], edges[2]), …"""
    g = generator(0, "histogram")
    drawn = torch.tensor([distribution.draw(g) for _ in range(DRAWS)])
    assert drawn.min() >= distribution.possible.start and drawn.max() < distribution.possible.stop
    return [float(((drawn >= low) & (drawn < high)).double().mean()) for low, high in pairwise(edges)]


def near(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Within four standard deviations of a share."""
    return all(abs(f - e) <= 4 * math.sqrt(e * (1 - e) / DRAWS) + 1e-9 for f, e in zip(found, expected, strict=True))


@pytest.mark.parametrize(("mean", "std", "possible"), [(0.0, 1.0, range(1000)), (-0.7, 0.4, range(200, 700))])
def test_logit_normal_is_that_of_stable_diffusion_3(mean: float, std: float, possible: range) -> None:
    """The density of equation 19, integrated numerically."""
    count = len(possible)
    u = (torch.arange(count * 100, dtype=torch.float64) + 0.5) / (count * 100)
    density = torch.exp(-((torch.logit(u) - mean) ** 2) / (2 * std**2)) / (std * math.sqrt(2 * math.pi) * u * (1 - u))
    expected = (density.reshape(count, 100).mean(dim=1) / count).tolist()
    distribution = logit_normal(possible, mean, std)
    assert distribution.weights is not None
    assert distribution.weights.tolist() == pytest.approx(expected, abs=1e-7)
    parts = [possible[0] + part * count // 10 for part in range(11)]
    shares = [sum(expected[low - possible[0] : high - possible[0]]) for low, high in pairwise(parts)]
    assert near(histogram(distribution, parts), shares)
    assert not near(histogram(TimestepDistribution(possible), parts), shares)


def test_some_time_steps_are_drawn_so_many_times_as_often() -> None:
    """The weights of diffusers' `--timestep_bias_strategy`: "later", the last quarter, three times as often."""
    plain = TimestepDistribution(range(1000))
    assert near(histogram(plain, [0, 250, 500, 750, 1000]), [0.25] * 4)
    later = plain.scale(range(750, 1000), 3.0)
    assert near(histogram(later, [0, 250, 500, 750, 1000]), [1 / 6, 1 / 6, 1 / 6, 1 / 2])
    part = TimestepDistribution(range(400, 600)).scale(range(500), 0.25)  # the half of it that is possible
    assert near(histogram(part, [400, 500, 600]), [0.2, 0.8])
    middle = logit_normal(range(1000), 0.0, 1.0)
    assert middle.weights is not None
    both = middle.scale(range(500), 2.0)
    assert near(histogram(both, [0, 500, 1000]), [2 / 3, 1 / 3])
    assert float(middle.weights.sum()) == pytest.approx(1)  # not changed by what was made of it


@pytest.mark.parametrize("mean", [-60.0, 60.0])
def test_the_ends_of_the_range_can_be_drawn(mean: float) -> None:
    only = logit_normal(range(7, 10), mean, 0.1)
    assert {only.draw(generator(seed)) for seed in range(9)} == {7 if mean < 0 else 9}

"""Residuals are a value: a sum, a scale, a mask (section 3.4)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.tiny import numbers
from zeroconv.control import Residuals

SIDES = (16, 8, 4, 2)
seeds = st.integers(0, 10_000)


def build(seed: int, channels: int = 3, sides: tuple[int, ...] = SIDES) -> Residuals:
    skips = tuple(numbers(2, channels, side, side, seed=seed + i) for i, side in enumerate(sides))
    return Residuals(skips, numbers(2, channels, sides[-1], sides[-1], seed=seed + 99))


def same(a: Residuals, b: Residuals) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a.all, b.all, strict=True))


@given(seeds, seeds)
def test_sum_is_the_sum_of_each_in_any_order(one: int, two: int) -> None:
    a, b = build(one), build(two)
    assert same(a + b, b + a)
    assert all(torch.equal(s, x + y) for s, x, y in zip((a + b).all, a.all, b.all, strict=True))


@given(seeds, st.floats(-2, 2), st.floats(-2, 2))
def test_scaling_is_linear(seed: int, first: float, second: float) -> None:
    a, b = build(seed), build(seed + 500)
    assert same(a * first, first * a) and same(a * 1.0, a)
    assert same(a.scaled([first] * len(a)), a * first)
    for left, right in ((a * first + a * second, a * (first + second)), ((a + b) * first, a * first + b * first)):
        torch.testing.assert_close(left.all, right.all, atol=1e-5, rtol=1e-5)


def test_each_layer_has_its_weight_and_the_middle_the_last() -> None:
    a, weights = build(0), [0.0, 1.0, -2.0, 0.5, 3.0]
    b = a.scaled(weights)
    assert all(torch.equal(after, before * w) for after, before, w in zip(b.all, a.all, weights, strict=True))
    assert torch.equal(b.middle, a.middle * 3.0)


def test_is_left_as_it_was() -> None:
    a, before = build(0), build(0)
    _ = (a + a) * 2, a.scaled([0.0] * 5), a.masked(torch.zeros(1, 1, 4, 4)), a.pooled()
    assert same(a, before)


@given(seed=seeds, side=st.sampled_from([1, 7, 16, 128]))
def test_mask_of_one_changes_nothing_and_of_zero_leaves_nothing(seed: int, side: int) -> None:
    a = build(seed)
    assert same(a.masked(torch.ones(1, 1, side, side)), a)
    assert not any(r.any() for r in a.masked(torch.zeros(2, 1, side, side)).all)


@pytest.mark.parametrize("left", [True, False])
def test_mask_of_one_half_acts_there_alone_at_every_level(left: bool) -> None:
    a, mask = build(0), torch.zeros(1, 1, 128, 128)
    mask[..., :64] = 1
    masked = a.masked(mask if left else 1 - mask)
    for before, after in zip(a.all, masked.all, strict=True):
        halves = list(zip(before.chunk(2, dim=-1), after.chunk(2, dim=-1), strict=True))
        (inside, kept), (_, gone) = halves if left else halves[::-1]
        assert torch.equal(kept, inside) and not gone.any()


def test_mask_is_resized_by_area_and_may_differ_by_picture() -> None:
    a, mask = build(0), torch.zeros(2, 1, 16, 16)
    mask[1, :, :2, :2] = 1  # a sixteenth of the only cell that a level of 2x2 sees there: 4 of 64 pixels
    level = a.masked(mask).middle / a.middle
    torch.testing.assert_close(level[1, 0], torch.tensor([[4 / 64, 0.0], [0.0, 0.0]]))
    assert not level[0].any()


@given(seeds)
def test_masks_that_add_up_to_one_share_the_residuals(seed: int) -> None:
    a, mask = build(seed), torch.rand(1, 1, 37, 53, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close((a.masked(mask) + a.masked(1 - mask)).all, a.all)


def test_pooled_is_the_mean_everywhere() -> None:
    a = build(0)
    for before, after in zip(a.all, a.pooled().all, strict=True):
        assert after.shape == before.shape and torch.equal(after[..., :1, :1].expand_as(after), after)
        torch.testing.assert_close(after[..., 0, 0], before.mean(dim=(2, 3)))


@pytest.mark.parametrize("other", [build(0, channels=4), build(0, sides=(16, 8)), build(0, sides=(8, 4, 2, 1))])
def test_residuals_of_different_bases_do_not_add(other: Residuals) -> None:
    with pytest.raises(ValueError, match=r"^these residuals do not fit each other: .* made for the same base.*$"):
        _ = build(0) + other


def test_wrong_number_of_weights_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^got 13 layer weights; this base has 5 \(4 skip connections \+ middle\)$"):
        build(0).scaled([1.0] * 13)


def test_map_tells_the_position() -> None:
    def to_position(i: int, _: Tensor) -> Tensor:
        return torch.tensor(i)

    assert [int(r) for r in build(0).map(to_position).all] == [0, 1, 2, 3, 4]

"""Residuals are a value: a sum, a scale, a mask (section 3.4)."""

import copy
import pickle

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
    return Residuals.of_unet(skips, numbers(2, channels, sides[-1], sides[-1], seed=seed + 99))


def same(a: Residuals, b: Residuals) -> bool:
    return list(a) == list(b) and all(torch.equal(a[site], b[site]) for site in a)


def test_sites_are_the_skip_connections_and_the_middle() -> None:
    a = build(0)
    assert list(a) == ["skip.0", "skip.1", "skip.2", "skip.3", "middle"] and len(a) == 5
    assert all(one is a[f"skip.{i}"] for i, one in enumerate(a.skips)) and a.middle is a["middle"]
    assert "block.12" not in a and a.get("block.12") is None


def test_any_network_has_sites_of_its_own() -> None:
    tokens = Residuals({f"block.{i}": numbers(2, 5, 4, seed=i) for i in range(3)})
    assert same(tokens + tokens, 2 * tokens) and tokens.skips == ()
    with pytest.raises(ValueError, match="do not fit each other"):
        _ = tokens + Residuals({f"block.{i + 1}": tensor for i, tensor in enumerate(tokens.values())})


def test_nothing_can_be_set() -> None:
    given = {"block.0": numbers(1, 2)}
    a = Residuals(given)
    given["block.1"] = numbers(1, 2)
    assert list(a) == ["block.0"]
    for change in (
        lambda: setattr(a, "middle", given["block.1"]),
        lambda: a.__setitem__("block.1", given["block.1"]),  # pyright: ignore[reportAttributeAccessIssue]
    ):
        with pytest.raises(AttributeError):
            change()


def test_copies_and_pickles_are_the_same_mapping() -> None:
    for other in (copy.deepcopy(build(0)), pickle.loads(pickle.dumps(build(0)))):
        assert same(other, build(0))


@given(seeds, seeds)
def test_sum_is_the_sum_of_each_in_any_order(one: int, two: int) -> None:
    a, b = build(one), build(two)
    assert same(a + b, b + a)
    assert all(torch.equal(s, x + y) for s, x, y in zip((a + b).values(), a.values(), b.values(), strict=True))


@given(seeds, st.floats(-2, 2), st.floats(-2, 2))
def test_scaling_is_linear(seed: int, first: float, second: float) -> None:
    a, b = build(seed), build(seed + 500)
    assert same(a * first, first * a) and same(a * 1.0, a)
    assert same(a.scale(torch.full((len(a),), first, dtype=torch.float64)), a * first)
    for left, right in ((a * first + a * second, a * (first + second)), ((a + b) * first, a * first + b * first)):
        torch.testing.assert_close(tuple(left.values()), tuple(right.values()), atol=1e-5, rtol=1e-5)


def test_each_layer_has_its_weight_and_the_middle_the_last() -> None:
    a, weights = build(0), [0.0, 1.0, -2.0, 0.5, 3.0]
    b = a.scale(torch.tensor(weights))
    assert all(torch.equal(after, before * w) for after, before, w in zip(b.values(), a.values(), weights, strict=True))
    assert torch.equal(b.middle, a.middle * 3.0)


def test_is_left_as_it_was() -> None:
    a, before = build(0), build(0)
    _ = (a + a) * 2, a.scale(torch.zeros(5)), a.mask(torch.zeros(1, 1, 4, 4)), a.pool()
    assert same(a, before)


@given(seed=seeds, side=st.sampled_from([1, 7, 16, 128]))
def test_mask_of_one_changes_nothing_and_of_zero_leaves_nothing(seed: int, side: int) -> None:
    a = build(seed)
    assert same(a.mask(torch.ones(1, 1, side, side)), a)
    assert not any(r.any() for r in a.mask(torch.zeros(2, 1, side, side)).values())


@pytest.mark.parametrize("left", [True, False])
def test_mask_of_one_half_acts_there_alone_at_every_level(left: bool) -> None:
    a, mask = build(0), torch.zeros(1, 1, 128, 128)
    mask[..., :64] = 1
    masked = a.mask(mask if left else 1 - mask)
    for before, after in zip(a.values(), masked.values(), strict=True):
        halves = list(zip(before.chunk(2, dim=-1), after.chunk(2, dim=-1), strict=True))
        (inside, kept), (_, gone) = halves if left else halves[::-1]
        assert torch.equal(kept, inside) and not gone.any()


def test_mask_is_resized_by_area_and_may_differ_by_picture() -> None:
    a, mask = build(0), torch.zeros(2, 1, 16, 16)
    mask[1, :, :2, :2] = 1  # a sixteenth of the only cell that a level of 2x2 sees there: 4 of 64 pixels
    level = a.mask(mask).middle / a.middle
    torch.testing.assert_close(level[1, 0], torch.tensor([[4 / 64, 0.0], [0.0, 0.0]]))
    assert not level[0].any()


@given(seeds)
def test_masks_that_add_up_to_one_share_the_residuals(seed: int) -> None:
    a, mask = build(seed), torch.rand(1, 1, 37, 53, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(dict(a.mask(mask) + a.mask(1 - mask)), dict(a))


def test_pooled_is_the_mean_everywhere() -> None:
    a = build(0)
    for before, after in zip(a.values(), a.pool().values(), strict=True):
        assert after.shape == before.shape and torch.equal(after[..., :1, :1].expand_as(after), after)
        torch.testing.assert_close(after[..., 0, 0], before.mean(dim=(2, 3)))


@pytest.mark.parametrize("other", [build(0, channels=4), build(0, sides=(16, 8)), build(0, sides=(8, 4, 2, 1))])
def test_residuals_of_different_bases_do_not_add(other: Residuals) -> None:
    with pytest.raises(ValueError, match=r"^these residuals do not fit each other: .* made for the same base.*$"):
        _ = build(0) + other


def test_wrong_number_of_weights_is_one_line() -> None:
    message = r"^got weights of shape \(13,\); expected \(5,\), one for each site: skip\.0, skip\.1, skip\.2, skip\.3, middle$"
    with pytest.raises(ValueError, match=message):
        build(0).scale(torch.ones(13))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_weight_multiplies_as_the_number_does(dtype: torch.dtype) -> None:
    a = build(0).map(lambda _, residual: residual.to(dtype))
    weights = torch.tensor([0.825**i * 0.7 for i in range(5)], dtype=torch.float64)
    for residual, before, weight in zip(a.scale(weights).values(), a.values(), weights.tolist(), strict=True):
        assert residual.dtype == dtype and torch.equal(residual, before * weight)


def test_map_tells_the_site() -> None:
    def to_depth(site: str, _: Tensor) -> Tensor:
        return torch.tensor(9 if site == "middle" else int(site.removeprefix("skip.")))

    assert [int(r) for r in build(0).map(to_depth).values()] == [0, 1, 2, 3, 9]


def test_rows_are_scattered_over_a_batch_of_zeros() -> None:
    a = build(0)
    for before, after in zip(a.values(), a.scatter(slice(1, 3), 4).values(), strict=True):
        assert torch.equal(after[1:3], before) and not after[0].any() and not after[3].any()

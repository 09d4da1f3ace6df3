"""Tile: averaged areas, enlarged again; fidelity looks at what is left, not at details."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from tests.conditions.scenes import rendering
from zeroconv.conditions.tile import TILE, low_pass_psnr, random_factor, reduce, tile


@given(width=st.integers(1, 70), height=st.integers(1, 70), factor=st.floats(1, 64))
def test_size_mode_and_bytes_are_settled(width: int, height: int, factor: float) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    made = tile(picture, factor)
    assert (made.mode, made.size) == ("RGB", picture.size)
    assert made == tile(picture, factor)


def test_a_factor_of_one_is_the_picture_and_a_colour_stays() -> None:
    assert tile(rendering(0), 1) == rendering(0)
    assert tile(Image.new("RGB", (7, 5), (9, 80, 200)), 3).getcolors() == [(35, (9, 80, 200))]


def test_areas_are_averaged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    means = pixels.reshape(2, 4, 3, 4, 3).mean(axis=(1, 3))
    small = np.asarray(reduce(Image.fromarray(pixels), 4), float)
    assert small.shape == (2, 3, 3) and np.abs(small - means).max() <= 0.5 + 1e-6


def test_flips_commute() -> None:
    for turn in (ImageOps.mirror, ImageOps.flip):
        difference = np.asarray(tile(turn(rendering(0)), 4), int) - np.asarray(turn(tile(rendering(0), 4)), int)
        assert np.abs(difference).max() <= 1


def test_details_go_with_the_factor() -> None:
    detail = [float(np.abs(np.diff(np.asarray(tile(rendering(1), f), float), axis=1)).mean()) for f in (1, 2, 4, 8)]
    assert detail == sorted(detail, reverse=True) and detail[3] < 0.7 * detail[0]


@pytest.mark.parametrize("factor", [0, 0.99, 65, float("nan")])
def test_factors_out_of_range_are_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="expected 1 to 64"):
        tile(rendering(0), factor)


def test_random_factors_fill_their_range() -> None:
    drawn = [random_factor(np.random.default_rng(seed))["factor"] for seed in range(400)]
    assert 1 <= min(drawn) < 1.1 and 7.5 < max(drawn) <= 8
    assert np.mean(np.array(drawn) < 8**0.5) == pytest.approx(0.5, abs=0.07)
    assert drawn[7] == random_factor(np.random.default_rng(7))["factor"]


def test_details_do_not_count_and_colours_do() -> None:
    picture = rendering(0)
    assert low_pass_psnr(picture, picture) == 1
    checks = np.indices((128, 128)).sum(axis=0) % 2 * 40 - 20  # no area of 8 x 8 changes its mean
    grey = Image.new("RGB", (128, 128), (100, 100, 100))
    detailed = Image.fromarray((np.asarray(grey) + checks[..., None]).astype(np.uint8))
    assert low_pass_psnr(detailed, grey) == 1
    assert low_pass_psnr(ImageEnhance.Brightness(picture).enhance(0.8), picture) < 0.5


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_own_maps_are_obeyed_better_than_others(factor: float) -> None:
    own = [low_pass_psnr(rendering(i), tile(rendering(i), factor)) for i in range(6)]
    others = [low_pass_psnr(rendering(i), tile(rendering((i + 1) % 6), factor)) for i in range(6)]
    assert min(own) > 0.65 and max(others) < 0.4
    with pytest.raises(ValueError, match="expected the same size"):
        low_pass_psnr(rendering(0), Image.new("RGB", (1, 1)))


def test_one_colour_is_warned_of() -> None:
    assert "one colour" in TILE.check(Image.new("RGB", (5, 5), (9, 80, 3)))[0].text
    assert TILE.check(tile(rendering(1), 8)) == []

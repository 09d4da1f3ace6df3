"""Content shuffle: a smooth flow, keyed by its seed, that keeps colours; fidelity by hand and on renderings."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conditions.scenes import rendering
from zeroconv.conditions.shuffle import (
    CELLS,
    SHUFFLE,
    colour_similarity,
    flow_field,
    lab_histogram,
    random_flow,
    shuffle,
    to_lab,
)


def gradient(width: int, height: int) -> Image.Image:
    """Red counts columns, green counts rows, so that a map tells where each of its pixels came from."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.zeros_like(x)], axis=-1).round().astype(np.uint8))


@given(width=st.integers(1, 70), height=st.integers(1, 70), seed=st.integers(0, 2**40))
def test_size_mode_and_bytes_are_settled(width: int, height: int, seed: int) -> None:
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    made = shuffle(picture, seed)
    assert (made.mode, made.size) == ("RGB", picture.size)
    assert made == shuffle(picture, seed)


def test_another_seed_is_another_flow() -> None:
    assert shuffle(rendering(0), 1) != shuffle(rendering(0), 2) != rendering(0)


def test_the_flow_is_that_of_the_seed_whatever_the_picture() -> None:
    """What a gradient says about where pixels came from, holds for another picture."""
    size, picture = 128, rendering(0)
    source = np.asarray(shuffle(gradient(size, size), 5), np.float64)[..., :2] / 255 * (size - 1)
    x, y = np.moveaxis(source.round().astype(int), -1, 0)
    difference = np.abs(np.asarray(picture, int)[y, x] - np.asarray(shuffle(picture, 5), int)).mean(axis=-1)
    assert np.median(difference) < 4


@given(seed=st.integers(0, 2**40), wave=st.sampled_from([16, 64, 256]))
def test_the_flow_fills_the_picture_and_is_smooth(seed: int, wave: int) -> None:
    field = flow_field(200, 120, wave, np.random.default_rng(seed))
    assert field.shape == (120, 200) and field.min() == 0 and field.max() == 1
    steps = max(np.abs(np.diff(field, axis=0)).max(), np.abs(np.diff(field, axis=1)).max())
    assert steps < 4 / min(wave, 120)  # between two numbers of the grid it changes by a few times 1 / wave
    bends = np.abs(np.diff(field, 2, axis=1)).max()
    assert bends < 30 / min(wave, 120) ** 2


def test_a_small_wave_shuffles_in_small_pieces() -> None:
    coarse, fine = (np.asarray(shuffle(gradient(256, 256), 0, wave), float) for wave in (256, 16))
    assert np.abs(np.diff(fine, axis=1)).mean() > 3 * np.abs(np.diff(coarse, axis=1)).mean()


def test_a_large_picture_is_bent_as_a_small_one() -> None:
    """Under 512 pixels the wave is half of the side, so that the flow does not depend on the size."""
    small, large = shuffle(gradient(64, 64), 3), shuffle(gradient(256, 256), 3).resize((64, 64), Image.Resampling.BOX)
    assert np.abs(np.asarray(small, int) - np.asarray(large, int)).mean() < 4


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"seed": float("nan")}, "seed is nan"),
        ({"seed": float("inf")}, "seed is inf"),
        ({"wave": 1}, "wave is 1 pixels; expected 2 to 32766"),
        ({"wave": float("inf")}, "wave is inf pixels; expected 2 to 32766"),
        ({"wave": float("nan")}, "wave is nan pixels; expected 2 to 32766"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shuffle(rendering(0), **parameters)
    with pytest.raises(ValueError, match="40000x1 pixels; shuffle expects at most 32766"):
        shuffle(Image.new("RGB", (40000, 1)))


def test_every_visit_has_its_own_seed() -> None:
    drawn = [dict(random_flow(np.random.default_rng(seed))) for seed in range(20)]
    assert drawn[3] == random_flow(np.random.default_rng(3))
    assert len({d["seed"] for d in drawn}) == 20
    shuffle(rendering(0), **drawn[0])


@pytest.mark.parametrize(
    ("rgb", "lab"),
    [
        ((255, 255, 255), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((255, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 255, 0), (87.73, -86.18, 83.18)), ((0, 0, 255), (32.30, 79.19, -107.86)), ((119, 119, 119), (50.03, 0, 0)),
    ],
)  # fmt: skip
def test_lab_is_the_published_one(rgb: tuple[int, int, int], lab: tuple[float, float, float]) -> None:
    assert to_lab(Image.new("RGB", (2, 1), rgb))[0, 1].tolist() == pytest.approx(lab, abs=0.05)


def test_a_histogram_by_hand() -> None:
    white = lab_histogram(Image.new("RGB", (3, 2), (255, 255, 255)))
    assert white.shape == CELLS and white[8, 5, 5] == pytest.approx(1, abs=1e-3)
    half = Image.new("RGB", (2, 2), (255, 255, 255))
    half.paste((0, 0, 0), (0, 0, 1, 2))
    assert lab_histogram(half)[[0, 8], 5, 5].tolist() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert colour_similarity(half, Image.new("RGB", (2, 2))) == pytest.approx(0.5, abs=1e-3)


def test_places_do_not_count_and_colours_do() -> None:
    picture = rendering(0)
    assert colour_similarity(picture, picture) == pytest.approx(1)
    assert colour_similarity(picture.transpose(Image.Transpose.ROTATE_90), picture) == pytest.approx(1)
    assert colour_similarity(Image.new("RGB", (9, 9), (255, 0, 0)), Image.new("RGB", (9, 9), (0, 0, 255))) < 0.01
    near, far = (
        colour_similarity(Image.new("RGB", (1, 1), (200, g, 90)), Image.new("RGB", (1, 1), (200, 60, 90))) for g in (66, 90)
    )
    assert 0.5 < near < 1 and far < near


def test_own_maps_are_obeyed_better_than_others() -> None:
    own = [colour_similarity(rendering(i), shuffle(rendering(i), seed)) for i in range(6) for seed in (0, 1)]
    others = [colour_similarity(rendering(i), shuffle(rendering((i + 1) % 6))) for i in range(6)]
    assert np.mean(own) > 0.75 > 0.5 > np.mean(others)
    with pytest.raises(ValueError, match="expected the same size"):
        colour_similarity(rendering(0), Image.new("RGB", (1, 1)))


def test_one_colour_is_warned_of() -> None:
    assert "one colour" in SHUFFLE.check(Image.new("RGB", (5, 5), (9, 80, 3)))[0].text
    assert SHUFFLE.check(shuffle(rendering(1))) == []

"""Soft edges: known gradients, safe levels, and an SSIM that agrees with scikit-image's."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tests.conditions.scenes import COUNT, rendering
from zeroconv.conditions.canny import canny
from zeroconv.conditions.soft_edge import (
    SOFT_EDGE,
    check,
    edge_ssim,
    gradient_edges,
    gradient_magnitude,
    random_softness,
    safe_step,
    soft_edge,
)

SIZE = 64
Turn = Image.Transpose


def square(inside: int = 255, outside: int = 0) -> Image.Image:
    """A square from 20 to 43."""
    image = Image.new("RGB", (SIZE, SIZE), (outside,) * 3)
    image.paste((inside,) * 3, (20, 20, 44, 44))
    return image


def grey(image: Image.Image) -> np.ndarray:
    return np.asarray(image)[..., 0].astype(int)


@pytest.mark.parametrize(("slopes", "steepest"), [((2, 2, 2), 2 * 3**0.5), ((2, 0, 0), 2), ((3, 4, 0), 5)])
def test_a_ramp_is_as_steep_as_it_is(slopes: tuple[int, ...], steepest: float) -> None:
    x = np.arange(SIZE, dtype=np.float32) * np.ones((SIZE, 1), np.float32)
    inner = gradient_magnitude([slope * x for slope in slopes], 1.5)[16:-16, 16:-16]
    assert np.allclose(inner, steepest, rtol=1e-4)


def test_colours_that_change_in_two_directions_count_once() -> None:
    """Red to the right, green downwards: the steepest direction sees one of them."""
    x = np.arange(SIZE, dtype=np.float32) * np.ones((SIZE, 1), np.float32)
    inner = gradient_magnitude([2 * x, np.ascontiguousarray(x.T), 0 * x], 1)[16:-16, 16:-16]
    assert np.allclose(inner, 2, rtol=1e-4)


def test_a_square_has_soft_edges_along_its_sides() -> None:
    edges = grey(soft_edge(square()))
    middle = edges[32]
    assert set(np.argsort(middle)[-4:].tolist()) == {19, 20, 43, 44}
    assert middle.max() > 200 and middle[:8].max() == middle[-8:].max() == middle[30:34].max() < 4
    assert (np.diff(middle[8:20]) >= 0).all() and (np.diff(middle[20:30]) <= 0).all()  # soft: up and down, no step
    assert len(np.unique(edges)) > 20


@pytest.mark.parametrize("turn", list(Turn))
@pytest.mark.parametrize("index", range(2))
def test_turns_and_mirrors_commute(turn: Turn, index: int) -> None:
    image = rendering(index).crop((0, 0, 90, 61))
    one, other = soft_edge(image.transpose(turn)), soft_edge(image).transpose(turn)
    assert np.abs(grey(one) - grey(other)).max() <= 1  # sums in another order


def test_colours_do_not_matter_nor_does_polarity() -> None:
    for index in range(COUNT):
        image = rendering(index)
        red, green, blue = image.split()
        for other in (ImageOps.invert(image), Image.merge("RGB", (blue, red, green))):
            assert np.abs(grey(soft_edge(other)) - grey(soft_edge(image))).max() <= 1


def test_half_the_contrast_gives_nearly_the_same_map() -> None:
    full, half = grey(soft_edge(square())), grey(soft_edge(square(191, 64)))
    assert np.abs(full - half).mean() < 5 and half.max() > 150


@pytest.mark.parametrize("level", [0, 77, 255])
def test_a_flat_picture_has_no_edges_and_faint_noise_hardly_any(level: int) -> None:
    assert not grey(soft_edge(square(level, level))).any()
    noise = np.random.default_rng(0).integers(-2, 3, (SIZE, SIZE, 3))
    assert grey(soft_edge(Image.fromarray((noise + level).clip(0, 255).astype(np.uint8)))).mean() < 12


def test_a_larger_sigma_has_wider_edges() -> None:
    widths = [(grey(soft_edge(square(), sigma=sigma))[32] > 64).sum() for sigma in (0.5, 1, 2)]
    assert widths[0] < widths[1] < widths[2]


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (7, 5), (300, 2), (63, 129)])
@pytest.mark.parametrize("safe", [False, True])
def test_any_size_keeps_its_size(size: tuple[int, int], safe: bool) -> None:
    edges = soft_edge(rendering(0).resize(size), safe=safe)
    assert (edges.mode, edges.size) == ("RGB", size)
    assert edges == soft_edge(rendering(0).resize(size), safe=safe)
    assert edge_ssim(rendering(0).resize(size), edges) == pytest.approx(1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK", "I;16"])
def test_any_mode_of_picture_has_edges(mode: str) -> None:
    edges = soft_edge(square().convert("L" if ";" in mode else mode).convert(mode))
    assert (edges.mode, edges.size) == ("RGB", (SIZE, SIZE))
    red, green, blue = np.moveaxis(np.asarray(edges), 2, 0)
    assert red.any() and np.array_equal(red, green) and np.array_equal(red, blue)


@given(x=st.floats(0, 1), y=st.floats(0, 1), steps=st.integers(2, 8))
def test_safe_levels(x: float, y: float, steps: int) -> None:
    low, high = safe_step(np.array(sorted((x, y))), steps)
    assert 0 <= low <= high <= 1  # keeps the order
    assert (low * steps).is_integer()  # on a level
    assert safe_step(np.array([low]), steps) == [low]  # a second time changes nothing
    assert abs(safe_step(np.array([x]), steps)[0] - x) < 1 / steps


def test_two_safe_steps_are_thirds() -> None:
    """As published: x below one third is black, below two thirds grey, the rest white."""
    assert safe_step(np.array([0, 0.33, 0.34, 0.66, 0.67, 1])).tolist() == [0, 0, 0.5, 0.5, 1, 1]


@pytest.mark.parametrize(("steps", "levels"), [(2, {0, 128, 255}), (3, {0, 85, 170, 255}), (8, None)])
def test_safe_maps_have_few_levels(steps: int, levels: set[int] | None) -> None:
    seen = set(np.unique(grey(soft_edge(rendering(0), safe=True, steps=steps))).tolist())
    assert len(seen) == steps + 1 and (levels is None or seen == levels)


def test_nothing_faint_is_hidden_in_a_safe_map() -> None:
    """A pattern that is fainter than a third leaves a trace in a map, and none in a safe one."""
    plain = np.asarray(square()).copy()
    marked = plain.copy()
    marked[4:12, 4:12] += np.indices((8, 8)).sum(0).astype(np.uint8)[..., None] % 2 * 24
    one, other = Image.fromarray(plain), Image.fromarray(marked)
    assert soft_edge(one) != soft_edge(other)
    assert soft_edge(one, safe=True) == soft_edge(other, safe=True)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "sobel"}, "the method of soft-edge is 'sobel'; expected one of gradient, hed, pidinet"),
        ({"safe": 2}, "safe is 2; expected true or false"),
        ({"steps": 1}, "soft-edge has steps=1; expected a whole number from 2 to 8"),
        ({"steps": 2.5}, "soft-edge has steps=2.5; expected a whole number from 2 to 8"),
        ({"steps": float("nan")}, "soft-edge has steps=nan; expected a whole number from 2 to 8"),
        ({"steps": float("inf")}, "soft-edge has steps=inf; expected a whole number from 2 to 8"),
        ({"sigma": 0}, r"soft-edge has sigma=0; expected 0.5 to 8 pixels"),
        ({"sigma": float("nan")}, r"soft-edge has sigma=nan; expected 0.5 to 8 pixels"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        soft_edge(square(), **parameters)
    assert "\n" not in str(caught.value)


@given(seed=st.integers(0, 2**40))
def test_random_parameters_are_in_range_and_keyed(seed: int) -> None:
    drawn = random_softness(np.random.default_rng(seed))
    assert 0.7 <= drawn["sigma"] <= 2 and drawn["steps"] in (2, 3, 4) and drawn["safe"] in (True, False)
    assert drawn == random_softness(np.random.default_rng(seed)) != random_softness(np.random.default_rng(seed + 1))
    soft_edge(square(), **drawn)


def test_random_parameters_fill_their_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_softness(rng) for _ in range(400)]
    sigmas = [d["sigma"] for d in drawn]
    assert min(sigmas) < 0.75 and max(sigmas) > 1.9
    assert 160 < sum(d["safe"] for d in drawn) < 240 and {d["steps"] for d in drawn} == {2, 3, 4}


@pytest.mark.parametrize("index", range(COUNT))
@pytest.mark.parametrize("steps", [None, 2, 3, 5, 8])
def test_a_picture_obeys_its_own_map_safe_or_not(index: int, steps: int | None) -> None:
    own = soft_edge(rendering(index), safe=steps is not None, steps=steps or 2)
    assert edge_ssim(rendering(index), own) == pytest.approx(1)


def test_other_pictures_obey_less_and_noise_least() -> None:
    maps = [soft_edge(rendering(index)) for index in range(COUNT)]
    table = np.array([[edge_ssim(rendering(i), condition) for condition in maps] for i in range(COUNT)])
    others = table[~np.eye(COUNT, dtype=bool)]
    assert np.diag(table).min() > 0.999 and others.max() < 0.5 and others.min() >= 0
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    assert max(edge_ssim(noise, condition) for condition in maps) < others.min() + 0.05


def test_a_picture_without_edges_obeys_no_map_and_another_maps_background_is_no_merit() -> None:
    """Black meets black in most windows of a soft map: only those with an edge in either count."""
    maps = [soft_edge(rendering(index)) for index in range(COUNT)]
    flat = [edge_ssim(Image.new("RGB", condition.size, (90, 120, 60)), condition) for condition in maps]
    others = [edge_ssim(rendering(index - 1), condition) for index, condition in enumerate(maps)]
    assert max(flat) < 0.1 and max(flat) < np.mean(others) + 0.05 and np.mean(others) < 0.15
    wide = Image.new("RGB", (512, 512))
    wide.paste(maps[0], (0, 0))
    large = Image.new("RGB", (512, 512))
    large.paste(rendering(1), (0, 0))
    assert edge_ssim(large, wide) < 0.3


def test_obedience_falls_as_a_picture_moves_away() -> None:
    moved = [square().transform((SIZE, SIZE), Image.Transform.AFFINE, (1, 0, by, 0, 1, 0)) for by in (0, 1, 3, 6)]
    scores = [edge_ssim(image, soft_edge(square())) for image in moved]
    assert scores[0] == pytest.approx(1) and all(a > b for a, b in pairwise(scores))


def test_a_contradiction_counts_as_nothing() -> None:
    image = rendering(0)
    assert edge_ssim(image, ImageOps.invert(soft_edge(image))) < 0.1


def test_a_map_is_judged_by_the_parameters_it_was_made_with() -> None:
    coarse = soft_edge(rendering(0), sigma=2)
    assert edge_ssim(rendering(0), coarse, sigma=2) == pytest.approx(1)
    assert edge_ssim(rendering(0), coarse) < 0.9


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the picture is \(64, 64\), its map \(32, 64\); expected the same size"):
        edge_ssim(square(), Image.new("RGB", (32, 64)))


def test_good_maps_are_not_warned_of() -> None:
    for index in range(COUNT):
        image = rendering(index)
        for condition in (soft_edge(image), soft_edge(image, safe=True), soft_edge(image, sigma=2)):
            assert check(condition) == []


def test_doubtful_maps_are_warned_of() -> None:
    image = rendering(0)
    level = Image.new("RGB", (SIZE, SIZE), (140, 140, 140))
    doubtful = {
        "looks inverted": ImageOps.invert(soft_edge(image)),
        "has colours": Image.blend(image, Image.new("RGB", image.size), 0.5),
        "looks like a picture": level,
        "is empty": square(20, 0),
        "has hard lines without grey levels": canny(image),
    }
    for words, condition in doubtful.items():
        (warning,) = check(condition)
        assert words in warning.text and "\n" not in warning.text
    (warning,) = SOFT_EDGE.check(Image.new("RGB", (1, 1)))
    assert "empty" in warning.text


def test_gradient_edges_are_an_array_in_range() -> None:
    edges = gradient_edges(np.asarray(rendering(3)))
    assert (edges.dtype, edges.shape) == (np.float32, (128, 128))
    assert edges.min() >= 0 and edges.max() < 1

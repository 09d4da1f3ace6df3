"""Edges: the oracle is OpenCV, the laws are those of an F1 with one pixel of tolerance."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conditions.drawings import SIZES, noise
from tests.conditions.scenes import rendering
from zeroconv.conditions import extract
from zeroconv.conditions.canny import canny, edge_f1, random_thresholds
from zeroconv.diffusion import generator

SIZE = 64
thresholds = st.floats(0, 2040)


def square(shift: int = 0, colour: int = 255) -> Image.Image:
    """A bright square on black, moved to the right."""
    image = Image.new("RGB", (SIZE, SIZE))
    image.paste((colour,) * 3, (20 + shift, 20, 44 + shift, 44))
    return image


@given(index=st.integers(0, 2), a=thresholds, b=thresholds)
def test_edges_are_opencvs_on_three_equal_channels(index: int, a: float, b: float) -> None:
    low, high = sorted((a, b))
    edges = np.asarray(canny(rendering(index), low, high))
    assert edges.shape == (128, 128, 3) and set(np.unique(edges)) <= {0, 255}
    for channel in range(3):
        assert np.array_equal(edges[..., channel], cv2.Canny(np.asarray(rendering(index)), low, high))


@pytest.mark.parametrize("size", [*SIZES, (300, 2), (5, 300), (130, 257)])
def test_strips_do_not_show_at_any_size(size: tuple[int, int]) -> None:
    soft = np.asarray(noise(size).resize((4 * size[0], 4 * size[1])))
    for rgb in (np.asarray(noise(size)), soft):
        for low, high in ((0, 0), (40, 90), (300, 900)):
            assert np.array_equal(np.asarray(canny(Image.fromarray(rgb), low, high))[..., 0], cv2.Canny(rgb, low, high))


def test_defaults_are_100_and_200() -> None:
    assert canny(rendering(0)) == canny(rendering(0), 100, 200) == extract("canny", rendering(0))
    assert canny(rendering(0)) != canny(rendering(0), 50, 100)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "CMYK"])
def test_any_mode_of_picture_has_edges_of_its_size(mode: str) -> None:
    edges = canny(square().convert(mode))
    assert (edges.mode, edges.size) == ("RGB", (SIZE, SIZE))
    assert edge_f1(square(), edges) > 0.99


@pytest.mark.parametrize(("low", "high"), [(200, 100), (-1, 100), (float("nan"), 100), (100, float("inf")), (0, 2041)])
def test_thresholds_that_make_no_sense_are_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="expected 0 <= low <= high <= 2040"):
        canny(square(), low, high)


@pytest.mark.parametrize("parameters", [{"low": "a"}, {"sigma": 1.0}])
def test_parameters_that_it_does_not_have_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="canny: ") as caught:
        extract("canny", square(), **parameters)
    assert "\n" not in str(caught.value)


@given(seed=st.integers(0, 2**40))
def test_random_thresholds_are_in_range_and_keyed(seed: int) -> None:
    drawn = random_thresholds(np.random.default_rng(seed))
    assert 100 <= drawn["high"] <= 300
    assert 0.3 <= drawn["low"] / drawn["high"] <= 0.7
    assert drawn == random_thresholds(np.random.default_rng(seed)) != random_thresholds(np.random.default_rng(seed + 1))
    canny(square(), **drawn)


def test_random_thresholds_fill_their_range() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_thresholds(rng) for _ in range(400)]
    high, ratio = [d["high"] for d in drawn], [d["low"] / d["high"] for d in drawn]
    assert min(high) < 110 and max(high) > 290 and abs(np.mean(high) - 200) < 10
    assert min(ratio) < 0.32 and max(ratio) > 0.68


def test_thresholds_of_a_visit_come_from_its_key() -> None:
    def drawn(*key: int) -> Any:
        return random_thresholds(np.random.default_rng(generator(7, *key).initial_seed() % 2**63))

    assert drawn(3, 0) == drawn(3, 0) != drawn(3, 1)


@pytest.mark.parametrize("index", range(3))
def test_a_picture_obeys_its_own_edges(index: int) -> None:
    assert edge_f1(rendering(index), canny(rendering(index))) == 1


def test_two_empty_maps_agree_and_one_does_not() -> None:
    nothing = Image.new("RGB", (SIZE, SIZE))
    assert edge_f1(nothing, nothing) == 1
    assert edge_f1(square(), nothing) == edge_f1(nothing, canny(square())) == 0


def test_one_pixel_is_forgiven_and_three_are_not() -> None:
    scores = [edge_f1(square(shift), canny(square())) for shift in range(5)]
    assert scores[0] == scores[1] == 1
    assert scores[3] < scores[1]
    assert scores[4] < 0.6  # the two vertical sides are lost; most of the horizontal ones still meet
    assert edge_f1(square(3), canny(square()), tolerance=3) == 1
    assert edge_f1(square(1), canny(square()), tolerance=0) < 1


@given(a=st.integers(0, 5), b=st.integers(0, 5))
def test_f1_is_in_range_and_symmetric_in_precision_and_recall(a: int, b: int) -> None:
    one = edge_f1(rendering(a), canny(rendering(b)))
    assert 0 <= one <= 1
    assert one == pytest.approx(edge_f1(rendering(b), canny(rendering(a))))


def test_f1_by_hand() -> None:
    """A share p of the found edges lies on the map, and all of the map is met: F1 = 2 p / (p + 1)."""
    edges = canny(square())
    left = edges.copy()
    left.paste((0, 0, 0), (32, 0, SIZE, SIZE))
    found = np.asarray(edges)[..., 0] > 0
    kept = found[:, :33].sum() / found.sum()  # one more column is within the tolerance
    assert edge_f1(square(), left) == pytest.approx(2 * kept / (1 + kept))


def test_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the picture is \(64, 64\), its map \(32, 64\); expected the same size"):
        edge_f1(square(), Image.new("RGB", (32, 64)))

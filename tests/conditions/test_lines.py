"""Straight lines: known segments, joined pieces, and an F1 with directions."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from tests.conditions.drawings import SIZE, SIZES, TURNS, agreement, disc, fan, filled_square, noise, white
from tests.conditions.scenes import COUNT, rendering
from zeroconv.conditions import extract
from zeroconv.conditions.lines import (
    LINES,
    check,
    detect_segments,
    draw_segments,
    line_f1,
    lines,
    outline_fraction,
    random_lines,
)
from zeroconv.conditions.raster.segment_joining import join

# Where the filled square ends, between two pixels each.
LEFT, TOP, RIGHT, BOTTOM = 31.5, 39.5, 95.5, 87.5


def drawn(*segments: tuple[float, float, float, float]) -> Image.Image:
    return draw_segments(np.array(segments, np.float32).reshape(-1, 4), (SIZE, SIZE))


def test_a_square_has_four_sides_to_a_fifth_of_a_pixel() -> None:
    """The detector's answers are right without a shift of half pixels that its own scaling forgets."""
    sides = join(detect_segments(filled_square()), 2, 2, 8)
    assert len(sides) == 4
    across = sorted(float(side[1::2].mean()) for side in sides if abs(side[2] - side[0]) > 50)
    down = sorted(float(side[::2].mean()) for side in sides if abs(side[3] - side[1]) > 40)
    assert across == pytest.approx([TOP, BOTTOM], abs=0.2) and down == pytest.approx([LEFT, RIGHT], abs=0.2)
    for side in sides:
        assert np.hypot(*(side[2:] - side[:2])) == pytest.approx(64 if abs(side[2] - side[0]) > 50 else 48, abs=3)


def test_a_square_becomes_its_outline() -> None:
    outline = Image.new("RGB", (SIZE, SIZE))
    ImageDraw.Draw(outline).rectangle((32, 40, 96, 88), outline="white")
    assert agreement(lines(filled_square()), outline, 1) == 1
    assert white(lines(filled_square())).sum() == pytest.approx(2 * (64 + 48), abs=8)


@pytest.mark.parametrize(("colour", "ground"), [("black", "white"), ("white", "black"), ("red", "navy")])
def test_each_stroke_of_a_fan_is_one_line(colour: str, ground: str) -> None:
    found = lines(fan(colour, ground))
    truth = fan("white", "black")
    assert agreement(found, truth, 1) == 1
    assert white(found).sum() == pytest.approx(white(truth).sum(), rel=0.03)  # not both sides of each stroke


@pytest.mark.parametrize("turn", TURNS)
def test_flips_and_turns_commute_to_one_pixel(turn: str) -> None:
    for image in (filled_square(), fan()):
        assert agreement(lines(TURNS[turn](image)), TURNS[turn](lines(image)), 1) == 1


@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_drawn_the_same_twice(size: tuple[int, int]) -> None:
    found = lines(noise(size), min_length=0.01)
    assert (found.mode, found.size) == ("RGB", size) and found == lines(noise(size).copy(), min_length=0.01)


@pytest.mark.parametrize("grey", [0, 90, 255])
def test_a_picture_of_one_colour_has_no_lines(grey: int) -> None:
    assert not white(lines(Image.new("RGB", (50, 33), (grey,) * 3), 0, 0, 0)).any()


def test_a_small_disc_has_hardly_a_line_and_no_long_one() -> None:
    assert not white(lines(disc(), min_length=0.2)).any()


def test_faint_and_short_lines_can_be_left_out() -> None:
    faint = filled_square(100, 110)
    assert not white(lines(faint)).any() and white(lines(faint, threshold=6)).any()
    counts = [white(lines(rendering(0), min_length=length)).sum() for length in (0.03, 0.1, 0.3)]
    assert counts[0] > counts[1] > counts[2]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"min_length": -0.1}, "min_length is -0.1; expected 0 to 1"),
        ({"max_gap": 5}, "max_gap is 5; expected 0 to 1"),
        ({"threshold": 256}, "threshold is 256; expected 0 to 255"),
        ({"threshold": float("nan")}, "threshold is nan; expected 0 to 255"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lines(disc(), **parameters)


@given(seed=st.integers(0, 2**40))
def test_random_parameters_are_keyed_and_accepted(seed: int) -> None:
    parameters = random_lines(np.random.default_rng(seed))
    assert parameters == random_lines(np.random.default_rng(seed)) != random_lines(np.random.default_rng(seed + 1))
    assert lines(rendering(0), **parameters).size == rendering(0).size


def test_a_picture_obeys_its_own_lines_and_not_anothers() -> None:
    for index in range(COUNT):
        own = line_f1(rendering(index), lines(rendering(index)))
        assert own == 1 > line_f1(rendering(index), lines(rendering((index + 1) % COUNT)))


def test_lines_two_pixels_off_are_met_and_four_are_not() -> None:
    found = lines(filled_square())
    truth = [(LEFT, TOP, RIGHT, TOP), (LEFT, BOTTOM, RIGHT, BOTTOM), (LEFT, TOP, LEFT, BOTTOM), (RIGHT, TOP, RIGHT, BOTTOM)]
    scores = [line_f1(filled_square(), drawn(*[(x0 + d, y0, x1 + d, y1) for x0, y0, x1, y1 in truth])) for d in (0, 1, 5)]
    assert white(found).any() and scores[0] > 0.98 and scores[1] > 0.95
    assert 0.4 < scores[2] < 0.75  # only the horizontal sides are met


@pytest.mark.parametrize(("turn", "least", "most"), [(0, 0.99, 1), (1, 0.9, 1), (7.5, 0, 0.45)])
def test_turned_lines_are_met_while_they_stay_near(turn: float, least: float, most: float) -> None:
    assert least <= line_f1(fan(), fan("white", "black", turn)) <= most


def test_a_line_of_another_direction_is_not_met_where_it_is_near() -> None:
    """Hatching meets every pixel of a line with its own; the directions tell."""
    image = Image.new("RGB", (SIZE, SIZE), "white")
    ImageDraw.Draw(image).line((10, 64, 118, 64), fill="black")
    hatching = drawn(*[(x, 10, x, 118) for x in range(10, 120, 4)])
    assert line_f1(image, drawn((10, 64, 118, 64))) > 0.95
    assert line_f1(image, hatching) < 0.1


def test_empty_maps_and_other_sizes() -> None:
    nothing = Image.new("RGB", (SIZE, SIZE))
    assert line_f1(nothing, nothing) == 1
    assert line_f1(filled_square(), nothing) == line_f1(nothing, lines(filled_square())) == 0
    with pytest.raises(ValueError, match=r"the picture is \(128, 128\), its map \(64, 128\); expected the same size"):
        line_f1(filled_square(), nothing.resize((64, SIZE)))


def test_inverted_maps_are_warned_of() -> None:
    assert LINES.check(lines(filled_square())) == []
    assert "inverted" in LINES.check(ImageOps.invert(lines(filled_square())))[0].text


def test_a_small_map_of_edges_in_place_of_lines_is_told() -> None:
    """Under 256 px: three in four of edges, and none of lines, with any parameters of training."""
    told: list[bool] = []
    for index in range(COUNT):
        for side in (96, 128, 200, 255):
            image = rendering(index).resize((side, side), Image.Resampling.BICUBIC)
            told.append([message.code for message in check(extract("canny", image))] == ["map.other"])
            for seed in range(3):
                of_it = lines(image, **random_lines(np.random.default_rng(seed)))
                assert not {message.code for message in check(of_it)} - {"map.empty"}
    assert np.mean(told) >= 0.75


def test_straight_outlines_are_measured() -> None:
    line, wave = np.zeros((100, 100), np.uint8), np.zeros((100, 100), np.uint8)
    cv2.line(line, (10, 20), (90, 57), (1,), 1)
    columns = np.arange(5, 95)
    wave[(50 + 3 * np.sin(columns)).round().astype(int), columns] = 1
    assert outline_fraction(line > 0) > 0.95 and outline_fraction(wave > 0) < 0.6
    assert outline_fraction(np.zeros((9, 9), bool)) == 1

"""Line drawings: known strokes, paper of any shade, and an F1 of white."""

from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from tests.conditions.drawings import BOX, SIZE, SIZES, TURNS, agreement, disc, fan, filled_square, noise, white
from tests.conditions.scenes import COUNT, rendering
from zeroconv.conditions.lineart import LINEART, dark_lines, line_agreement, lineart, random_lineart


def grey(map_: Image.Image) -> np.ndarray:
    return np.asarray(map_)[..., 0].astype(int)


def test_dark_strokes_are_white_lines_at_their_place() -> None:
    assert agreement(lineart(fan()), fan("white", "black"), 1) == 1
    assert not (white(lineart(fan("white", "black"))) & white(fan("white", "black"))).any()  # a bright stroke is none


def test_a_square_is_lined_along_its_dark_side() -> None:
    left, top, right, bottom = BOX
    inside = grey(lineart(filled_square(220, 30)))  # dark on bright: the line is within
    assert inside[top + 24, left] == inside[top, left + 32] == 255
    assert inside[top + 24, left - 1] == inside[top - 1, left + 32] == inside[top + 24, left + 32] == 0
    outside = grey(lineart(filled_square(30, 220)))
    assert outside[top + 24, left - 1] == outside[bottom + 1, left + 32] == outside[bottom, right + 1] == 255
    assert outside[top + 24, left] == outside[0, 0] == 0


def test_a_disc_is_lined_by_a_circle() -> None:
    rows, columns = np.nonzero(white(lineart(disc())))
    radius = np.hypot(rows - 64, columns - 64)
    assert radius.max() < 21 and radius.min() > 17


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("turn", TURNS)
def test_flips_and_turns_commute_to_one_grey_level(turn: str, coarse: bool) -> None:
    for image in (filled_square(), disc(), rendering(0)):
        turned, lined = lineart(TURNS[turn](image), coarse, detail=1), TURNS[turn](lineart(image, coarse, detail=1))
        assert abs(grey(turned) - grey(lined)).max() <= 1


@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_drawn_the_same_twice(size: tuple[int, int]) -> None:
    lined = lineart(noise(size))
    assert (lined.mode, lined.size) == ("RGB", size) and lined == lineart(noise(size).copy())
    assert (np.asarray(lined) == np.asarray(lined)[..., :1]).all()


@pytest.mark.parametrize("shade", [0, 90, 255])
def test_a_picture_of_one_colour_has_no_lines(shade: int) -> None:
    assert not grey(lineart(Image.new("RGB", (50, 33), (shade,) * 3), detail=1)).any()


def test_grey_paper_and_shading_vanish() -> None:
    ramp = np.linspace(0.5, 1, 256)[None, :, None]
    shaded = Image.fromarray((np.asarray(fan()) * ramp).astype(np.uint8))
    paper = np.ones((256, 256), bool)
    assert agreement(lineart(shaded), lineart(fan()), 1) == 1
    nothing = Image.fromarray((np.full((256, 256, 3), 255) * ramp).astype(np.uint8))
    assert not grey(lineart(nothing))[paper].any()


def test_paler_lines_are_greyer() -> None:
    """In one drawing: three strokes, two pixels wide, at rows 64, 128 and 192."""
    image = Image.new("RGB", (256, 256), "white")
    for row, colour in zip((64, 128, 192), ("#000000", "#d0d0d0", "#e0e0e0"), strict=True):
        ImageDraw.Draw(image).line((20, row, 236, row), fill=colour, width=2)
    levels = [int(grey(lineart(image, detail=1))[row - 3 : row + 4, 128].max()) for row in (64, 128, 192)]
    assert levels[0] == 255 > levels[1] > levels[2] > 0


def test_strength_detail_and_coarseness_do_what_they_say() -> None:
    image = rendering(0)
    assert grey(lineart(image, strength=0.5)).sum() < grey(lineart(image)).sum() < grey(lineart(image, strength=3)).sum()
    counts = [(grey(lineart(image, detail=detail)) > 0).sum() for detail in (0.0, 0.5, 1.0)]
    assert counts[0] < counts[1] < counts[2]
    large = fan().resize((768, 768))
    assert white(lineart(large, coarse=True)).sum() > 1.3 * white(lineart(large)).sum()


def test_short_strong_lines_stay_and_short_faint_ones_go() -> None:
    image = Image.new("RGB", (512, 512), "white")
    pen = ImageDraw.Draw(image)
    pen.line((100, 100, 106, 100), fill="black", width=3)
    pen.line((300, 300, 306, 300), fill="#c0c0c0", width=3)
    found = grey(lineart(image))
    assert found[100, 103] == 255 and not found[280:320, 280:320].any()
    assert grey(lineart(image, detail=1))[300, 303] > 0


def test_dark_lines_by_hand() -> None:
    flat = np.full((9, 9, 3), 200, np.uint8)
    assert dark_lines(flat, 1).max() < 1e-5
    spot = flat.copy()
    spot[4, 4] = 100
    found = dark_lines(spot, 1)
    assert found.argmax() == 4 * 9 + 4
    small, large = (224 - 100 * peak for peak in (0.3991**2, 0.2016**2))  # the middle of Gaussians with sigma 1 and 2
    assert found[4, 4] == pytest.approx(1 - small / large, abs=0.01)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"strength": 0}, "strength is 0; expected above 0 to 4"),
        ({"strength": float("nan")}, "strength is nan; expected above 0 to 4"),
        ({"detail": 2}, "detail is 2; expected 0 to 1"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lineart(disc(), **parameters)


@given(seed=st.integers(0, 2**40))
def test_random_parameters_are_keyed_and_accepted(seed: int) -> None:
    parameters = random_lineart(np.random.default_rng(seed))
    assert parameters == random_lineart(np.random.default_rng(seed)) != random_lineart(np.random.default_rng(seed + 1))
    assert lineart(rendering(0), **parameters).size == rendering(0).size


def test_a_picture_obeys_its_own_lines_and_not_anothers() -> None:
    for index in range(COUNT):
        own = line_agreement(rendering(index), lineart(rendering(index)))
        assert own == 1 > line_agreement(rendering(index), lineart(rendering((index + 1) % COUNT)))


def test_agreement_by_hand() -> None:
    """Half of the map is missing: recall 1, precision 1/2 and what lies within the tolerance: F1 = 2 p / (1 + p)."""
    lined = lineart(disc())
    half = lined.copy()
    half.paste((0, 0, 0), (0, 0, 64, SIZE))
    assert line_agreement(disc(), half) == pytest.approx(2 / 3, abs=0.04)
    faint = Image.fromarray((np.asarray(lined) // 2).astype(np.uint8))
    assert line_agreement(disc(), faint) == pytest.approx(2 / 3, abs=0.1)  # half as white: precision 1/2, recall 1


def test_empty_maps_and_other_sizes() -> None:
    nothing = Image.new("RGB", (SIZE, SIZE))
    assert line_agreement(nothing, nothing) == 1
    assert line_agreement(disc(), nothing) == line_agreement(nothing, lineart(disc())) == 0
    with pytest.raises(ValueError, match=r"the picture is \(128, 128\), its map \(64, 128\); expected the same size"):
        line_agreement(disc(), nothing.resize((64, SIZE)))


def test_a_drawing_in_place_of_its_map_is_warned_of() -> None:
    assert LINEART.check(lineart(disc())) == []
    assert "inverted" in LINEART.check(ImageOps.invert(lineart(disc())))[0].text


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("ink", [40, 90, 150, 200, 220])
def test_a_thin_pencil_line_survives_and_is_white(coarse: bool, ink: int) -> None:
    paper = np.full((512, 512, 3), 250, np.uint8)
    cv2.circle(paper, (256, 256), 150, (ink, ink, ink), 1, cv2.LINE_AA)
    white = np.asarray(lineart(Image.fromarray(paper), coarse=coarse))[..., 0]
    drawn = paper[..., 0] < (ink + 250) / 2
    assert white.max() == 255 and float((white[drawn] > 64).mean()) > 0.9


@pytest.mark.parametrize("coarse", [False, True])
def test_the_grain_of_empty_paper_is_no_line(coarse: bool) -> None:
    grain = np.random.default_rng(0).normal(240, 3, (512, 512, 3)).clip(0, 255).astype(np.uint8)
    assert np.asarray(lineart(Image.fromarray(grain), coarse=coarse)).mean() < 1

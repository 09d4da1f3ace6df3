"""Scribbles: known shapes, drawings on any paper, and an F2 of centre lines."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps

from tests.conditions.drawings import BOX, SIZE, SIZES, TURNS, agreement, disc, filled_square, noise, white
from tests.conditions.scenes import COUNT, rendering
from zeroconv import conditions
from zeroconv.conditions.scribble import METHODS, SCRIBBLE, random_patches, random_scribble, scribble, stroke_f2
from zeroconv.metrics.edges import f_score


def drawing(colour: Any = (30, 30, 40), ground: Any = (240, 240, 240)) -> Image.Image:
    """A ring and a line, three pixels wide."""
    image = Image.new("RGB", (200, 160), ground)
    pen = ImageDraw.Draw(image)
    pen.ellipse((30, 30, 110, 110), outline=colour, width=3)
    pen.line((130, 30, 180, 140), fill=colour, width=3)
    return image


def strokes_drawn() -> np.ndarray:
    return np.asarray(drawing().convert("L")) < 128


def iou(map_: Image.Image) -> float:
    return float((white(map_) & strokes_drawn()).sum() / (white(map_) | strokes_drawn()).sum())


def test_a_square_is_drawn_along_its_sides() -> None:
    rows, columns = np.nonzero(white(scribble(filled_square(), width=1)))
    left, top, right, bottom = BOX
    off = np.minimum.reduce([abs(columns - left), abs(columns - right), abs(rows - top), abs(rows - bottom)])
    assert off.max() <= 4 and (off <= 1).mean() > 0.9  # corners are rounded
    assert rows.min() >= top - 1 and rows.max() <= bottom + 1 and columns.min() >= left - 1 and columns.max() <= right + 1
    assert 2 * (64 + 48) * 0.9 < len(rows) < 2 * (64 + 48) * 1.1


def test_a_disc_is_drawn_as_its_circle() -> None:
    rows, columns = np.nonzero(white(scribble(disc(), width=1)))
    radius = np.hypot(rows - 64, columns - 64)
    assert abs(radius - 20.5).max() < 1.5
    assert len(set((np.degrees(np.arctan2(rows - 64, columns - 64)) % 360 // 10).tolist())) == 36  # all around


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("method", METHODS[:2])
def test_flips_and_turns_commute_to_one_pixel(turn: str, method: str) -> None:
    for image in (filled_square(), disc()):
        turned, drawn = scribble(TURNS[turn](image), method), TURNS[turn](scribble(image, method))
        assert agreement(turned, drawn, 1) == 1


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", SIZES)
def test_any_size_is_drawn_the_same_twice(size: tuple[int, int], method: str) -> None:
    for image in (noise(size), noise(size, 1)):
        drawn = scribble(image, method, masked=0.3)
        assert (drawn.mode, drawn.size) == ("RGB", size)
        assert drawn == scribble(image.copy(), method, masked=0.3)
        assert set(np.unique(np.asarray(drawn))) <= {0, 255}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("grey", [0, 90, 255])
@pytest.mark.parametrize("threshold", [None, 0.0])
def test_a_picture_of_one_colour_has_no_strokes(grey: int, method: str, threshold: float | None) -> None:
    assert not white(scribble(Image.new("RGB", (50, 33), (grey,) * 3), method, threshold)).any()


@pytest.mark.parametrize("method", METHODS)
def test_a_higher_threshold_draws_less(method: str) -> None:
    counts = [white(scribble(rendering(0), method, threshold, 1)).sum() for threshold in (0.1, 0.4, 0.95)]
    assert counts[0] > counts[1] >= counts[2]


@pytest.mark.parametrize("width", [1, 2, 5, 24])
def test_strokes_are_as_wide_as_asked(width: int) -> None:
    drawn = white(scribble(filled_square(), width=width))
    assert drawn[: SIZE // 2, SIZE // 2].sum() == width  # across the upper side


def test_suppression_keeps_ridges_alone_and_closing_joins_neighbours() -> None:
    image = Image.new("RGB", (SIZE, SIZE))
    image.paste((200,) * 3, (20, 60, 108, 66))  # a bar: two sides, six pixels apart
    assert white(scribble(image, width=1))[:, 64].sum() == 2
    assert white(scribble(image, width=1, close=8))[:, 64].sum() == 1
    assert white(scribble(image, suppress=False))[:, 64].sum() > 2


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_patches_cover_their_share_and_are_seeded(share: float) -> None:
    one = random_patches((90, 120), share, 7)
    assert one.mean() == pytest.approx(share, abs=0.01)
    assert np.array_equal(one, random_patches((90, 120), share, 7))
    assert share in (0, 1) or not np.array_equal(one, random_patches((90, 120), share, 8))


def test_patches_leave_out_strokes_and_draw_none() -> None:
    whole, part = white(scribble(rendering(1))), white(scribble(rendering(1), masked=0.5, seed=3))
    assert part.any() and part.sum() < whole.sum() and not (part & ~whole).any()
    assert not white(scribble(rendering(1), masked=1)).any()


COLOURS = {
    "ink": ((30, 30, 40), (240, 240, 240)),
    "chalk": ((230, 230, 230), (20, 20, 20)),
    "red pencil": ((220, 40, 40), (250, 250, 250)),
    "yellow marker": ((250, 235, 60), (250, 250, 250)),
    "blue on green": ((20, 30, 200), (120, 200, 120)),
    "pale pencil": ((170, 170, 170), (235, 235, 235)),
}


@pytest.mark.parametrize("name", COLOURS)
def test_drawings_of_any_polarity_and_colour_are_cleaned(name: str) -> None:
    assert iou(scribble(drawing(*COLOURS[name]), "drawing")) > 0.97


def test_shadows_on_photographed_paper_are_removed() -> None:
    rows, columns = np.mgrid[:160, :200]
    shade = 0.4 + 0.6 * columns / 200 * (0.5 + rows / 320)
    shade[:, :70] *= 0.75  # the hard shadow of a hand
    photo = np.asarray(drawing()) * shade[..., None] + np.random.default_rng(0).normal(0, 3, (160, 200, 1))
    assert iou(scribble(Image.fromarray(photo.clip(0, 255).astype(np.uint8)), "drawing")) > 0.9


@pytest.mark.parametrize("ink", [(0, 0, 0), (255, 255, 255), (40, 40, 120)])
def test_strokes_on_transparent_paper_are_seen(ink: tuple[int, int, int]) -> None:
    canvas = np.zeros((160, 200, 4), np.uint8)
    canvas[strokes_drawn()] = (*ink, 255)
    assert iou(scribble(Image.fromarray(canvas), "drawing")) == 1


def test_a_clean_map_stays_as_it_is_and_pens_can_be_changed() -> None:
    map_ = Image.fromarray(strokes_drawn()).convert("RGB")
    assert np.array_equal(np.asarray(scribble(map_, "drawing")), np.asarray(map_))
    assert agreement(scribble(ImageOps.invert(map_), "drawing"), map_, 0) == 1
    wide = white(scribble(map_, "drawing", width=9))
    assert wide[:60, 70].sum() == 9 and agreement(scribble(map_, "drawing", width=1), map_, 2) == 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "hed"}, "no method 'hed'; expected one of edges, xdog, drawing"),
        ({"threshold": 1.5}, "threshold is 1.5; expected 0 to 1"),
        ({"threshold": float("nan")}, "threshold is nan; expected 0 to 1"),
        ({"masked": -0.1}, "masked is -0.1; expected 0 to 1"),
        ({"width": 0}, "width is 0; expected 1 to 24 whole pixels"),
        ({"width": 2.5}, "width is 2.5; expected 1 to 24 whole pixels"),
        ({"close": 25}, "close is 25; expected 0 to 24 whole pixels"),
        ({"close": float("inf")}, "close is inf; expected 0 to 24 whole pixels"),
        ({"seed": -1}, "seed is -1; expected a whole number from 0"),
        ({"seed": float("nan")}, "seed is nan; expected a whole number from 0"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scribble(disc(), **parameters)


@given(seed=st.integers(0, 2**40))
def test_random_parameters_are_keyed_and_accepted(seed: int) -> None:
    drawn = random_scribble(np.random.default_rng(seed))
    assert drawn == random_scribble(np.random.default_rng(seed)) != random_scribble(np.random.default_rng(seed + 1))
    assert scribble(rendering(0), **drawn).size == rendering(0).size


def test_random_parameters_fill_their_ranges() -> None:
    rng = np.random.default_rng(0)
    drawn = [random_scribble(rng) for _ in range(400)]
    assert {d["width"] for d in drawn} >= set(range(1, 20)) and {d["method"] for d in drawn} == {"edges", "xdog"}
    assert 0.4 < np.mean([d["masked"] == 0 for d in drawn]) < 0.6 and max(d["masked"] for d in drawn) > 0.45
    assert {d["close"] for d in drawn} == set(range(6)) and {d.get("suppress", True) for d in drawn} == {True, False}


def test_a_picture_obeys_its_own_scribble_and_not_anothers() -> None:
    for index in range(COUNT):
        own = stroke_f2(rendering(index), scribble(rendering(index)))
        assert own == 1 > stroke_f2(rendering(index), scribble(rendering((index + 1) % COUNT)))


def test_the_width_of_strokes_does_not_matter_much_and_a_missing_half_little() -> None:
    assert stroke_f2(disc(), scribble(disc(), width=9)) > 0.95
    half = scribble(disc())
    half.paste((0, 0, 0), (0, 0, 64, SIZE))
    assert 0.75 < stroke_f2(disc(), half) < 0.95  # precision 1/2, recall 1: F2 = 5/6
    assert stroke_f2(disc(), half) == pytest.approx(5 / 6, abs=0.05)


def test_empty_maps_and_other_sizes() -> None:
    nothing = Image.new("RGB", (SIZE, SIZE))
    assert stroke_f2(nothing, nothing) == 1
    assert stroke_f2(disc(), nothing) == stroke_f2(nothing, scribble(disc())) == 0
    with pytest.raises(ValueError, match=r"the picture is \(128, 128\), its map \(64, 128\); expected the same size"):
        stroke_f2(disc(), nothing.resize((64, SIZE)))


def test_inverted_and_coloured_maps_are_warned_of() -> None:
    assert SCRIBBLE.check(scribble(disc())) == []
    assert "inverted" in SCRIBBLE.check(ImageOps.invert(scribble(disc())))[0].text


def test_strokes_do_not_depend_on_the_size_of_the_picture() -> None:
    """At 9 megapixels they are those of 512 pixels, larger; and the pen stays inside its contract."""
    picture = Image.fromarray(np.asarray(rendering(0).resize((512, 512), Image.Resampling.BICUBIC)))
    large = picture.resize((3000, 3000), Image.Resampling.BICUBIC)
    wanted = np.asarray(conditions.extract("scribble", picture))[..., 0] > 127
    strokes = conditions.extract("scribble", large)
    found = np.asarray(strokes.resize((512, 512), Image.Resampling.BOX))[..., 0] > 127
    assert f_score(found, wanted, 2) > 0.9
    assert SCRIBBLE.check(strokes) == []


@pytest.mark.parametrize(
    "side", [64, 100, 128, 512, 513, 1000, 2500, *(pytest.param(side, marks=pytest.mark.slow) for side in (2400, 3000, 4000))]
)
def test_the_default_pen_is_inside_its_contract_at_any_size(side: int) -> None:
    """1 % of the side, and 1 to 24 pixels: measured across the upper side of a square, and of a bar for dark lines."""
    square = filled_square().resize((side, side), Image.Resampling.BICUBIC)
    line = ImageOps.invert(square)
    line.paste((20, 20, 20), (0, side // 4, side, side // 4 + max(1, side // 100)))
    for image, method, column in ((square, "edges", side // 2), (line, "xdog", side // 8)):
        drawn = white(scribble(image, method))[: side * 2 // 5, column]
        assert drawn.sum() == min(24, max(1, round(side / 100)))


def test_the_function_the_condition_and_the_command_draw_the_same_strokes_of_a_large_picture() -> None:
    large = rendering(1).resize((1200, 900), Image.Resampling.BICUBIC)
    for method in METHODS:
        wanted = conditions.extract("scribble", large, method=method)
        assert wanted == scribble(large, method) == SCRIBBLE.extract(large, method=method) and white(wanted).any()
    assert stroke_f2(large, conditions.extract("scribble", large)) == 1
    seen_whole, seen_small = scribble(large, resolution=900), scribble(large, resolution=128)
    assert white(seen_whole).sum() != white(seen_small).sum() and seen_whole.size == seen_small.size == large.size
    assert conditions.extract("scribble", large, resolution=128) == seen_small


def test_the_width_is_in_pixels_of_the_map() -> None:
    for side in (256, 700, 2000):
        for width in (1, 9, 24):
            drawn = white(scribble(filled_square().resize((side, side), Image.Resampling.BICUBIC), width=width))
            assert drawn[: side // 2, side // 2].sum() == width

"""Resizing that respects the map, and detection at another resolution or in tiles."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from tests.conditions.scenes import rendering, true_map
from zeroconv.conditions import extract, fit_map, names
from zeroconv.conditions.canny import canny
from zeroconv.conditions.inpaint import find_hole, inpaint
from zeroconv.conditions.normal import normal_map
from zeroconv.conditions.openpose.reading import read_joints
from zeroconv.conditions.raster.resizing import MODES
from zeroconv.conditions.raster.tiling import detection_size
from zeroconv.conditions.segmentation import read_classes
from zeroconv.conditions.shuffle import shuffle
from zeroconv.conditions.tile import tile

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))


def map_for(name: str, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """Some map of a condition."""
    if name in ("depth", "normal", "segmentation", "pose"):
        return true_map(0, name).resize(size, Image.Resampling.NEAREST)
    scene = rendering(0).resize(size)
    made = {"canny": canny, "scribble": canny, "lines": canny, "shuffle": shuffle, "tile": tile, "inpaint": inpaint}
    return made[name](scene) if name in made else scene.convert("L").filter(ImageFilter.FIND_EDGES).convert("RGB")


def white(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L")) > 127


def pieces(strokes: np.ndarray) -> tuple[int, int]:
    """Connected lines, and areas that they enclose."""
    lines = cv2.connectedComponents(strokes.astype(np.uint8), connectivity=8)[0] - 1
    return lines, cv2.connectedComponents((~np.pad(strokes, 1)).astype(np.uint8), connectivity=4)[0] - 2


@pytest.mark.parametrize("name", names())
@given(size=sizes, start=sizes, mode=st.sampled_from(MODES))
def test_every_map_gets_the_size_that_was_asked_for(
    name: str, size: tuple[int, int], start: tuple[int, int], mode: str
) -> None:
    before = map_for(name, start)
    fitted = fit_map(before, size, name, mode)
    assert fitted.size == size and fitted.mode == ("RGBA" if name == "inpaint" else "RGB")
    assert fitted == fit_map(before, size, name, mode)
    assert fit_map(before, start, name, mode) == before  # nothing is done where nothing is to do


def drawn(size: int, shape: Callable[[ImageDraw.ImageDraw], object]) -> Image.Image:
    canvas = Image.new("L", (size, size))
    shape(ImageDraw.Draw(canvas))
    return canvas.convert("RGB")


SHAPES: dict[str, tuple[Callable[[ImageDraw.ImageDraw], object], tuple[int, int]]] = {
    "square": (lambda pen: pen.rectangle((20, 20, 100, 100), outline=255), (1, 1)),
    "circle": (lambda pen: pen.ellipse((15, 15, 105, 105), outline=255), (1, 1)),
    "fan": (lambda pen: [pen.line((4, 4, 120, y), 255) for y in (4, 40, 80, 120)], (1, 0)),
    "grid": (lambda pen: [pen.line(xy, 255) for k in (15, 45, 75, 105) for xy in ((k, 0, k, 127), (0, k, 127, k))], (1, 9)),
    "dots": (lambda pen: [pen.point((x, y), 255) for x in range(8, 120, 16) for y in range(8, 120, 16)], (49, 0)),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [48, 64, 100, 128, 300, 512])
def test_lines_are_neither_lost_nor_doubled(shape: str, size: int) -> None:
    draw, expected = SHAPES[shape]
    fitted = white(fit_map(drawn(128, draw), (size, size), "canny"))
    assert pieces(fitted)[0] == expected[0]
    if shape != "fan":  # in whose corner small areas come and go
        assert pieces(fitted)[1] == expected[1]
    # one pixel wide: no square of four; a map of the right size is left as it is
    assert size == 128 or not (fitted[1:, 1:] & fitted[:-1, 1:] & fitted[1:, :-1] & fitted[:-1, :-1]).any()


@pytest.mark.parametrize(("size", "count"), [(32, 32), (64, 64), (200, 200), (256, 256)])
def test_a_straight_line_stays_one(size: int, count: int) -> None:
    for turn in (0, 90):
        line = drawn(128, lambda pen: pen.line((0, 51, 127, 51), 255)).rotate(turn)
        fitted = white(fit_map(line, (size, size), "lines"))
        rows = np.flatnonzero(fitted.any(axis=1 if turn == 0 else 0))
        assert fitted.sum() >= count - size // 64 and len(rows) == 1
        assert abs(rows[0] + 0.5 - 51.5 * size / 128) <= 1


def test_edges_of_pictures_survive() -> None:
    """At another size every line is still there within two pixels, and there is none where none was."""
    for index in range(3):
        edges = white(canny(rendering(index)))
        for side in (64, 200):
            fitted = white(fit_map(canny(rendering(index)), (side, side), "canny"))
            ys, xs = np.nonzero(edges)
            near = cv2.dilate(fitted.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            assert near[ys * side // 128, xs * side // 128].mean() > 0.98
            ys, xs = np.nonzero(fitted)
            near = cv2.dilate(edges.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
            assert near[ys * 128 // side, xs * 128 // side].all()


def test_broad_strokes_stay_broad_and_thin_ones_stay() -> None:
    scribble = drawn(128, lambda pen: (pen.line((10, 30, 118, 30), 255, 12), pen.line((10, 90, 118, 90), 255, 1)))
    fitted = white(fit_map(scribble, (32, 32), "scribble"))
    assert set(np.unique(np.asarray(fit_map(scribble, (32, 32), "scribble")))) == {0, 255}
    column = fitted[:, 16]
    assert column[:16].sum() == 3 and column[16:].sum() == 1
    assert white(fit_map(scribble, (256, 256), "scribble"))[:, 128][:128].sum() == pytest.approx(24, abs=2)


@given(size=sizes, mode=st.sampled_from(MODES))
def test_palettes_get_no_new_colour(size: tuple[int, int], mode: str) -> None:
    before = true_map(0, "segmentation")
    fitted = fit_map(before, size, "segmentation", mode)
    seen = set(np.unique(read_classes(fitted)).tolist())
    assert seen <= set(np.unique(read_classes(before)).tolist()) | ({255} if mode == "fill" else set[int]())


def test_joints_stay_where_they_were() -> None:
    before = read_joints(true_map(0, "pose"))
    for side in (96, 256, 500):
        after = read_joints(fit_map(true_map(0, "pose"), (side, side), "pose"))
        assert before.keys() == after.keys()
        assert all(np.hypot(*np.subtract(before[i], after[i])) < 0.01 for i in before)


@given(size=sizes, mode=st.sampled_from(["crop", "stretch"]))
def test_normals_keep_unit_length(size: tuple[int, int], mode: str) -> None:
    fitted = np.asarray(fit_map(true_map(1, "normal"), size, "normal", mode), float) / 127.5 - 1
    assert np.abs(np.linalg.norm(fitted, axis=-1) - 1).max() < 0.02


def test_between_two_walls_is_the_normal_half_way() -> None:
    walls = normal_map(np.array([[[-1.0, 0, 0], [0, 0, -1]]]))
    middle = np.asarray(fit_map(walls, (1, 1), "normal"), float)[0, 0] / 127.5 - 1
    assert middle.tolist() == pytest.approx([0.5**0.5, 0, 0.5**0.5], abs=0.01)


@given(size=sizes)
def test_depth_does_not_overshoot(size: tuple[int, int]) -> None:
    step = Image.new("RGB", (40, 40), (60, 60, 60))
    step.paste((200, 200, 200), (0, 20, 40, 40))
    levels = np.asarray(fit_map(step, size, "depth", "stretch"))
    assert levels.min() >= 60 and levels.max() <= 200


def test_what_is_hidden_in_the_hole_does_not_leak() -> None:
    pixels = np.full((40, 40, 4), (200, 10, 10, 255), np.uint8)
    pixels[:, 20:] = (0, 255, 0, 0)  # transparent green
    for size in ((17, 17), (90, 31)):
        fitted = fit_map(Image.fromarray(pixels), size, "inpaint", "stretch")
        kept = np.asarray(fitted)[~find_hole(fitted)].astype(int)
        assert np.abs(kept - (200, 10, 10, 255)).max() <= 2
        assert set(np.unique(np.asarray(fitted)[..., 3])) == {0, 255}
        assert find_hole(fitted).mean() == pytest.approx(0.5, abs=0.03)


def test_crop_is_centred_stretch_is_not_and_fill_shows_all() -> None:
    wide = Image.new("RGB", (80, 40))
    wide.paste((255, 255, 255), (30, 10, 50, 30))  # a square in the middle
    box = {mode: fit_map(wide, (40, 40), "segmentation", mode).getbbox() for mode in MODES}
    assert box == {"crop": (10, 10, 30, 30), "stretch": (15, 10, 25, 30), "fill": (15, 15, 25, 25)}


@pytest.mark.parametrize(("name", "corner"), [("depth", (0, 0, 0)), ("normal", (128, 128, 255)), ("inpaint", (0, 0, 0, 0))])
def test_around_a_filled_map_there_is_nothing(name: str, corner: tuple[int, ...]) -> None:
    fitted = fit_map(Image.new("RGB", (20, 10), (90, 90, 90)), (40, 40), name, "fill")
    assert fitted.getpixel((0, 0)) == fitted.getpixel((39, 39)) == corner != fitted.getpixel((20, 20))
    assert fit_map(Image.new("RGB", (20, 10), (9, 80, 3)), (40, 40), "tile", "fill").getpixel((0, 0)) == (9, 80, 3)


def test_what_cannot_be_fitted_is_refused() -> None:
    for wrong, message in (
        ({"condition": "edges"}, "unknown condition 'edges'; expected one of canny"),
        ({"mode": "zoom"}, "'zoom'; expected one of crop, stretch, fill"),
        ({"size": (0, 5)}, "at least 1 x 1 pixels, got 0 x 5"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_map(rendering(0), **({"size": (9, 9), "condition": "canny"} | wrong))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("size", "resolution", "expected"),
    [
        ((640, 480), None, (640, 480)), ((640, 480), 512, (683, 512)), ((480, 640), 512, (512, 683)),
        ((1000, 500), 250, (500, 250)), ((1, 4096), 512, (1, 4096)), ((3, 7), 1, (1, 2)),
    ],
)  # fmt: skip
def test_detection_sizes(size: tuple[int, int], resolution: int | None, expected: tuple[int, int]) -> None:
    assert detection_size(size, resolution) == expected


def test_a_map_comes_back_at_the_size_of_the_picture() -> None:
    scene = rendering(1).resize((200, 120))
    assert extract("canny", scene) == canny(scene)
    coarse = extract("canny", scene, 60)
    assert coarse.size == scene.size and set(np.unique(np.asarray(coarse))) == {0, 255}
    with pytest.raises(ValueError, match="the detection resolution is 0"):
        extract("canny", scene, 0)

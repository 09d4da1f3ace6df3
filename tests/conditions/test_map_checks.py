"""Warnings about maps: each comes when it must, with its reason, and not for ten maps that are in order."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageFilter, ImageOps

from tests.conditions.scenes import picture, rendering, true_map
from zeroconv.conditions import fit_map
from zeroconv.conditions.depth import DEPTH
from zeroconv.conditions.map_checks import bend_correlation, check_lines, check_sizes, check_soft_lines
from zeroconv.conditions.normal import NORMAL
from zeroconv.conditions.openpose.drawing import draw_pose
from zeroconv.conditions.palettes import COCO, PALETTE, read_classes, snap
from zeroconv.conditions.pose import POSE
from zeroconv.conditions.segmentation import SEGMENTATION, segmentation_map
from zeroconv.errors import InputError
from zeroconv.messages import Message, listen

Check = Callable[[Image.Image], list[Message]]
CHECKS: dict[str, Check] = {
    "canny": check_lines,
    "soft": check_soft_lines,
    "depth": DEPTH.check,
    "normal": NORMAL.check,
    "segmentation": SEGMENTATION.check,
    "pose": POSE.check,
}


def sound_map(name: str, index: int) -> Image.Image:
    """A map in order: exact, or soft edges made from exact depth; people in pose."""
    if name == "soft":
        return true_map(index, "depth").convert("L").filter(ImageFilter.FIND_EDGES).filter(ImageFilter.BLUR).convert("RGB")
    return true_map(2 * index if name == "pose" else index, name)


def one(name: str, condition: Image.Image) -> str:
    """The one warning about a map."""
    (warning,) = CHECKS[name](condition)
    assert "\n" not in warning.text and len(warning.text) < 140
    return warning.text


def bgr(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(np.asarray(image)[..., ::-1]))


@pytest.mark.parametrize("name", CHECKS)
def test_ten_maps_in_order_are_not_warned_of(name: str) -> None:
    for index in range(10):
        assert CHECKS[name](sound_map(name, index)) == []
        if name not in ("pose", "normal"):  # whose left and right mean something
            assert CHECKS[name](ImageOps.mirror(sound_map(name, index))) == []


@pytest.mark.parametrize("name", ["canny", "soft"])
def test_white_paper_looks_inverted(name: str) -> None:
    for index in range(3):
        inverted = ImageOps.invert(sound_map(name, index))
        share = np.mean(np.asarray(inverted).min(axis=2) > 127)
        assert one(name, inverted).startswith(f"this map looks inverted: {share:.0%} white, expected white lines on black")
    assert "empty" in one(name, Image.new("RGB", (9, 9)))
    assert "colours" in one(name, ImageOps.colorize(sound_map(name, 0).convert("L"), (60, 0, 0), (0, 0, 255)))


def test_soft_edges_in_place_of_pure_ones_are_told() -> None:
    soft = Image.new("RGB", (64, 64))
    soft.paste((130, 130, 130), (10, 10, 50, 12))
    assert "100% of this map's lines are grey" in one("canny", soft)
    assert CHECKS["soft"](soft) == []


@pytest.mark.parametrize("index", (0, 1, 2, 4, 5))
def test_inverted_depth_is_asked_about(index: int) -> None:
    """Scenes with a ground; a table top at eye level (3) gives no evidence."""
    assert one("depth", ImageOps.invert(true_map(index, "depth"))).startswith("is this map inverted?")
    assert "colour scale" in one("depth", ImageOps.colorize(true_map(index, "depth").convert("L"), (0, 0, 60), (255, 230, 30)))


def test_normals_with_channels_swapped_or_upside_down() -> None:
    for index in range(10):
        assert "looks BGR" in one("normal", bgr(true_map(index, "normal")))
        red, green, blue = true_map(index, "normal").split()
        assert "green upside down" in one("normal", Image.merge("RGB", (red, ImageOps.invert(green), blue)))
        assert "no unit vectors" in one("normal", true_map(index, "depth"))
        assert "no unit vectors" in one("normal", rendering(index))


@pytest.mark.parametrize("side", [64, 128, 512])
def test_normals_with_red_flipped_are_asked_about_where_surfaces_are_curved(side: int) -> None:
    """Three in four of the tiny world's scenes have curved things; a picture mirrored as a whole is in order."""
    asked: list[bool] = []
    for index in range(12):
        normal = fit_map(true_map(index, "normal"), (side, side), "normal")
        red, green, blue = normal.split()
        asked.append(any("flipped" in m.text for m in NORMAL.check(Image.merge("RGB", (ImageOps.invert(red), green, blue)))))
        mirrored = [ImageOps.mirror(channel) for channel in (ImageOps.invert(red), green, blue)]
        assert NORMAL.check(normal) == NORMAL.check(Image.merge("RGB", mirrored)) == []
    assert np.mean(asked) >= 0.5


def test_the_bends_of_a_sphere_agree_and_of_its_mirrored_channel_are_opposite() -> None:
    y, x = np.mgrid[1:-1:101j, -1:1:101j] * 0.6
    sphere = np.stack([x, y, -np.sqrt(1 - x**2 - y**2)], axis=-1).astype(np.float32)
    assert bend_correlation(sphere) > 0.99
    assert bend_correlation(sphere * [-1, 1, 1]) == bend_correlation(sphere * [1, -1, 1]) < -0.99
    assert bend_correlation(np.full((50, 50, 3), [0.6, 0, -0.8], np.float32)) == 0  # a plane says nothing


def test_segmentation_with_channels_swapped() -> None:
    for index in range(10):
        assert "looks BGR" in one("segmentation", bgr(true_map(index, "segmentation")))


def test_smoothed_palettes_are_told_and_snapped() -> None:
    before = true_map(0, "segmentation")
    smooth = before.resize((100, 100), Image.Resampling.BILINEAR)
    share = float((read_classes(smooth) == 255).mean())
    assert f"not in the ADE20K palette on {share:.0%}" in one("segmentation", smooth)
    snapped = snap(smooth)
    assert SEGMENTATION.check(snapped) == []
    exact = read_classes(smooth) != 255
    assert np.array_equal(np.asarray(snapped)[exact], np.asarray(smooth)[exact])
    assert "is black, which is no class" in one("segmentation", Image.new("RGB", (8, 8)))


def test_snapping_takes_the_nearest() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    known = np.concatenate([PALETTE, [[0, 0, 0]]]).astype(int)
    distance = ((noise[:, :, None].astype(int) - known) ** 2).sum(axis=-1)  # (20, 30, 151)
    said: list[Message] = []
    with listen(said.append):
        snapped = snap(Image.fromarray(noise))
    assert ["was far from every colour of the ADE20K palette" in message.text for message in said] == [True]
    taken = ((noise.astype(int) - np.asarray(snapped, int)) ** 2).sum(axis=-1)
    assert np.array_equal(taken, distance.min(axis=-1))
    every = segmentation_map(np.arange(150)[None])
    assert snap(every) == every and not np.asarray(snap(Image.new("RGB", (2, 2)))).any()


def test_coco_is_another_palette_and_stays_what_it_is() -> None:
    stripes = Image.fromarray(COCO[np.arange(0, 130, 10)][None].repeat(40, axis=0))
    (message,) = SEGMENTATION.check(stripes)
    assert (message.code, message.level) == ("map.coco", "info")
    with pytest.raises(InputError, match=r"in the colours of COCO, .*: leave it as it is"):
        snap(stripes)
    with pytest.raises(InputError, match=r"in the colours of COCO, .*: it is scored by ADE20K's classes"):
        SEGMENTATION.fidelity(stripes, stripes)
    assert len(np.unique(COCO, axis=0)) == len(COCO) == 133


def test_channels_that_may_be_swapped_are_said_where_both_readings_are_whole() -> None:
    twins = [i for i, colour in enumerate(PALETTE) if (colour[::-1] == PALETTE).all(axis=1).any() and colour[0] != colour[2]]
    assert len(twins) == 56
    map_of_them = segmentation_map(np.array(twins[:4])[None].repeat(8, axis=0))
    for image in (map_of_them, bgr(map_of_them)):
        (message,) = SEGMENTATION.check(image)
        assert (message.code, message.level) == ("map.channels", "info")
    sky = np.asarray(map_of_them).copy()
    sky[:4] = PALETTE[2]
    assert SEGMENTATION.check(Image.fromarray(sky)) == []


def test_pose_with_channels_swapped_bright_or_empty() -> None:
    for index in range(5):
        assert "looks BGR" in one("pose", bgr(sound_map("pose", index)))
        assert "inverted" in one("pose", ImageOps.invert(sound_map("pose", index)))
    assert "black: nobody" in one("pose", Image.new("RGB", (64, 64)))
    assert "like a picture" in one("pose", Image.new("RGB", (64, 64), (40, 40, 40)))
    assert "no joint" in one("pose", Image.new("RGB", (64, 64), (20, 0, 0)))


def test_a_few_joints_are_enough() -> None:
    keypoints = picture(0).keypoints
    assert keypoints is not None
    for hidden in range(18):
        few = keypoints.copy()
        few[:hidden, 2] = 0
        few[17, 2] = 1
        assert POSE.check(draw_pose(few, (128, 128))) == []


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3), (2, 2)])
@pytest.mark.parametrize("name", CHECKS)
def test_tiny_maps_are_warned_of_at_most_once(name: str, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    found = CHECKS[name](Image.fromarray(noise))
    assert len(found) <= 1 and not any("nan" in warning.text or "\n" in warning.text for warning in found)


@pytest.mark.parametrize(
    ("name", "colour", "words"),
    [
        ("canny", "white", "looks inverted"),
        ("soft", "white", "looks inverted"),
        ("depth", "red", "has colours"),
        ("normal", "black", "no unit vectors"),
        ("segmentation", "black", "no class"),
        ("pose", "white", "looks inverted"),
    ],
)
def test_one_pixel_is_enough_for_a_warning(name: str, colour: str, words: str) -> None:
    assert words in one(name, Image.new("RGB", (1, 1), colour))


def test_a_map_has_the_size_of_its_picture() -> None:
    check_sizes(Image.new("RGB", (3, 4)), Image.new("L", (3, 4)))
    with pytest.raises(ValueError, match=r"the picture is \(3, 4\), its map \(4, 3\); expected the same size"):
        check_sizes(Image.new("RGB", (3, 4)), Image.new("RGB", (4, 3)))

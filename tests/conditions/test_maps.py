"""The drawn maps: depth, normals, segmentation and pose keep the conventions of published weights."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.conditions.scenes import COUNT, picture, true_map
from zeroconv.conditions.depth import depth_map
from zeroconv.conditions.normal import normal_map
from zeroconv.conditions.openpose.drawing import COLOURS, JOINTS, LIMBS, draw_pose
from zeroconv.conditions.segmentation import PALETTE, read_classes, segmentation_map

ROAD, SKYSCRAPER = 6, 48
# The first sixteen and the last four colours of the ADE20K palette as the ControlNet annotator published it.
PUBLISHED_BEGIN = (
    (120, 120, 120), (180, 120, 120), (6, 230, 230), (80, 50, 50), (4, 200, 3), (120, 120, 80), (140, 140, 140),
    (204, 5, 255), (230, 230, 230), (4, 250, 7), (224, 5, 255), (235, 255, 7), (150, 5, 61), (120, 120, 70),
    (8, 255, 51), (255, 6, 82),
)  # fmt: skip
PUBLISHED_END = ((255, 214, 0), (25, 194, 194), (102, 255, 0), (92, 0, 255))


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image)


def test_palette_has_150_colours_and_one_shared_pair() -> None:
    colours = [tuple(colour) for colour in PALETTE.tolist()]
    assert len(colours) == 150
    shared = {colour for colour, count in Counter(colours).items() if count > 1}
    assert shared == {(140, 140, 140)}
    assert [i for i, colour in enumerate(colours) if colour in shared] == [ROAD, SKYSCRAPER]
    assert (0, 0, 0) not in colours


def test_palette_is_the_published_one() -> None:
    colours = [tuple(colour) for colour in PALETTE.tolist()]
    assert tuple(colours[:16]) == PUBLISHED_BEGIN and tuple(colours[-4:]) == PUBLISHED_END


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 20), width=st.integers(1, 20))
def test_classes_survive_the_map(seed: int, height: int, width: int) -> None:
    classes = np.random.default_rng(seed).integers(0, 150, (height, width))
    drawn = segmentation_map(classes)
    assert drawn.size == (width, height)
    assert np.array_equal(read_classes(drawn), np.where(classes == SKYSCRAPER, ROAD, classes))
    assert segmentation_map(read_classes(drawn)) == drawn


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64])
def test_every_class_in_every_integer_type(kind: type) -> None:
    classes = np.arange(150, dtype=kind)[None]
    expected = np.where(classes == SKYSCRAPER, ROAD, classes)
    assert np.array_equal(read_classes(segmentation_map(classes)), expected)


def test_what_is_no_class_is_black_and_255() -> None:
    drawn = segmentation_map(np.array([[-1, 2, 150, 255]]))
    assert pixels(drawn).tolist() == [[[0, 0, 0], [6, 230, 230], [0, 0, 0], [0, 0, 0]]]
    assert read_classes(drawn).tolist() == [[255, 2, 255, 255]]
    assert read_classes(Image.new("RGB", (1, 1), (120, 120, 121))).tolist() == [[255]]


@pytest.mark.parametrize("index", range(COUNT))
def test_classes_of_renderings_survive(index: int) -> None:
    assert np.array_equal(read_classes(true_map(index, "segmentation")), picture(index).classes)


@given(st.lists(st.floats(0.01, 1000), min_size=4, max_size=40))
def test_depth_is_monotone_grey_and_near_is_bright(distances: list[float]) -> None:
    drawn = pixels(depth_map(np.array([distances])))
    assert (drawn == drawn[..., :1]).all()
    grey = drawn[0, np.argsort(distances), 0].astype(int)
    assert (np.diff(grey) <= 0).all()
    assert grey[0] >= 254  # the nearest is white


def test_near_is_white_and_sky_is_black() -> None:
    distance = np.full((20, 20), np.inf, np.float32)
    distance[10:], distance[15:] = 8.0, 2.0
    drawn = pixels(depth_map(distance))[:, 0, 0].tolist()
    assert drawn == [0] * 10 + [63] * 5 + [255] * 5  # 8 m is a quarter as bright as 2 m
    assert not pixels(depth_map(np.full((4, 4), np.inf))).any()


def test_depth_is_relative_and_one_near_pixel_does_not_darken_the_rest() -> None:
    distance = np.linspace(2, 9, 400).reshape(20, 20)
    grey = pixels(depth_map(distance)).astype(int)
    assert abs(grey - pixels(depth_map(3 * distance))).max() <= 1
    distance[0, 0] = 0.01
    assert abs(grey - pixels(depth_map(distance))).max() <= 3


def test_normals_are_blue_in_front_red_at_the_left_green_at_the_top() -> None:
    front, left, right, top, bottom = [0, 0, -1], [-1, 0, 0], [1, 0, 0], [0, 1, 0], [0, -1, 0]
    nothing = [0, 0, 0]
    drawn = pixels(normal_map(np.array([[front, left, right, top, bottom, nothing]])))
    assert drawn[0].tolist() == [
        [128, 128, 255], [255, 128, 128], [0, 128, 128], [128, 255, 128], [128, 0, 128], [128, 128, 255],
    ]  # fmt: skip


@given(seed=st.integers(0, 2**32 - 1))
def test_normals_can_be_read_back(seed: int) -> None:
    normals = np.random.default_rng(seed).normal(size=(5, 7, 3))
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    read = (pixels(normal_map(normals)) / 127.5 - 1) * (-1, 1, -1)
    assert np.abs(read - normals).max() < 0.005


def test_ground_outdoors_is_green_in_the_normal_map() -> None:
    """In a held-out street scene what the renderer calls grass, road or earth faces the top."""
    drawn, classes = pixels(true_map(0, "normal")).astype(int), picture(0).classes
    ground = np.isin(classes, (6, 9, 11, 13, 29))
    assert ground.mean() > 0.1
    assert (drawn[ground][:, 1] > drawn[ground][:, 0]).mean() > 0.95


def person(**visible: bool) -> np.ndarray:
    """Joints on a circle, all visible unless told otherwise."""
    angle = np.linspace(0, 2 * np.pi, len(JOINTS), endpoint=False)
    shown = [float(visible.get(name.replace(" ", "_"), True)) for name in JOINTS]
    return np.stack([64 + 40 * np.cos(angle), 64 + 40 * np.sin(angle), shown], axis=1).astype(np.float32)


def test_joints_have_their_colours_and_limbs_are_dimmer() -> None:
    drawn = pixels(draw_pose(person(), (128, 128)))
    assert drawn.shape == (128, 128, 3)
    assert len(JOINTS) == len(COLOURS) == 18 and len(LIMBS) == 17
    for (x, y, _), colour in zip(person(), COLOURS, strict=True):
        assert tuple(drawn[round(float(y)), round(float(x))].tolist()) == colour


@pytest.mark.parametrize("limb", range(17))
def test_limbs_have_their_colours_at_three_fifths_of_the_brightness(limb: int) -> None:
    ends = np.zeros((18, 3))
    ends[LIMBS[limb][0]], ends[LIMBS[limb][1]] = (20, 64, 1), (100, 64, 1)
    drawn = pixels(draw_pose(ends, (128, 128)))
    assert drawn[64, 60].tolist() == [int(0.6 * channel) for channel in COLOURS[limb]]
    across = drawn[:, 60].max(axis=1)
    assert across[:61].max() == across[68:].max() == 0  # 2 px wide, and smoothed by OpenCV


def test_nobody_is_black_and_hidden_joints_are_left_out() -> None:
    assert not pixels(draw_pose(np.zeros((18, 3)), (40, 20))).any()
    assert draw_pose(np.zeros((18, 3)), (40, 20)).size == (40, 20)
    alone = person(**{name.replace(" ", "_"): name == "nose" for name in JOINTS})
    colours = np.unique(pixels(draw_pose(alone, (128, 128))).reshape(-1, 3), axis=0)
    assert (colours[:, 1:] == 0).all() and colours.max() == 255  # shades of the nose's red on black
    without = pixels(draw_pose(person(nose=False), (128, 128)))
    x, y, _ = person()[0]
    assert not without[round(float(y)), round(float(x))].any()


def test_joints_outside_the_picture_do_no_harm() -> None:
    far = person() * (50, -50, 1)
    assert draw_pose(far, (128, 128)).size == (128, 128)


def test_limbs_grow_up_to_256_pixels_and_are_then_those_of_the_annotators() -> None:
    """ControlNet 1.1's draw limbs 8 px wide that taper, and joints of radius 4, at every size."""
    small, larger = draw_pose(person(), (128, 128)), draw_pose(person() * (2, 2, 1), (256, 256))
    light = [float(pixels(drawn).mean()) for drawn in (small, larger)]
    assert light[1] == pytest.approx(light[0], rel=0.4)  # the same share of the picture; smoothing adds to the small one
    for side in (512, 768):
        arm = np.zeros((18, 3))
        arm[[2, 3]] = np.array([(side / 4, side / 2, 1), (side * 3 / 4, side / 2, 1)])
        drawn = pixels(draw_pose(arm, (side, side)))
        limb, end = drawn[:, side // 2].any(axis=-1).sum(), drawn[:, side // 4].any(axis=-1).sum()
        assert 8 <= limb <= 9 and 8 <= end <= 11
        thick = pixels(draw_pose(arm, (side, side), thickness=20))
        assert 20 <= thick[:, side // 2].any(axis=-1).sum() <= 21

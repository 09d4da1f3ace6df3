"""What each contract declares is true of the maps: mode, values, channels, polarity, palette, and whom they suit."""

import re

import numpy as np
import pytest
from PIL import Image

from tests.conditions.drawings import filled_square, noise
from tests.conditions.scenes import picture, rendering
from zeroconv.checkpoints.formats.controlnet_hints import guess_hints
from zeroconv.conditions import aliases, draw_parameters, extract, get, names
from zeroconv.conditions.condition import GREY
from zeroconv.conditions.depth import depth_map
from zeroconv.conditions.inpaint import find_hole
from zeroconv.conditions.normal import normal_map
from zeroconv.conditions.openpose.drawing import COLOURS, LIMB_BRIGHTNESS, draw_pose
from zeroconv.conditions.segmentation import UNKNOWN, read_classes

PICTURES = [rendering(0), rendering(1), filled_square().resize((150, 90)), noise((40, 60)), Image.new("RGB", (33, 17), "red")]


def maps_of(name: str) -> list[Image.Image]:
    """Maps of all pictures, with the defaults and with parameters as in training."""
    drawn = [draw_parameters(name, np.random.default_rng(seed), image.size, {}) for seed, image in enumerate(PICTURES)]
    return [extract(name, image) for image in PICTURES] + [
        extract(name, image, **given) for image, given in zip(PICTURES, drawn, strict=True)
    ]


@pytest.mark.parametrize("name", names())
def test_maps_have_the_declared_mode_values_and_channels(name: str) -> None:
    contract = get(name).contract
    for made in maps_of(name):
        pixels = np.asarray(made)
        assert made.mode == contract.mode and pixels.dtype == np.uint8
        if contract.values == "0 or 255":
            assert set(np.unique(pixels)) <= {0, 255}
        if contract.channels == GREY:
            assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("name", [name for name in names() if get(name).contract.channels != GREY])
def test_maps_that_are_not_declared_grey_have_colours(name: str) -> None:
    assert any((pixels[..., :3] != pixels[..., :1]).any() for pixels in map(np.asarray, maps_of(name)))


@pytest.mark.parametrize("name", [name for name in names() if "on black" in get(name).contract.polarity and name != "pose"])
@pytest.mark.parametrize("brightness", [(30, 220), (220, 30)])
def test_lines_are_white_where_a_square_begins_and_the_rest_is_black(name: str, brightness: tuple[int, int]) -> None:
    grey = np.asarray(extract(name, filled_square(*brightness)).convert("L"))
    border = np.zeros(grey.shape, bool)
    border[32:96, 24:104] = True
    border[48:80, 40:88] = False
    assert grey[border].max() > 150 and grey[~border].max() < 60 and np.median(grey) < 10


def test_what_is_near_is_white() -> None:
    distance = np.repeat(np.linspace(1, 20, 50)[None], 20, axis=0)
    grey = np.asarray(depth_map(distance))[..., 0]
    assert grey[0, 0] == 255 and (np.diff(grey.astype(int), axis=1) <= 0).all() and grey[0, -1] < 20
    seen, truth = (np.asarray(image)[..., 0].astype(float).ravel() for image in (extract("depth", rendering(0)), near(0)))
    assert np.corrcoef(seen, truth)[0, 1] > 0.7


def near(index: int) -> Image.Image:
    """The exact depth of a scene."""
    return depth_map(picture(index).distance)


def test_the_channels_of_normals_are_left_top_and_front() -> None:
    assert get("normal").contract.channels.startswith("red = left, green = top, blue = towards the camera")
    left, top, front = np.eye(3) * [-1, 1, -1]  # x is to the right, y up, z away
    drawn = np.asarray(normal_map(np.array([[left, top, front]])))[0]
    assert drawn.tolist() == [[255, 128, 128], [128, 255, 128], [128, 128, 255]]
    for made in maps_of("normal"):  # unit vectors
        assert np.abs(np.linalg.norm(np.asarray(made, float) / 127.5 - 1, axis=-1) - 1).max() < 0.02


def test_classes_have_the_palettes_colours_alone() -> None:
    assert all(UNKNOWN not in read_classes(made) for made in maps_of("segmentation"))


def test_people_have_openposes_colours_alone() -> None:
    joints = picture(0).keypoints
    assert joints is not None
    pixels = np.asarray(draw_pose(joints * [8, 8, 1], (1024, 1024))).reshape(-1, 3)
    lit = pixels[pixels.any(axis=1)]
    palette = {*COLOURS, *(tuple(int(part * LIMB_BRIGHTNESS) for part in colour) for colour in COLOURS)}
    share = np.mean([tuple(pixel) in palette for pixel in lit.tolist()])
    assert share > 0.8  # the rest are their rims
    assert len(lit) < 0.2 * len(pixels)


def test_the_hole_is_transparent_and_empty() -> None:
    for made in maps_of("inpaint"):
        pixels = np.asarray(made)
        assert set(np.unique(pixels[..., 3])) <= {0, 255} and not pixels[find_hole(made)].any()


@pytest.mark.parametrize("name", names())
def test_published_names_are_understood_as_this_condition(name: str) -> None:
    """The rule by which a stranger's file is recognised comes to the same condition."""
    suits = get(name).contract.suits
    assert suits and len(set(suits)) == len(suits)
    for published in suits:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", published)
        assert guess_hints(published.partition("/")[2]).condition == name


def test_a_contract_is_one_sentence_and_names_its_mode() -> None:
    for name in (*names(), *aliases()):
        contract = get(name).contract
        assert str(contract) == contract.summary and contract.summary.startswith(f"{contract.mode} ")
        assert contract.summary.endswith(".") and "\n" not in contract.summary

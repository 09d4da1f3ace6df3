"""Conditions by name, and what a doubtful map is warned of."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.conditions.scenes import COUNT, picture, rendering, true_map
from zeroconv.conditions import aliases, extract, find, get, names
from zeroconv.errors import NothingAskedError


def test_names_and_aliases() -> None:
    assert names() == (
        "canny", "soft-edge", "scribble", "lines", "pose", "segmentation", "depth", "normal", "lineart", "shuffle",
        "tile", "inpaint",
    )  # fmt: skip
    assert [get(name).name for name in names()] == list(names())
    assert {alias: get(alias).name for alias in aliases()} == aliases()
    assert aliases() == {"hed": "soft-edge", "mlsd": "lines", "openpose": "pose", "seg": "segmentation"}
    assert all(get(name).summary and str(get(name).contract).endswith(".") for name in names())
    assert find("hed") is get("soft-edge") and find(None) is find("edges") is None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [("Canny", "canny"), ("soft_edge", "soft-edge"), ("softedge", "soft-edge"), ("HED", "hed"), ("Canny+Depth", "canny+depth")],
)
def test_other_spellings(spelling: str, name: str) -> None:
    assert get(spelling) == get(name)


@pytest.mark.parametrize("name", ["", "edges", "canny "])
def test_unknown_name_lists_the_known_ones(name: str) -> None:
    for refused in (lambda: get(name), lambda: extract(name, rendering(0))):
        with pytest.raises(ValueError, match=r"expected one of canny, soft-edge, scribble, .*, tile, inpaint$") as caught:
            refused()
        assert repr(name) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*names(), *aliases()])
@pytest.mark.parametrize("size", [(128, 128), (64, 40), (1, 1), (3, 200)])
def test_every_condition_has_a_map_of_the_pictures_size(name: str, size: tuple[int, int]) -> None:
    image = rendering(0).resize(size)
    made = extract(name, image)
    assert made.size == size and made.mode == ("RGBA" if name == "inpaint" else "RGB")
    assert made.tobytes() == extract(name, image).tobytes()
    try:
        assert 0 <= get(name).fidelity(image, made) <= 1
    except NothingAskedError:  # nobody is in a few pixels, and no line
        assert min(size) < 8 or (get(name).name == "pose" and not np.asarray(made).any())


def test_an_unknown_parameter_is_one_line() -> None:
    for name in names():
        with pytest.raises(ValueError, match=rf"^{name}: .*thresold"):
            extract(name, rendering(0), thresold=3)


@pytest.mark.parametrize("name", ["canny", "depth", "normal", "segmentation", "pose"])
def test_true_maps_are_not_warned_of(name: str) -> None:
    for index in range(COUNT):
        if name == "pose" and picture(index).keypoints is None:
            continue
        assert get(name).check(true_map(index, name)) == []


@pytest.mark.parametrize("name", ["canny", "depth", "pose"])
def test_inverted_maps_are_warned_of(name: str) -> None:
    index = next(i for i in range(COUNT) if picture(i).keypoints is not None)
    (warning,) = get(name).check(ImageOps.invert(true_map(index, name)))
    assert "inverted" in warning.text or "bright" in warning.text


@pytest.mark.parametrize(
    ("name", "word"), [("canny", "empty"), ("pose", "controls nothing"), ("depth", "flat"), ("seg", "black")]
)
def test_black_maps_are_warned_of(name: str, word: str) -> None:
    (warning,) = get(name).check(Image.new("RGB", (32, 32)))
    assert word in warning.text


@pytest.mark.parametrize(("name", "word"), [("canny", "picture"), ("depth", "colours"), ("segmentation", "palette")])
def test_a_picture_in_place_of_a_map_is_warned_of(name: str, word: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (warning,) = get(name).check(Image.fromarray(noise))
    assert word in warning.text


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("size", [(1, 1), (2, 1), (1, 3)])
def test_a_tiny_grey_map_is_warned_of_once_at_most(name: str, size: tuple[int, int]) -> None:
    found = get(name).check(Image.new("RGB", size, (90, 90, 90)))
    assert len(found) <= 1 and not any("nan" in warning.text for warning in found)

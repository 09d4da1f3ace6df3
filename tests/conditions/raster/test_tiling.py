"""Maps at any resolution, of any size and in tiles, without distortion."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.conditions.drawings import white
from tests.conditions.scenes import rendering
from zeroconv.conditions import extract, extract_at_size, fit_map, get, names, segmentation
from zeroconv.conditions.canny import canny
from zeroconv.conditions.depth import align_tile, predict_in_tiles
from zeroconv.conditions.raster.resizing import MODES, inner_size
from zeroconv.conditions.raster.tiling import resize_for_detection, tiles
from zeroconv.images import fit

Extract = Callable[[Image.Image], Image.Image]
sides = st.integers(1, 90)
DISC = (100, 45, 180, 125)  # of 300 x 200: 80 pixels across, 10 pixels left of the middle


def disc() -> Image.Image:
    """A bright disc."""
    image = Image.new("RGB", (300, 200), (40, 60, 50))
    ImageDraw.Draw(image).ellipse(DISC, fill=(230, 220, 200))
    return image


def map_at_size(name: str, image: Image.Image, size: tuple[int, int], mode: str, resolution: int | None = None) -> Image.Image:
    """As `zeroconv extract --size --resolution` makes it."""
    if resolution is None:
        return extract_at_size(name, image, size, mode)
    return fit_map(extract(name, resize_for_detection(image, resolution)), size, name, mode)


def extent(lines: np.ndarray) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is white."""
    rows, columns = np.flatnonzero(lines.any(axis=1)), np.flatnonzero(lines.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("resolution", [None, 40])
def test_every_map_has_the_size_that_is_asked_for(name: str, mode: str, resolution: int | None) -> None:
    for image, size in ((rendering(1).resize((100, 70)), (64, 96)), (rendering(0).resize((3, 200)), (50, 20))):
        made = map_at_size(name, image, size, mode, resolution)
        assert made.size == size and made.mode == get(name).contract.mode


@pytest.mark.parametrize("name", names())
def test_the_size_it_has_already_changes_nothing(name: str) -> None:
    image = rendering(2).resize((90, 60))
    for mode in MODES:
        assert extract_at_size(name, image, image.size, mode) == extract(name, image)


@pytest.mark.parametrize("resolution", [None, 100, 200, 400])
@pytest.mark.parametrize(
    ("mode", "size"), [("crop", (128, 128)), ("crop", (300, 100)), ("fill", (128, 128)), ("fill", (90, 250))]
)
def test_a_disc_stays_a_disc(mode: str, size: tuple[int, int], resolution: int | None) -> None:
    made = map_at_size("canny", disc(), size, mode, resolution)
    scale = (max if mode == "crop" else min)(size[0] / 300, size[1] / 200)
    left, top, right, bottom = extent(white(made))
    if size != (300, 100):  # the middle half of the height holds a part of the disc alone
        assert abs((right - left) - (bottom - top)) <= 2 and abs(right - left - 80 * scale) <= 3
    assert abs((left + right) / 2 - (size[0] / 2 - 10 * scale)) <= 2
    assert set(np.unique(np.asarray(made))) <= {0, 255}


def test_stretching_is_asked_for_in_words() -> None:
    left, top, right, bottom = extent(white(extract_at_size("canny", disc(), (600, 200), "stretch")))
    assert abs((right - left) / (bottom - top) - 2) < 0.05


def test_pixel_perfect_maps_are_those_of_the_fitted_picture() -> None:
    """Nothing of the map is resized: it is the map of the picture that was cut, or the same within borders."""
    scene = rendering(1).resize((200, 120))
    assert extract_at_size("canny", scene, (64, 64)) == canny(fit(scene, 64))
    filled = extract_at_size("canny", scene, (64, 64), "fill")
    width, height = inner_size(scene.size, (64, 64))
    top = (64 - height) // 2
    assert (width, height) == (64, 38) and not white(filled)[:top].any() and not white(filled)[top + height :].any()
    assert filled.crop((0, top, 64, top + height)) == canny(scene.resize((64, 38), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("name", [name for name in names() if name not in ("pose", "shuffle", "inpaint")])
def test_a_long_large_picture_has_the_map_of_a_small_one(name: str) -> None:
    """A picture of 3 : 1 and four times the size: the same things in the same places."""
    house, beam = ((40, 90), (40, 50), (70, 20), (100, 50), (100, 90)), ((140, 85), (230, 15), (245, 35), (155, 95))
    drawn: list[Image.Image] = []
    for scale in (1, 4):
        image = Image.new("RGB", (300 * scale, 100 * scale), (40, 60, 50))
        for shape in (house, beam):
            ImageDraw.Draw(image).polygon([(x * scale, y * scale) for x, y in shape], fill=(230, 220, 200))
        drawn.append(extract(name, image).convert("L"))
        assert drawn[-1].size == image.size
    a, b = (np.asarray(made.resize((60, 20), Image.Resampling.BOX), float).ravel() for made in drawn)
    assert np.corrcoef(a, b)[0, 1] > 0.7


def test_a_coarse_look_is_the_small_pictures_map() -> None:
    scene = rendering(1).resize((200, 120))
    coarse = extract("tile", scene, resolution=60, factor=1)
    assert coarse.size == scene.size
    small = scene.resize((100, 60), Image.Resampling.LANCZOS).resize(scene.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(coarse, int) - np.asarray(small, int)).max() <= 1
    for wrong, message in ((0, "resolution is 0; expected 1 pixel"), ("big", "canny: resolution is 'big'; expected")):
        with pytest.raises(ValueError, match=message):
            extract("canny", scene, resolution=wrong)  # pyright: ignore[reportArgumentType]


def test_what_cannot_be_fitted_is_refused() -> None:
    for wrong, message in (({"mode": "zoom"}, "'zoom'; expected one of crop"), ({"size": (0, 5)}, "at least 1 x 1")):
        with pytest.raises(ValueError, match=message):
            extract_at_size("canny", rendering(0), **({"size": (9, 9)} | wrong))  # pyright: ignore[reportArgumentType]


@given(size=st.tuples(sides, sides), limit=st.integers(4, 40), share=st.integers(0, 3), blend=st.booleans())
def test_tiles_cover_every_pixel_once(size: tuple[int, int], limit: int, share: int, blend: bool) -> None:
    total = np.zeros((size[1], size[0]))
    for (rows, columns), weight in tiles(size, limit, limit * share // 4, blend):
        assert max(weight.shape) <= limit and weight.shape == total[rows, columns].shape
        assert blend or set(np.unique(weight)) <= {0.0, 1.0}
        total[rows, columns] += weight
    assert np.allclose(total, 1, atol=1e-5)


def ramp(size: tuple[int, int]) -> np.ndarray:
    """A depth with a slope and bumps, from 0 to 1."""
    x, y = np.meshgrid(np.linspace(0, 1, size[0]), np.linspace(0, 1, size[1]))
    depth = x + 0.5 * y + 0.1 * np.sin(20 * x) * np.cos(15 * y)
    return ((depth - depth.min()) / (depth.max() - depth.min())).astype(np.float32)


@pytest.mark.parametrize("size", [(500, 200), (200, 330), (300, 300)])
def test_tiles_of_a_depth_without_unit_become_the_whole_again(size: tuple[int, int]) -> None:
    """Each tile is answered on a scale of its own, as networks do, and comes back on that of the picture."""
    truth = ramp(size)
    image = Image.fromarray((truth * 255).astype(np.uint8))
    places = [(slice(None), slice(None)), *(place for place, _ in tiles(size, 128, 32, blend=True))]

    def look(pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        parts = [truth[place] for place in places]
        for picture, part in zip(pictures, parts, strict=True):
            assert np.array_equal(np.asarray(picture), (part * 255).astype(np.uint8))
        return [(part - part.min()) / (part.max() - part.min()) for part in parts]

    found = predict_in_tiles(look, image, 128)
    assert len(places) > 4
    assert np.abs(found - truth).max() < 1e-5


def test_a_tile_that_contradicts_the_whole_does_not_count() -> None:
    whole = ramp((40, 30))
    assert np.array_equal(align_tile(1 - whole, whole), whole)
    assert np.array_equal(align_tile(np.zeros_like(whole), whole), whole)
    assert np.allclose(align_tile(7 * whole + 3, whole), whole, atol=1e-6)


def test_tiles_of_classes_are_theirs_and_never_mixed() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 150, (210, 330, 1), dtype=np.uint8).repeat(3, axis=2))

    def look(pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        assert all(max(picture.size) <= 128 for picture in pictures)
        return [np.asarray(picture)[..., 0] for picture in pictures]

    assert np.array_equal(segmentation.predict_in_tiles(look, image, 128), np.asarray(image)[..., 0])
    small = image.crop((0, 0, 128, 100))
    assert np.array_equal(segmentation.predict_in_tiles(look, small, 128), np.asarray(small)[..., 0])


@pytest.mark.parametrize("name", ["depth", "segmentation"])
def test_networks_look_at_large_pictures_in_tiles_when_asked(name: str) -> None:
    scene = rendering(0).resize((300, 170))
    whole, limit = extract(name, scene), extract(name, scene, tile=300)
    assert limit == whole and extract(name, scene, tile=128).size == scene.size
    assert extract(name, scene, tile=128) == extract(name, scene, tile=128)
    for wrong in (10, 100.5):
        with pytest.raises(ValueError, match=rf"tiles have {wrong} pixels; expected a whole number, 64 or more"):
            extract(name, scene, tile=wrong)


def test_only_networks_that_shrink_what_they_see_have_tiles() -> None:
    for name in names():
        arguments: dict[str, Any] = {"tile": 128}
        if name in ("depth", "segmentation"):
            extract(name, rendering(0), **arguments)
        elif name == "normal":  # by depth alone; the annotator sees normals themselves
            with pytest.raises(ValueError, match="method tiny looks at a picture in one piece; expected no tile, got 128"):
                extract(name, rendering(0), **arguments)
        else:
            with pytest.raises(ValueError, match=f"{name}: there is no parameter 'tile'"):
                extract(name, rendering(0), **arguments)


def jopredict_in_tiles(extract: Extract, image: Image.Image, limit: int, overlap: int, blend: bool = False) -> Image.Image:
    """A map put together from the maps of tiles."""
    total = np.zeros((image.height, image.width, 3), np.float32)
    for (rows, columns), weight in tiles(image.size, limit, overlap, blend):
        part = extract(image.crop((columns.start, rows.start, columns.stop, rows.stop)))
        total[rows, columns] += np.asarray(part, np.float32) * weight[..., None]
    return Image.fromarray(total.round().astype(np.uint8))


def blurred(image: Image.Image) -> Image.Image:
    """A map whose pixel depends on what is within two pixels."""
    return Image.fromarray(cv2.blur(np.asarray(image), (5, 5), borderType=cv2.BORDER_REPLICATE))


@given(size=st.tuples(sides, sides), limit=st.integers(12, 60), overlap=st.integers(5, 11))
def test_tiles_of_a_local_map_leave_no_seam(size: tuple[int, int], limit: int, overlap: int) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    calls: list[tuple[int, int]] = []

    def extract(image: Image.Image) -> Image.Image:
        calls.append(image.size)
        return blurred(image)

    assert jopredict_in_tiles(extract, noise, limit, overlap) == blurred(noise)
    assert max(map(max, calls)) <= limit
    blend = np.asarray(jopredict_in_tiles(blurred, noise, limit, overlap, blend=True), int)
    far = np.asarray(blurred(noise), int)
    assert blend.shape == far.shape and (limit < max(size) or np.array_equal(blend, far))


def test_blended_tiles_fade() -> None:
    """Tiles that differ in level meet in a ramp; cut ones meet in a step."""
    levels = iter((0, 200, 0, 200))
    flat = lambda image: Image.new("RGB", image.size, (next(levels),) * 3)  # noqa: E731
    long = Image.new("RGB", (100, 20))
    faded, cut = (np.asarray(jopredict_in_tiles(flat, long, 60, 20, blend))[10, :, 0].astype(int) for blend in (True, False))
    assert cut.tolist() == [0] * 50 + [200] * 50
    assert faded[:40].max() == 0 and faded[60:].min() == 200
    assert np.diff(faded).max() <= 11 and np.diff(faded).min() >= 0


def test_edges_in_tiles_are_the_edges() -> None:
    """Canny follows edges from tile to tile only as far as the overlap reaches; nearly all are found."""
    scene = rendering(0).resize((300, 200))
    whole, parts = white(canny(scene)), white(jopredict_in_tiles(canny, scene, 128, 32))
    assert (whole & parts).sum() > 0.97 * (whole | parts).sum()

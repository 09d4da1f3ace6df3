"""Held-out pairs at the base's size: each map resized as its condition is."""

import numpy as np
from PIL import Image, ImageDraw

from zeroconv.data import Pair
from zeroconv.evaluation.samples import fit_pair


def test_a_thin_line_stays_a_line_and_a_palette_a_palette() -> None:
    lines, classes = Image.new("RGB", (512, 512)), Image.new("RGB", (512, 512), (120, 120, 120))
    ImageDraw.Draw(lines).line((257, 0, 257, 511), fill=(255, 255, 255))
    classes.paste((180, 120, 120), (0, 0, 255, 512))
    pair = fit_pair(Pair("a", Image.new("RGB", (512, 512)), "", {"canny": lines, "segmentation": classes}), 128)
    line = np.asarray(pair.maps["canny"])[..., 0]
    assert pair.image.size == pair.maps["canny"].size == (128, 128)
    assert set(np.unique(line)) == {0, 255} and ((line == 255).sum(1) == 1).all(), "one white pixel in every row"
    colours = {tuple(colour) for colour in np.asarray(pair.maps["segmentation"]).reshape(-1, 3).tolist()}
    assert colours == {(120, 120, 120), (180, 120, 120)}


def test_a_pair_of_the_right_size_keeps_its_maps_bytes() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8))
    assert fit_pair(Pair("a", noise, "", {"depth": noise}), 128).maps["depth"].tobytes() == noise.tobytes()

"""Drawings: pale ink is darkened, and nothing else is: not dark ink, not paper with a grain, not a photograph."""

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.conditions.drawings import noise
from tests.conditions.scenes import rendering
from zeroconv.conditions import extract
from zeroconv.conditions.raster.ink import DARK, darken_ink, is_drawing


def circle(ink: int, paper: int = 255, side: int = 512, grain: float = 0) -> tuple[np.ndarray, np.ndarray]:
    """A circle one pixel wide: the drawing (S, S, 3), and where its ink is (S, S)."""
    clean = np.full((side, side, 3), paper, np.uint8)
    cv2.circle(clean, (side // 2, side // 2), side // 3, (ink,) * 3, 1, cv2.LINE_AA)
    rough = clean + np.random.default_rng(0).normal(0, grain, clean.shape)
    return rough.round().clip(0, 255).astype(np.uint8), clean[..., 0] < (ink + paper) / 2


@pytest.mark.parametrize("ink", [120, 180, 200, 220])
def test_pale_ink_becomes_dark_and_paper_stays(ink: int) -> None:
    rgb, drawn = circle(ink)
    dark = darken_ink(rgb)
    assert dark[drawn].min() <= 255 - DARK < dark[drawn].mean() and (dark[rgb == 255] == 255).all()
    again = np.unique(np.stack([rgb[..., 0].ravel(), dark[..., 0].ravel()]), axis=1)  # one level for each, in their order
    assert len(again[0]) == len(set(again[0].tolist())) and (np.diff(again[1].astype(int)) >= 0).all()


def test_what_is_dark_has_a_grain_or_is_a_photograph_stays_as_it_is() -> None:
    dark, _ = circle(60)
    mixed, _ = circle(210)
    cv2.line(mixed, (20, 20), (490, 400), (30, 30, 30), 3)
    yellow = np.full((200, 200, 3), 250, np.uint8)
    yellow[90:94] = (250, 235, 60)  # pale to the eye, dark in blue
    grain = np.random.default_rng(0).normal(240, 3, (256, 256, 3)).clip(0, 255).astype(np.uint8)
    photographs = [np.asarray(image) for image in (*(rendering(index) for index in range(6)), noise((90, 60)))]
    for rgb in (dark, mixed, yellow, grain, *photographs):
        assert np.array_equal(darken_ink(rgb), rgb)
    assert is_drawing(dark) and is_drawing(grain) and not any(map(is_drawing, photographs))


@pytest.mark.parametrize("side", [256, 512, 1024, pytest.param(2048, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("condition", "parameters"),
    [("lineart", {"coarse": False}), ("lineart", {"coarse": True}), ("scribble", {"method": "xdog"})],
)
def test_thin_pale_ink_survives_at_every_size(condition: str, parameters: dict[str, Any], side: int) -> None:
    """A pencil of grey 200 on white: white on the map along nearly all of its way, and nothing elsewhere."""
    rgb, drawn = circle(200, side=side)
    lines = np.asarray(extract(condition, Image.fromarray(rgb), **parameters))[..., 0]
    near = cv2.dilate(drawn.astype(np.uint8), np.ones((side // 40, side // 40), np.uint8)) > 0
    assert lines.max() == 255 and (lines[drawn] > 64).mean() > 0.9 and not lines[~near].any()


@pytest.mark.parametrize("coarse", [False, True])
def test_pale_ink_on_paper_with_a_little_grain(coarse: bool) -> None:
    rgb, drawn = circle(190, 245, grain=1.0)
    lines = np.asarray(extract("lineart", Image.fromarray(rgb), coarse=coarse))[..., 0]
    assert lines.max() == 255 and (lines[drawn] > 64).mean() > 0.9

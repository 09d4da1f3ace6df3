"""Inpainting: holes from masks, boxes, transparency and chance; what is kept is kept exactly."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tests.conditions.scenes import rendering
from zeroconv.conditions.inpaint import INPAINT, find_hole, inpaint, kept_psnr, random_hole
from zeroconv.errors import NothingAskedError
from zeroconv.images import to_masked_tensor, to_tensor


def disc(size: int = 128) -> Image.Image:
    """A mask, white inside."""
    mask = Image.new("L", (size, size))
    ImageDraw.Draw(mask).ellipse((30, 40, 80, 90), 255)
    return mask


def share_of_hole(condition: Image.Image) -> float:
    return float(find_hole(condition).mean())


@given(
    width=st.integers(1, 60),
    height=st.integers(1, 60),
    method=st.sampled_from(["strokes", "box"]),
    share=st.floats(0.01, 0.9),
    seed=st.integers(0, 2**40),
)
def test_size_mode_bytes_and_what_is_kept(width: int, height: int, method: str, share: float, seed: int) -> None:
    picture = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))
    made = inpaint(picture, method=method, share=share, seed=seed)
    assert (made.mode, made.size) == ("RGBA", picture.size)
    assert made == inpaint(picture, method=method, share=share, seed=seed)
    hole, pixels = find_hole(made), np.asarray(made)
    assert hole.any()
    assert np.array_equal(pixels[~hole][:, :3], np.asarray(picture)[~hole])
    assert (pixels[~hole][:, 3] == 255).all() and not pixels[hole].any()


def test_the_hole_is_the_white_of_the_mask_and_minus_one_for_the_network() -> None:
    made = inpaint(rendering(0), disc())
    assert np.array_equal(find_hole(made), np.asarray(disc()) > 127)
    tensor, hole = to_masked_tensor(made), find_hole(made)
    assert (tensor[:, hole] == -1).all()
    assert bool((tensor[:, ~hole] == to_tensor(rendering(0))[:, ~hole]).all())


def test_the_hole_is_the_box() -> None:
    hole = find_hole(inpaint(rendering(0), (10, 20, 30, 60)))
    assert hole.sum() == 20 * 40 and hole[20:60, 10:30].all()
    assert find_hole(inpaint(rendering(0), (0, 0, 128, 128))).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "P", "CMYK", "L", "1"])
def test_any_mode_and_its_own_transparency(mode: str) -> None:
    holed = rendering(0).convert("RGBA")
    holed.putalpha(Image.eval(disc(), lambda white: 255 - white))
    made = inpaint(holed.convert(mode))
    assert (made.mode, made.size) == ("RGBA", (128, 128))
    if mode in ("RGBA", "LA", "PA", "P"):
        assert np.array_equal(find_hole(made), np.asarray(disc()) > 127)
        assert find_hole(inpaint(holed.convert(mode), (0, 0, 1, 1))).sum() == 1  # a mask that is given goes first
    else:
        assert find_hole(made).sum() != (np.asarray(disc()) > 127).sum()


def test_random_holes_cover_their_share() -> None:
    for seed in range(8):
        for share in (0.05, 0.3, 0.6):
            strokes = share_of_hole(inpaint(rendering(0), share=share, seed=seed))
            box = find_hole(inpaint(rendering(0), method="box", share=share, seed=seed))
            assert share <= strokes < share + 0.3
            assert box.mean() == pytest.approx(share, abs=0.02)
            rows, columns = np.flatnonzero(box.any(axis=1)), np.flatnonzero(box.any(axis=0))
            assert box.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            assert 0.45 < len(columns) / len(rows) < 2.2
    assert inpaint(rendering(0), seed=1) != inpaint(rendering(0), seed=2)


def test_strokes_come_everywhere() -> None:
    often = np.mean([find_hole(inpaint(rendering(0), seed=seed)) for seed in range(60)], axis=0)
    thirds = often[:126, :126].reshape(3, 42, 3, 42).mean(axis=(1, 3))
    assert thirds.min() > 0.15 and thirds.max() < 0.6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"method": "hole"}, "'hole'; expected one of strokes, box"),
        ({"share": 0}, "above 0 and at most 0.9"),
        ({"share": float("nan")}, "above 0 and at most 0.9"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": float("nan")}, "seed is nan"),
        ({"mask": Image.new("L", (3, 3))}, r"its mask \(3, 3\); expected the same size"),
        ({"mask": (0, 0, 129, 5)}, "expected left, top, right, bottom inside 128x128 pixels"),
        ({"mask": (5, 5, 5, 9)}, "expected left, top, right, bottom"),
        ({"mask": (1, 2, 3)}, "expected left, top, right, bottom"),
        ({"mask": (0, 0, float("nan"), 5)}, "expected left, top, right, bottom"),
        ({"mask": "many"}, "expected left, top, right, bottom"),
    ],
)
def test_what_makes_no_sense_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        inpaint(rendering(0), **parameters)
    assert "\n" not in str(caught.value)


def test_every_visit_has_its_own_hole() -> None:
    drawn = [random_hole(np.random.default_rng(seed)) for seed in range(200)]
    assert drawn[5] == random_hole(np.random.default_rng(5)) != drawn[6]
    assert 0.15 < np.mean([d["method"] == "box" for d in drawn]) < 0.35
    assert min(d["share"] for d in drawn) < 0.08 and max(d["share"] for d in drawn) > 0.57
    inpaint(rendering(0), **drawn[0])


def test_only_what_was_to_be_kept_counts() -> None:
    condition = inpaint(rendering(0), disc())
    assert kept_psnr(rendering(0), condition) == 1
    painted = rendering(0).copy()
    painted.paste((255, 0, 255), (45, 55, 60, 70))  # inside of the hole
    assert kept_psnr(painted, condition) == 1
    painted.paste((255, 0, 255), (100, 0, 128, 128))
    assert kept_psnr(painted, condition) < 0.3
    with pytest.raises(NothingAskedError):
        kept_psnr(rendering(1), inpaint(rendering(1), (0, 0, 128, 128)))


def test_fidelity_by_hand() -> None:
    """One level off everywhere is 48.13 dB: (48.13 - 10) / 40; ten levels are 20 dB less."""
    grey = Image.new("RGB", (8, 8), (100, 100, 100))
    for levels, expected in ((1, 0.95327), (10, 0.45327)):
        other = Image.new("RGB", (8, 8), (100 + levels,) * 3)
        assert kept_psnr(other, inpaint(grey, (0, 0, 4, 4))) == pytest.approx(expected, abs=1e-4)


def test_maps_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ValueError, match="is of mode RGB; expected RGBA"):
        kept_psnr(rendering(0), rendering(0))
    with pytest.raises(ValueError, match="expected the same size"):
        kept_psnr(rendering(0), Image.new("RGBA", (1, 1)))


def test_checks_say_what_is_odd() -> None:
    half = rendering(0).convert("RGBA")
    half.putalpha(Image.fromarray(np.tile(np.arange(128, dtype=np.uint8) * 2, (128, 1))))
    cases = {
        "RGB and has no hole": rendering(0),
        "no pixel is transparent": rendering(0).convert("RGBA"),
        "inverted": inpaint(rendering(0), (0, 0, 128, 120)),
        "half transparent": half,
    }
    for words, condition in cases.items():
        (warning,) = INPAINT.check(condition)
        assert words in warning.text
    for seed in range(10):
        assert INPAINT.check(inpaint(rendering(seed % 6), seed=seed, share=0.1 + 0.05 * seed)) == []

"""The lines of a drawing or a photograph, with grey levels, dark lines as white on black (section 4)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, Condition, Contract
from zeroconv.conditions.map_checks import check_sizes, check_soft_lines
from zeroconv.conditions.raster.ink import broaden, darken_ink, is_drawing
from zeroconv.conditions.raster.morphology import apply_hysteresis, remove_specks, to_map
from zeroconv.errors import InputError
from zeroconv.images import as_rgb
from zeroconv.metrics.edges import f_score

__all__ = ["LINEART", "dark_lines", "line_agreement", "lineart", "random_lineart"]

FINE, COARSE = 1 / 600, 1 / 220  # of the shorter side: half the width of a pen
REACH = 2  # the surroundings of a line, in pens
OFFSET = 24  # added to all grey levels: noise in the dark is no line
FAINTEST = 0.1  # whiteness of the darkest line from which it is ink, not grain
NOISE = 0.03  # a line is darker than its surroundings by this share at least
FULL = 0.13  # ... and by this one it is white, at strength 1
SHORT = 30  # pens; half as long is the shortest faint line at detail 0.5
STRONG = 0.25  # as dark as this, a short line stays: letters, eyes


def lineart(image: Image.Image, coarse: bool = False, strength: float = 1.0, detail: float = 0.5) -> Image.Image:
    """The lines of a picture: RGB grey levels, white where a line is darkest and black where there is none.

    Args:
        image: a drawing on bright paper, or any picture.
        coarse: a broad pen and few lines in place of a fine pen and many.
        strength: how white lines become, above 0 to 4.
        detail: 0 … 1; less leaves faint and short lines out, 1 keeps all.

    Raises:
        InputError: for a parameter out of its range.
    """
    if not 0 < strength <= 4:
        raise InputError(f"lineart's strength is {strength:g}; expected above 0 to 4 (1 is usual)", field="strength")
    if not 0 <= detail <= 1:
        raise InputError(f"lineart's detail is {detail:g}; expected 0 to 1 (0.5 is usual)", field="detail")
    shorter = min(image.size)
    pen = max(shorter * (COARSE if coarse else FINE), 0.5)
    rgb = np.asarray(as_rgb(image))
    drawn, rgb = is_drawing(rgb), darken_ink(rgb)
    if drawn and coarse:  # a line much thinner than the pen would vanish in its blur
        rgb = broaden(rgb, round(pen))
    darker = dark_lines(rgb, pen)
    faint = 2 * (1 - detail) * NOISE
    kept = remove_specks(darker > faint, (1 - detail) * SHORT * pen) | apply_hysteresis(darker, faint, STRONG)
    white = (darker - faint) * kept * (strength / FULL)
    if drawn and FAINTEST < white.max() < 1:  # the darkest ink is white, however pale it is
        white /= white.max()
    return to_map((white.clip(0, 1) * 255).round().astype(np.uint8))


def dark_lines(rgb: np.ndarray, pen: float) -> np.ndarray:
    """How much darker each place is than its surroundings, as a share of them: (H, W) float32 in [0, 1].

    `1 - blur(I, pen) / blur(I, 2 pen)`, the dodge of two layers by which drawings are cleaned in darkrooms and image
    editors: division makes shading and grey paper vanish, a dark line of any width near the pen stays, and a step
    from bright to dark gives a line along its dark side.

    Args:
        rgb: (H, W, 3) uint8.
        pen: standard deviation of the small blur, in pixels.
    """
    import cv2

    light = rgb.astype(np.float32) + OFFSET
    small, large = (cv2.GaussianBlur(light, (0, 0), sigma) for sigma in (pen, REACH * pen))
    return np.maximum.reduce(cv2.split(np.asarray(1 - small / large, np.float32))).clip(0, 1)


def random_lineart(generator: np.random.Generator) -> Mapping[str, Any]:
    """Parameters for one training sample: either pen, strength 0.6 … 1.6, detail 0.2 … 0.9."""
    return {
        "coarse": bool(generator.random() < 0.5),
        "strength": float(generator.uniform(0.6, 1.6)),
        "detail": float(generator.uniform(0.2, 0.9)),
    }


def line_agreement(image: Image.Image, condition: Image.Image, tolerance: int = 2) -> float:
    """How well the lines of a picture meet those of a map, weighted by their whiteness: F1 in [0, 1].

    The picture's lines are those of `lineart` with its defaults. Precision is the share of their white that the map
    has within `tolerance` pixels, `sum(min(found, widened(wanted))) / sum(found)`, recall the share of the map's
    white that the picture has: the F1 of edges, for grey levels. Two empty maps agree: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, white lines on black, of the same size.
        tolerance: in pixels, each way.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    found, wanted = (np.asarray(lines.convert("L")) for lines in (lineart(image), condition))
    return f_score(found, wanted, tolerance)


LINEART = Condition(
    name="lineart",
    order=9,
    summary="a drawing's lines",
    contract=Contract(
        summary="RGB map of the picture's size: dark lines as white on black, with grey levels.",
        polarity="white lines on black",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11p_sd15_lineart", "lllyasviel/control_v11p_sd15s2_lineart_anime",
            "thibaud/controlnet-sd21-lineart-diffusers",
        ),
    ),
    extract=lineart,
    score=line_agreement,
    metric="line agreement",
    draw_parameters=random_lineart,
    check=check_soft_lines,
)  # fmt: skip

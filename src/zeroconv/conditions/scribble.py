"""User scribbles: white strokes on black, from soft edges, by XDoG, or cleaned from somebody's own drawing (section 4)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, Condition, Contract
from zeroconv.conditions.map_checks import check_lines, check_sizes
from zeroconv.conditions.raster.ink import clean_drawing, darken_ink
from zeroconv.conditions.raster.morphology import apply_hysteresis, dilate, prune, read_strokes, remove_specks, thin, to_map
from zeroconv.conditions.raster.resizing import STROKES, Size, move_lines
from zeroconv.conditions.raster.tiling import resize_for_detection
from zeroconv.conditions.soft_edge import gradient_edges
from zeroconv.errors import InputError
from zeroconv.images import as_rgb, to_8bit
from zeroconv.metrics.edges import f_score

__all__ = ["METHODS", "SCRIBBLE", "edge_strokes", "random_scribble", "scribble", "stroke_f2", "xdog_strokes"]

METHODS = ("edges", "xdog", "drawing")
THRESHOLDS = {"edges": 0.2, "xdog": 0.6}
INHIBITION = 0.9  # how much edges around an edge weaken it
SIDE = 512  # pixels of the shorter side at which larger pictures are seen: strokes must not depend on their size
WIDEST = 24  # pixels, the paper's range of strokes at 512 x 512
PEN = 1 / 100  # of the shorter side: the stroke of a marker that was drawn at 512 x 512
WHISKER = 1 / 64  # of the shorter side: branches of a line that are no longer are not drawn
SPECK, DOT = 1 / 24, 1 / 120  # of the shorter side: shorter strokes are noise, in pictures and in drawings


def scribble(
    image: Image.Image,
    method: str = "edges",
    threshold: float | None = None,
    width: int | None = None,
    masked: float = 0.0,
    suppress: bool = True,
    close: int = 0,
    seed: int = 0,
    resolution: int | None = None,
) -> Image.Image:
    """Strokes of a picture as somebody would draw them: RGB, 255 on a stroke and 0 elsewhere, of the same size.

    Args:
        image: any picture; for "drawing" a drawing of any polarity, photographed, scanned or with transparent paper.
        method: "edges" (soft edges, thresholded), "xdog" (dark lines and shadows) or "drawing" (clean the drawing).
        threshold: 0 … 1, more gives fewer strokes; by default 0.2 for edges, 0.6 for xdog, chosen from the
            histogram for a drawing.
        width: of the pen, 1 … 24 pixels of the map; by default 1 % of its shorter side, at most 24; a drawing keeps its
            own.
        masked: the share of the picture, 0 … 1, whose strokes are left out, in round patches.
        suppress: whether only the ridges of soft edges are drawn (non-maximum suppression), for "edges"; without it
            neighbouring edges flow together, and without a `width` strokes are as wide as edges are soft.
        close: gaps and slits up to this many pixels, 0 … 24, are filled first, which joins neighbouring strokes; pixels
            of the size at which the picture is seen.
        seed: of the patches.
        resolution: pixels of the shorter side at which the picture is seen; by default its own, at most 512.

    Raises:
        InputError: for another method, or a parameter out of its range.
    """
    check_parameters(method, threshold, width, masked, close, seed)
    side = min(image.size)
    picture, looked_at = to_8bit(image), SIDE if resolution is None and side > SIDE else resolution
    if method != "drawing":  # thin ink is paler when it is reduced
        picture = Image.fromarray(darken_ink(np.asarray(as_rgb(picture))))
    seen = resize_for_detection(picture, looked_at)
    if method == "drawing":
        strokes = clean_drawing(seen, threshold)
    else:
        rgb = darken_ink(np.asarray(seen))
        level = THRESHOLDS[method] if threshold is None else threshold
        strokes = edge_strokes(rgb, level, suppress) if method == "edges" else xdog_strokes(rgb, level)
        if width is None and (suppress or method == "xdog"):
            width = min(WIDEST, max(1, round(side * PEN)))
    strokes = fill_gaps(strokes, int(close))
    if width is None:
        strokes = resize_strokes(strokes, image.size)
    else:
        lines = thin(strokes)
        lines = lines if method == "drawing" else prune(lines, round(min(seen.size) * WHISKER))
        lines = lines if seen.size == image.size else move_lines(lines, image.size, (0, 0, *seen.size))
        strokes = dilate(lines, int(width))
    strokes = remove_specks(strokes, side * (DOT if method == "drawing" else SPECK))
    return to_map(strokes & ~random_patches(strokes.shape, masked, seed))


def resize_strokes(strokes: np.ndarray, size: Size) -> np.ndarray:
    """Strokes (H, W) of any width at another size, width and height in pixels: (height, width) bool."""
    height, width = strokes.shape
    if (width, height) == size:
        return strokes
    return read_strokes(STROKES.resample(to_map(strokes), size, (0, 0, width, height)))


def check_parameters(method: str, threshold: float | None, width: int | None, masked: float, close: int, seed: int) -> None:
    """Raise the errors of `scribble`."""
    if method not in METHODS:
        raise InputError(f"scribble has no method {method!r}; expected one of {', '.join(METHODS)}", field="method")
    for name, share in (("threshold", threshold), ("masked", masked)):
        if share is not None and not 0 <= share <= 1:
            raise InputError(f"scribble's {name} is {share:g}; expected 0 to 1", field=name)
    if width is not None and width not in range(1, WIDEST + 1):
        raise InputError(f"scribble's width is {width}; expected 1 to {WIDEST} whole pixels", field="width")
    if close not in range(WIDEST + 1):
        raise InputError(f"scribble's close is {close}; expected 0 to {WIDEST} whole pixels", field="close")
    if not (seed >= 0 and seed % 1 == 0):
        raise InputError(f"scribble's seed is {seed}; expected a whole number from 0", field="seed")


def edge_strokes(rgb: np.ndarray, threshold: float, suppress: bool = True) -> np.ndarray:
    """Strokes from soft edges: (H, W) bool.

    Args:
        rgb: (H, W, 3) uint8.
        threshold: 0 … 1, at which a stroke begins; it ends at half of it.
        suppress: whether to keep ridges alone.
    """
    import cv2

    shorter = min(rgb.shape[:2])
    soft = cv2.GaussianBlur(gradient_edges(rgb), (0, 0), max(shorter / 250, 0.5))  # 2 pixels at 512
    around = cv2.GaussianBlur(soft, (0, 0), max(shorter / 25, 2))
    alone = np.maximum(soft - INHIBITION * around, 0)
    kept = alone * ridges(alone) if suppress else alone
    return apply_hysteresis(kept, max(threshold / 2, 1e-3), max(threshold, 1e-3))


def ridges(values: np.ndarray) -> np.ndarray:
    """Where a value is the largest of three in the direction in which it bends most: (H, W) bool.

    Args:
        values: (H, W); the direction is a row, a column or a diagonal.
    """
    padded = np.pad(values, 1, mode="edge")
    height, width = values.shape
    found, bend = np.zeros(values.shape, bool), np.zeros(values.shape, values.dtype)
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        ahead = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = padded[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        here = (2 * values - ahead - behind) / (dx * dx + dy * dy)
        found ^= (found ^ ((values >= ahead) & (values >= behind))) & (here > bend)
        np.maximum(here, bend, out=bend)
    return found


def xdog_strokes(rgb: np.ndarray, threshold: float, sharpness: float = 20.0, sigma: float | None = None) -> np.ndarray:
    """Dark lines by an extended difference of Gaussians (H. Winnemöller, J. E. Kyprianidis, S. C. Olsen, 2012).

    `S = (1 + p) G_s * I - p G_ks * I` with `k = 1.6`, and a stroke where `S < 1 - threshold` (their soft step with
    `phi` to infinity). `I` is first divided by its own large blur, so that shadows give strokes along their edge
    and are not filled.

    Args:
        rgb: (H, W, 3) uint8.
        threshold: 0 … 1, how dark a line must be.
        sharpness: `p`.
        sigma: `s` in pixels; by default 1/350 of the shorter side, at least 0.5.
    """
    import cv2

    shorter = min(rgb.shape[:2])
    fine = max(shorter / 350, 0.5) if sigma is None else sigma
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32) + 24  # noise in the dark is no line
    flat = grey / cv2.GaussianBlur(grey, (0, 0), max(shorter / 25, 3 * fine))
    small, large = (cv2.GaussianBlur(flat, (0, 0), s) for s in (fine, 1.6 * fine))
    return (1 + sharpness) * small - sharpness * large < 1 - max(threshold, 1e-3)  # rounding is no line


def fill_gaps(strokes: np.ndarray, reach: int) -> np.ndarray:
    """Strokes with gaps and slits of up to `reach` pixels filled: grown, then shrunk."""
    import cv2

    if not reach:
        return strokes
    side = 2 * ((reach + 1) // 2) + 1
    grown = cv2.copyMakeBorder(strokes.astype(np.uint8), side, side, side, side, cv2.BORDER_CONSTANT)
    pen = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(grown, cv2.MORPH_CLOSE, pen)[side:-side, side:-side] > 0


def random_patches(shape: tuple[int, ...], share: float, seed: int) -> np.ndarray:
    """Round patches that cover `share` of the picture: (H, W) bool, the same for the same seed at every size."""
    import cv2

    if not share:
        return np.zeros(shape, bool)
    noise = np.random.default_rng(int(seed)).standard_normal((6, 6)).astype(np.float32)
    waves = cv2.resize(noise, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)
    return waves <= np.quantile(waves, share)


def random_scribble(
    generator: np.random.Generator, size: tuple[int, int] = (512, 512), method: str | None = None
) -> Mapping[str, Any]:
    """Parameters for one training sample: the paper's thresholds, masks, morphology and suppression at random.

    Three in four are from soft edges. Widths are 1 … 24 pixels of 512 x 512 and as broad in relation to smaller
    pictures, small ones more often; half of the scribbles lose up to half of the picture. A drawing keeps its
    threshold; only edges are suppressed.

    Args:
        generator: of the sample.
        size: of the picture.
        method: what is not to be drawn.
    """
    drawn = "edges" if generator.random() < 0.75 else "xdog"
    method, scale = method or drawn, min(*size, 512) / 512
    made = {
        "method": method,
        "threshold": float(generator.uniform(0.5, 1.6) * THRESHOLDS.get(method, 0)),
        "width": max(1, round(float(WIDEST ** generator.random()) * scale)),
        "masked": float(max(0.0, generator.uniform(-0.5, 0.5))),
        "suppress": bool(generator.random() < 0.75),
        "close": round(int(generator.integers(0, 6)) * scale),
        "seed": int(generator.integers(0, 2**31)),
    }
    unused = {"edges": (), "xdog": ("suppress",)}.get(method, ("suppress", "threshold"))
    return {key: value for key, value in made.items() if key not in unused}


def stroke_f2(image: Image.Image, condition: Image.Image) -> float:
    """How well a picture's edges meet the strokes of a map: F2 of their centre lines, in [0, 1].

    The picture is drawn with the defaults of `scribble`, and both are thinned. Recall is the share of the map's
    strokes met within 1/64 of the shorter side (2 pixels at least), precision the share of the picture's strokes
    that the map asked for. F2 weighs recall more (`5 P R / (4 P + R)`): a scribble leaves much undrawn.
    Two empty maps agree: 1.

    Args:
        image: the generated picture.
        condition: the map it was given, white strokes on black, of the same size.

    Raises:
        ValueError: when sizes differ.
    """
    check_sizes(image, condition)
    found, wanted = (thin(read_strokes(strokes)) for strokes in (scribble(image), condition))
    return f_score(found, wanted, max(2, round(min(image.size) / 64)), beta=2)


SCRIBBLE = Condition(
    name="scribble",
    order=3,
    summary="hand-drawn strokes",
    contract=Contract(
        summary="RGB map of the picture's size: white (255) strokes, 1 to 24 pixels wide, on black (0).",
        values="0 or 255",
        polarity="white strokes on black",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11p_sd15_scribble", "lllyasviel/sd-controlnet-scribble",
            "thibaud/controlnet-sd21-scribble-diffusers", "xinsir/controlnet-scribble-sdxl-1.0",
        ),
    ),
    extract=scribble,
    score=stroke_f2,
    metric="stroke F2",
    draw_parameters=random_scribble,
    check=check_lines,
    resizing=STROKES,
)  # fmt: skip

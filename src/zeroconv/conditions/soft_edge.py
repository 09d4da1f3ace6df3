"""Soft edges: white on black with grey levels, by gradients, HED or PiDiNet; fidelity is their SSIM (Z. Wang et al., 2004)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, BatchedExtractor, Condition, Contract
from zeroconv.conditions.map_checks import LIT, check_picture, check_sizes
from zeroconv.conditions.raster.morphology import brightest, to_map
from zeroconv.errors import InputError
from zeroconv.images import as_rgb, check_pixels
from zeroconv.messages import Message
from zeroconv.metrics.ssim import ssim

__all__ = ["SOFT_EDGE", "edge_ssim", "gradient_edges", "random_softness", "safe_step", "soft_edge"]

METHODS = ("gradient", "hed", "pidinet")
SCALES = (1, 2, 4)  # of sigma: an edge of an object is there at each of them, an edge of a texture at the finest
FLOOR, STRENGTH, CONTRAST = 0.02, 1.2, 2.2  # chosen so that maps of photographs resemble HED's
SIGMAS, STEPS = (0.5, 8.0), (2, 8)
FAINTEST = 32  # level from which something is an edge: a map without it is empty


def soft_edge(
    image: Image.Image,
    method: str = "gradient",
    safe: bool = False,
    steps: int = 2,
    sigma: float = 1.0,
    weights: str | Path | None = None,
    fusion: Literal["learned", "mean"] = "learned",
    device: str = "cpu",
) -> Image.Image:
    """Soft edges of a picture: RGB, grey levels, white on black, of the same size.

    Args:
        image: any picture.
        method: "gradient" needs no weights; "hed" is the network of S. Xie and Z. Tu (2015), "pidinet" that of Z. Su et
            al. (2021).
        safe: keep `steps + 1` grey levels alone, so that nothing of the picture can hide in faint greys.
        steps: 2 … 8; published "safe" maps have 2.
        sigma: of the finest scale in pixels, 0.5 … 8; "gradient" alone.
        weights: a .safetensors file of the method's weights, else the environment variable ZEROCONV_HED or
            ZEROCONV_PIDINET names it.
        fusion: "learned" as in the paper of HED, or "mean" as in ControlNet 1.1; "hed" alone.
        device: where the network runs, such as "cuda"; not of "gradient".

    Raises:
        InputError: for a parameter out of its range.
        FileNotFoundError: when the network's weights are not there.
    """
    check_levels(safe, steps)
    return render_map(image, predict_edges([image], method, sigma, weights, fusion, device)[0], safe, steps)


def check_levels(safe: bool, steps: int) -> None:
    """Refuse levels that make no sense."""
    if safe not in (False, True):
        raise InputError(f"safe is {safe!r}; expected true or false; the number of levels is `steps`", field="safe")
    if steps not in range(STEPS[0], STEPS[1] + 1):
        raise InputError(f"soft-edge has steps={steps!r}; expected a whole number from {STEPS[0]} to {STEPS[1]}", field="steps")


def predict_edges(
    images: Sequence[Image.Image],
    method: str,
    sigma: float,
    weights: str | Path | None,
    fusion: Literal["learned", "mean"],
    device: str,
) -> list[np.ndarray]:
    """The edges of each picture, (H, W) float32 in [0, 1]; a network sees pictures of one size together."""
    if method not in METHODS:
        raise InputError(f"the method of soft-edge is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    if method == "gradient":
        return [gradient_edges(np.asarray(as_rgb(image)), sigma) for image in images]
    if method == "pidinet":
        from zeroconv.conditions.networks.pidinet import open_pidinet, pidinet_edges

        return [edges.numpy() for edges in pidinet_edges(images, open_pidinet(weights, device))]
    from zeroconv.conditions.networks.hed import hed_edges, open_hed

    return [edges.numpy() for edges in hed_edges(images, open_hed(weights, device), fusion)]


def render_map(_: Image.Image, edges: np.ndarray, safe: bool, steps: int) -> Image.Image:
    """The map of edges (H, W) in [0, 1]."""
    check_levels(safe, steps)
    grey = (edges * 255).round()
    if safe:
        grey = (safe_step(grey / 255, int(steps)) * 255).round()
    grey = grey.astype(np.uint8)
    return to_map(grey)


def gradient_edges(rgb: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Soft edges without a network.

    At each scale s the picture is smoothed, and r_s = s |gradient| is the steepest change of colour (S. Di Zenzo, "A
    note on the gradient of a multi-image", 1986). Their mean r becomes `u / (1 + u)` with `u = (r / t)^2.2`, where t
    follows the root mean square of r: half white at t, whatever the picture's contrast, and a flat picture is black.

    Args:
        rgb: (H, W, 3), uint8.
        sigma: the finest scale in pixels; the others are twice and four times as large.

    Returns:
        (H, W), float32 in [0, 1].

    Raises:
        InputError: unless 0.5 <= sigma <= 8.
    """
    if not SIGMAS[0] <= sigma <= SIGMAS[1]:
        raise InputError(
            f"soft-edge has sigma={sigma:g}; expected {SIGMAS[0]:g} to {SIGMAS[1]:g} pixels (1 is usual)", field="sigma"
        )
    channels = [np.ascontiguousarray(rgb[..., channel], np.float32) / 255 for channel in range(3)]
    r = np.zeros(rgb.shape[:2], np.float32)
    for s in SCALES:
        r += s * sigma / len(SCALES) * gradient_magnitude(channels, s * sigma)
    t = STRENGTH * math.sqrt(float(np.mean(np.square(r, dtype=np.float64)))) + FLOOR
    u = (r / np.float32(t)) ** np.float32(CONTRAST)
    return u / (1 + u)


def gradient_magnitude(channels: list[np.ndarray], sigma: float) -> np.ndarray:
    """The steepest change per pixel of smoothed channels (H, W): the root of Di Zenzo's greater eigenvalue, (H, W)."""
    import cv2

    xx, yy, xy = np.float32(0), np.float32(0), np.float32(0)
    for channel in channels:
        smooth = cv2.GaussianBlur(channel, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
        dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REFLECT)
        dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REFLECT)
        xx, yy, xy = xx + dx * dx, yy + dy * dy, xy + dx * dy
    return np.sqrt((xx + yy + np.sqrt((xx - yy) ** 2 + 4 * xy * xy)) / 2)


def safe_step(edges: np.ndarray, steps: int = 2) -> np.ndarray:
    """Edges (H, W) in [0, 1] on `steps + 1` levels: `min(1, floor(x (steps + 1)) / steps)`, as ControlNet 1.1 does."""
    return np.minimum(np.floor(edges * (steps + 1)) / steps, 1)


def random_softness(generator: np.random.Generator, method: str = "gradient") -> Mapping[str, Any]:
    """Parameters for one training sample: half of the maps safe with 2 … 4 steps; of gradients sigma from 0.7 … 2."""
    sigma = 0.7 * (2 / 0.7) ** float(generator.random())
    levels = {"safe": bool(generator.random() < 0.5), "steps": int(generator.integers(2, 5))}
    return {"sigma": sigma, **levels} if method == "gradient" else levels


def edge_ssim(
    image: Image.Image,
    condition: Image.Image,
    method: str = "gradient",
    sigma: float = 1.0,
    weights: str | Path | None = None,
    fusion: Literal["learned", "mean"] = "learned",
    device: str = "cpu",
) -> float:
    """How well the soft edges of a picture meet those of a map: their SSIM where either has an edge, negative counted as 0.

    Only windows count in which an edge of either reaches level 32 of 255: black meets black everywhere else, and a picture
    without edges would score by that. When the map has safe levels alone, the picture's edges are brought to as many, and
    the best agreement counts.

    Args:
        image: the generated picture.
        condition: the map it was given, white on black, of the same size.
        method: by which the picture's edges are extracted, as for `soft_edge`; so are the others.
        sigma: of "gradient".
        weights: of "hed" and "pidinet".
        fusion: of "hed".
        device: of "hed" and "pidinet".

    Raises:
        ValueError: when sizes differ, or as `soft_edge`.
        FileNotFoundError: as `soft_edge`.
    """
    check_sizes(image, condition)
    found = np.asarray(soft_edge(image, method, sigma=sigma, weights=weights, fusion=fusion, device=device))[..., 0] / 255
    wanted = np.asarray(condition.convert("RGB").convert("L"))
    candidates = [safe_step(found, steps) for steps in find_steps(wanted)] or [found]
    return max(0.0, *(ssim(np.round(edges * 255), wanted, FAINTEST) for edges in candidates))


def find_steps(grey: np.ndarray) -> list[int]:
    """With how many steps a map (H, W), uint8, can have been made safe; none when it has other grey levels."""
    seen = set(np.unique(grey).tolist())
    return [n for n in range(STEPS[0], STEPS[1] + 1) if seen <= {round(255 * level / n) for level in range(n + 1)}]


def check(condition: Image.Image) -> list[Message]:
    """Warnings for a map of soft edges: polarity, a picture in its place, colours, nothing on it, hard lines."""
    check_pixels(condition)
    grey = np.asarray(condition.convert("RGB").convert("L"))
    typical = float(np.median(grey))
    if typical > 160:
        white = float((grey > 127).mean())
        return [Message(f"this map looks inverted: {white:.0%} white, expected soft white edges on black", "map.inverted")]
    if found := check_picture(condition, soft=True):
        return found
    rgb = np.asarray(condition.convert("RGB"))
    lit = brightest(rgb) >= LIT
    coloured = float((np.ptp(rgb[lit].astype(int), axis=1) > 24).mean()) if lit.any() else 0.0
    if coloured > 0.2:
        return [
            Message(f"this map has colours ({coloured:.0%} of its lines), expected soft white edges on black", "map.colours")
        ]
    black = float((grey < 32).mean())
    if black < 0.25:
        return [
            Message(
                f"this map looks like a picture: {1 - black:.0%} of it is not black, expected edges on black", "map.picture"
            )
        ]
    if typical > 128:
        return [
            Message(
                f"this map looks like a picture: half of it is brighter than {typical:.0f}, expected edges on black",
                "map.picture",
            )
        ]
    if grey.max() < FAINTEST:
        return [
            Message(
                f"this map is empty: its brightest place is {grey.max()} of 255, so it controls next to nothing", "map.empty"
            )
        ]
    if ((grey >= FAINTEST) & (grey < 224)).mean() < min(0.002, 0.05 * (grey >= FAINTEST).mean()):
        return [
            Message(
                "this map has hard lines without grey levels: that is a map of canny or scribble, expected soft edges",
                "map.hard-lines",
            )
        ]
    return []


SOFT_EDGE = Condition(
    name="soft-edge",
    order=2,
    aliases=("hed",),
    summary="soft edges (gradients, HED, PiDiNet)",
    contract=Contract(
        summary="RGB map of the picture's size: soft edges in grey levels, white (255) where they are strongest, on black (0).",
        polarity="white edges on black",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11p_sd15_softedge", "lllyasviel/sd-controlnet-hed", "thibaud/controlnet-sd21-hed-diffusers",
        ),
    ),
    extract=soft_edge,
    score=edge_ssim,
    metric="edge SSIM",
    refuses=("map.no-lines", "map.inverted"),
    draw_parameters=random_softness,
    check=check,
    batched=BatchedExtractor(predict_edges, render_map),
)  # fmt: skip

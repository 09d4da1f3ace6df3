"""Depth, near = white: inverse distance, relative within the picture, as MiDaS gives it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, Condition, Contract, Halves, check_sizes, colourful
from zeroconv.conditions.networks.weights import methods_of
from zeroconv.conditions.raster.morphology import as_map
from zeroconv.conditions.raster.tiling import check_tile, tiles
from zeroconv.metrics.geometry import align, depth_scores

__all__ = ["DEPTH", "depth", "depth_agreement", "depth_map", "depth_numbers", "inverse_depth"]

NEAREST = 0.1  # metres; what is nearer counts as this near
TOP = 99  # the percentile of inverse distance that becomes white: single near pixels must not darken the rest

FAINT = 5 / 255  # what is darker on a map is too near to black for a ratio
FLAT = 1e-6  # spread of a map without depth


def depth(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> Image.Image:
    """The depth map of a picture: RGB, grey levels, near = white, of the same size.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator, for pictures of the tiny world alone), "depth-anything" or "dpt".
        weights: a folder or hub id instead of the published one.
        device: where a learned network runs.
        tile: pixels, 64 or more: a picture that is longer is looked at in overlapping tiles of this side as well as
            in one piece, as networks see any picture at a few hundred pixels. None sees all pictures in one piece.

    Raises:
        ValueError: for an unknown method, a tile that is too small, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    return drawn(image, inverse_depth(image, method, weights, device, tile))


def drawn(_: Image.Image, inverse: np.ndarray) -> Image.Image:
    """The map of inverse depth (H, W) in [0, 1]."""
    grey = (inverse * 255).round().astype(np.uint8)
    return as_map(grey)


def inverse_depth(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> np.ndarray:
    """Relative inverse depth of a picture, (H, W) float32 in [0, 1], near = 1: see `depth`."""
    return inverse_depths([image], method, weights, device, tile)[0]


def inverse_depths(
    images: Sequence[Image.Image],
    method: str,
    weights: str | Path | None,
    device: str,
    tile: int | None,
) -> list[np.ndarray]:
    """The same of many pictures, which a network sees together."""
    if method not in (known := ("tiny", *methods_of("depth"))):
        raise ValueError(f"depth method is {method!r}; expected one of {', '.join(known)}")
    check_tile(tile)

    def look(pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        """Each in one piece."""
        if method == "tiny":
            return seen_by_annotator(pictures)
        from zeroconv.conditions.networks.depth import learned_depth

        return learned_depth(pictures, method, weights, device)

    return look(images) if tile is None else [in_tiles(look, image, tile) for image in images]


def seen_by_annotator(images: Sequence[Image.Image]) -> list[np.ndarray]:
    """Inverse depth of pictures of the tiny world."""
    from torch.nn import functional as F

    from zeroconv.conditions.networks.annotator import annotate

    found = [seen.inverse_depth[:, None] for seen in annotate(*images)]  # (1, 1, h, w)
    sizes = [(image.height, image.width) for image in images]
    enlarged = [F.interpolate(one, size=s, mode="bilinear") for one, s in zip(found, sizes, strict=True)]
    return [one[0, 0].clamp(0, 1).numpy() for one in enlarged]


def in_tiles(look: Callable[[Sequence[Image.Image]], list[np.ndarray]], image: Image.Image, tile: int) -> np.ndarray:
    """The depth of a picture with the details of its tiles and the levels of the whole: (H, W) in [0, 1].

    Depth is relative within what is looked at. Each tile is brought to the scale and shift at which it is nearest to
    the whole, by least squares (R. Ranftl et al., 2020), and fades into the next.
    """
    if max(image.size) <= tile:
        return look([image])[0]
    places = list(tiles(image.size, tile, tile // 4, blend=True))
    cuts = [image.crop((columns.start, rows.start, columns.stop, rows.stop)) for (rows, columns), _ in places]
    whole, *parts = look([image, *cuts])
    total = np.zeros_like(whole)
    for part, (place, weight) in zip(parts, places, strict=True):
        total[place] += weight * aligned(part, whole[place])
    from zeroconv.conditions.networks.depth import stretched

    return stretched(total)


def aligned(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A tile's depth on the levels of the whole; the whole itself where the tile contradicts it."""
    return align(part, whole) if float(((part - part.mean()) * whole).sum()) > 0 else whole


def depth_map(distance: np.ndarray) -> Image.Image:
    """A depth map from distances.

    Args:
        distance: (H, W), metres along the line of sight, infinity for the sky.
    """
    inverse = 1 / np.maximum(distance.astype(np.float32), NEAREST)  # the sky becomes 0
    top = max(float(np.percentile(inverse, TOP)), 1e-6)
    grey = (np.clip(inverse / top, 0, 1) * 255).astype(np.uint8)
    return as_map(grey)


def depth_agreement(
    image: Image.Image, condition: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu"
) -> float:
    """δ1 of the depth read back from a picture, after alignment with its map: [0, 1]; see `depth_numbers`."""
    return depth_numbers(image, condition, method, weights, device)["depth delta1"]


def depth_numbers(
    image: Image.Image, condition: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu"
) -> dict[str, float]:
    """How well the depth read back from a picture meets its map, after the scale and shift that fit best.

    `depth delta1`: the share of pixels whose ratio is below 1.25 either way (D. Eigen et al., 2014), over the pixels that
    are not nearly black, as a ratio of the lowest levels says nothing; 0 when near and far are exchanged. `RMSE`: in
    [0, 1] of the map. `correlation`: negative counted as 0.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size.
        method: who reads the depth: "tiny" (pictures of the tiny world alone) or a network as in `depth`.
        weights: of the network.
        device: where it runs.

    Raises:
        ValueError: when sizes differ, or as `depth`.
        FileNotFoundError: as `depth`.
    """
    check_sizes(image, condition)
    found = inverse_depth(image, method, weights, device)
    wanted = np.asarray(condition.convert("L"), np.float32) / 255
    if found.std() < FLAT or wanted.std() < FLAT:
        alike = float(found.std() < FLAT and wanted.std() < FLAT)
        return {"depth delta1": alike, "RMSE": 1 - alike, "correlation": alike}
    correlation = max(0.0, float(np.corrcoef(found.ravel(), wanted.ravel())[0, 1]))
    scores = depth_scores(found, np.where(wanted < FAINT, 0, wanted))
    return {"depth delta1": scores.delta1 if correlation > 0 else 0.0, "RMSE": scores.rmse, "correlation": correlation}


def check(condition: Image.Image) -> list[str]:
    """Warnings for a depth map: colour, flatness, and, as a question, a bright top over a dark ground."""
    colour = colourful(condition)
    if colour > 0.05:
        return [f"this map has colours ({colour:.0%} of it; a colour scale?), expected grey levels with near = white"]
    grey = np.asarray(condition.convert("L"), np.float32)
    if grey.std() < 2:
        return ["this map is flat: every pixel has about the same depth"]
    third = max(1, len(grey) // 3)
    top, ground = float(grey[:third].mean()), float(grey[-third:].mean())
    if top > ground + 64:
        return [f"is this map inverted? Its top is brighter ({top:.0f}) than its ground ({ground:.0f}), but near is white"]
    return []


DEPTH = Condition(
    "depth",
    f"distance, near = white (method {', '.join(('tiny', *methods_of('depth')))})",
    Contract(
        "RGB map of the picture's size, grey levels: near = white, far and sky = black, relative within the picture.",
        polarity="near = white",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11f1p_sd15_depth", "lllyasviel/sd-controlnet-depth",
            "thibaud/controlnet-sd21-depth-diffusers", "diffusers/controlnet-depth-sdxl-1.0",
            "xinsir/controlnet-depth-sdxl-1.0",
        ),
    ),
    depth,
    depth_agreement,
    measure="depth delta1",
    check=check,
    of_any_picture=False,
    halves=Halves(inverse_depths, drawn),
    measures=depth_numbers,
)  # fmt: skip

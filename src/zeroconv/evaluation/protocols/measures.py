"""Measures of protocols that no condition has as its own: functions like `Condition.score`, several numbers each."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from zeroconv.conditions import extract
from zeroconv.conditions.depth import METHODS, annotate_depth
from zeroconv.conditions.map_checks import check_sizes
from zeroconv.errors import InputError
from zeroconv.metrics.ms_ssim import SMALLEST, ms_ssim
from zeroconv.metrics.ssim import ssim

__all__ = ["DEPTH_MEASURE", "MS_SSIM", "score_depth", "score_depth_as_published", "score_edges", "score_lines",
           "score_lines_as_published"]  # fmt: skip

MS_SSIM = "MS-SSIM"
DEPTH_MEASURE = "1 - RMSE / 255"


def score_edges(
    image: Image.Image,
    condition: Image.Image,
    method: str = "hed",
    weights: str | Path | None = None,
    fusion: Literal["learned", "mean"] = "mean",
    device: str = "cpu",
) -> Mapping[str, float]:
    """MS-SSIM and SSIM of the soft edges of a picture and its map; arguments as `conditions.soft_edge.edge_ssim`.

    Raises:
        InputError: for pictures that are too small for MS-SSIM.
        ValueError: when sizes differ, or as `soft_edge`.
        FileNotFoundError: when the network's weights are not there.
    """
    found = extract("soft-edge", image, method=method, weights=weights, fusion=fusion, device=device)
    return compare_maps(levels(found), condition)


def score_lines(image: Image.Image, condition: Image.Image, coarse: bool = False) -> Mapping[str, float]:
    """MS-SSIM and SSIM of the lines of a picture, as `lineart` draws them, and its map.

    Raises:
        InputError: for pictures that are too small for MS-SSIM.
        ValueError: when sizes differ.
    """
    return compare_maps(levels(extract("lineart", image, coarse=coarse)), condition)


def score_lines_as_published(image: Image.Image, condition: Image.Image, coarse: bool = False) -> Mapping[str, float]:
    """As `score_lines`, with lines inverted as ControlNet++ does it: `1 - x` of bytes, which wraps around.

    Dark lines on white become white on black, for `1 - x` is `257 - x` there, but for the darkest: 0 becomes 1 and 1
    becomes 0, so that the strongest lines are black.
    """
    dark_on_white = 255 - levels(extract("lineart", image, coarse=coarse))
    return compare_maps(np.uint8(1) - dark_on_white, condition)


def compare_maps(found: np.ndarray, condition: Image.Image) -> dict[str, float]:
    """MS-SSIM and SSIM of grey levels (H, W) and a map."""
    wanted = levels(condition)
    if found.shape != wanted.shape:
        raise ValueError(f"the picture is {found.shape[1]}x{found.shape[0]} and the map {wanted.shape[1]}x{wanted.shape[0]}")
    if min(wanted.shape) < SMALLEST:
        size = f"{wanted.shape[1]}x{wanted.shape[0]}"
        raise InputError(f"{size} is too small for MS-SSIM; expected sides of {SMALLEST} pixels or more", field="size")
    return {MS_SSIM: ms_ssim(found, wanted), "SSIM": max(0.0, ssim(found, wanted))}


def levels(image: Image.Image) -> np.ndarray:
    """Grey levels (H, W) uint8."""
    return np.asarray(image.convert("RGB").convert("L"))


def score_depth(
    image: Image.Image, condition: Image.Image, method: str = "dpt", weights: str | Path | None = None, device: str = "cpu"
) -> Mapping[str, float]:
    """RMSE in levels of 255 of depth that is stretched from its least to its greatest, and so is the map's.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size.
        method: by which its depth is estimated again, as in `conditions.depth`.
        weights: of the network.
        device: where it runs.

    Raises:
        ValueError: when sizes differ, or as `depth`.
        FileNotFoundError: as `depth`.
    """
    return rmse(stretch(predict(image, condition, method, weights, device)), condition)


def score_depth_as_published(
    image: Image.Image, condition: Image.Image, method: str = "dpt", weights: str | Path | None = None, device: str = "cpu"
) -> Mapping[str, float]:
    """As `score_depth`, with what was predicted divided by its greatest value alone, as ControlNet++ does it."""
    found = predict(image, condition, method, weights, device)
    return rmse(found / max(float(found.max()), 1e-6), condition)


def predict(image: Image.Image, condition: Image.Image, method: str, weights: str | Path | None, device: str) -> np.ndarray:
    """What a network answers, (H, W), near = large, of any scale."""
    check_sizes(image, condition)
    if method not in METHODS:
        raise InputError(f"depth method is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    if method == "tiny":
        return annotate_depth([image])[0]
    from zeroconv.conditions.networks.depth import predict_depth

    return predict_depth([image], method, weights, device)[0]


def rmse(found: np.ndarray, condition: Image.Image) -> dict[str, float]:
    """The error of inverse depth (H, W) in [0, 1], in levels that are cut to whole numbers as the source's PNGs are."""
    levels_found = np.floor(np.clip(found, 0, 1) * 255)
    wanted = np.floor(stretch(levels(condition).astype(np.float64)) * 255)
    error = float(np.sqrt(((levels_found - wanted) ** 2).mean()))
    return {DEPTH_MEASURE: 1 - error / 255, "RMSE": error}


def stretch(values: np.ndarray) -> np.ndarray:
    """From 0 to 1; flat ones are 0."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)

"""Depth, near = white: inverse distance, relative within the picture, as MiDaS gives it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import GREY, BatchedExtractor, Condition, Contract, RenderedScene, reextract_and_score
from zeroconv.conditions.map_checks import colour_fraction, flat_levels, line_like, texture_fractions
from zeroconv.conditions.networks.weights import methods_of, weights_of
from zeroconv.conditions.raster.morphology import to_map
from zeroconv.conditions.raster.tiling import check_tile, tiles
from zeroconv.errors import InputError
from zeroconv.messages import Message
from zeroconv.metrics.geometry import align, depth_scores

__all__ = [
    "DEPTH", "METHODS", "annotate_depth", "depth", "depth_map", "depth_metrics", "inverse_depth", "predict_inverse_depth",
]  # fmt: skip

METHODS = ("tiny", *methods_of("depth"))

NEAREST = 0.1  # metres; what is nearer counts as this near
TOP = 99  # the percentile of inverse distance that becomes white: single near pixels must not darken the rest

FAINT = 5 / 255  # what is darker on a map is too near to black for a ratio
FLAT = 1e-6  # spread of a map without depth
HIGHER, MUCH_HIGHER = 40, 105  # grey levels by which the top of an inverted map is brighter than its ground, and of a room's
ENDS = 12  # grey levels that count as the near or the far end of a map


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
    return render_map(image, inverse_depth(image, method, weights, device, tile))


def render_map(_: Image.Image, inverse: np.ndarray) -> Image.Image:
    """The map of inverse depth (H, W) in [0, 1]."""
    grey = (inverse * 255).round().astype(np.uint8)
    return to_map(grey)


def inverse_depth(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> np.ndarray:
    """Relative inverse depth of a picture, (H, W) float32 in [0, 1], near = 1: see `depth`."""
    return predict_inverse_depth([image], method, weights, device, tile)[0]


def predict_inverse_depth(
    images: Sequence[Image.Image],
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> list[np.ndarray]:
    """Relative inverse depth of each picture, (H, W) float32 in [0, 1]; a network sees pictures of one size together."""
    if method not in METHODS:
        raise InputError(f"depth method is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    check_tile(tile)

    def predict(pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        """Each in one piece."""
        if method == "tiny":
            return annotate_depth(pictures)
        from zeroconv.conditions.networks.depth import learned_depth

        return learned_depth(pictures, method, weights, device)

    return predict(images) if tile is None else [predict_in_tiles(predict, image, tile) for image in images]


def annotate_depth(images: Sequence[Image.Image]) -> list[np.ndarray]:
    """Inverse depth of pictures of the tiny world."""
    from torch.nn import functional as F

    from zeroconv.conditions.networks.annotator import annotate

    found = [seen.inverse_depth[:, None] for seen in annotate(*images)]  # (1, 1, h, w)
    sizes = [(image.height, image.width) for image in images]
    enlarged = [F.interpolate(one, size=s, mode="bilinear") for one, s in zip(found, sizes, strict=True)]
    return [one[0, 0].clamp(0, 1).numpy() for one in enlarged]


def predict_in_tiles(predict: Callable[[Sequence[Image.Image]], list[np.ndarray]], image: Image.Image, tile: int) -> np.ndarray:
    """The depth of a picture with the details of its tiles and the levels of the whole: (H, W) in [0, 1].

    Depth is relative within what a network sees. Each tile is brought to the scale and shift at which it is nearest to
    the whole, by least squares (R. Ranftl et al., 2020), and fades into the next.
    """
    if max(image.size) <= tile:
        return predict([image])[0]
    places = list(tiles(image.size, tile, tile // 4, blend=True))
    cuts = [image.crop((columns.start, rows.start, columns.stop, rows.stop)) for (rows, columns), _ in places]
    whole, *parts = predict([image, *cuts])
    total = np.zeros_like(whole)
    for part, (place, weight) in zip(parts, places, strict=True):
        total[place] += weight * align_tile(part, whole[place])
    from zeroconv.conditions.networks.depth import stretch

    return stretch(total)


def align_tile(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """A tile's depth on the levels of the whole; the whole itself where the tile contradicts it."""
    return align(part, whole) if float(((part - part.mean()) * whole).sum()) > 0 else whole


def depth_map(distance: np.ndarray) -> Image.Image:
    """A depth map from distances.

    Args:
        distance: (H, W), depth along the viewing axis in metres, infinity for the sky.
    """
    inverse = 1 / np.maximum(distance.astype(np.float32), NEAREST)  # the sky becomes 0
    top = max(float(np.percentile(inverse, TOP)), 1e-6)
    grey = (np.clip(inverse / top, 0, 1) * 255).astype(np.uint8)
    return to_map(grey)


def depth_metrics(
    image: Image.Image, condition: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu"
) -> Mapping[str, float]:
    """How well the depth of a generated picture agrees with its map, after the scale and shift that fit best.

    `depth delta1`: the share of pixels whose ratio is below 1.25 either way (D. Eigen et al., 2014), over the pixels that
    are not nearly black, as a ratio of the lowest levels says nothing; 0 when near and far are exchanged. `RMSE`: in
    [0, 1] of the map. `correlation`: negative counted as 0.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size.
        method: by which its depth is estimated again: "tiny" (pictures of the tiny world alone) or a network as in `depth`.
        weights: of the network.
        device: where it runs.

    Raises:
        ValueError: when sizes differ, or as `depth`.
        FileNotFoundError: as `depth`.
    """
    return reextract_and_score(
        predict_inverse_depth, score_depth, image, condition, method=method, weights=weights, device=device
    )


def score_depth(inverse: np.ndarray, condition: Image.Image) -> dict[str, float]:
    """The metrics of inverse depth (H, W) against a map."""
    wanted = np.asarray(condition.convert("L"), np.float32) / 255
    if not (wanted >= FAINT).any():
        said = f"this depth map is nearly black (at most {255 * wanted.max():.0f} of 255)"
        raise InputError(said, field="condition", hint="near is white")
    if inverse.std() < FLAT or wanted.std() < FLAT:
        equal = float(inverse.std() < FLAT and wanted.std() < FLAT)
        return {"depth delta1": equal, "RMSE": 1 - equal, "correlation": equal}
    correlation = max(0.0, float(np.corrcoef(inverse.ravel(), wanted.ravel())[0, 1]))
    scores = depth_scores(inverse, np.where(wanted < FAINT, 0, wanted))
    return {"depth delta1": scores.delta1 if correlation > 0 else 0.0, "RMSE": scores.rmse, "correlation": correlation}


def check(condition: Image.Image) -> list[Message]:
    """Warnings for a depth map: colour, lines, flat areas, texture, and, as a question, near and far exchanged."""
    colour = colour_fraction(condition)
    if colour > 0.05:
        return [
            Message(
                f"this map has colours ({colour:.0%} of it; a colour scale?), expected grey levels with near = white",
                "map.colours",
            )
        ]
    if line_like(condition):
        return [
            Message("this map is lines on black: a map of canny, lines or scribble? Expected depth in grey levels", "map.other")
        ]
    grey = np.asarray(condition.convert("L"), np.float32)
    if 0 < grey.max() < 32 and grey.std() > 0:
        said = f"this map is nearly black, at most {grey.max():.0f} of 255 (millimetres in 16 bits?), expected near = white"
        return [Message(said, "map.range")]
    if grey.std() < 2:
        return [Message("this map is flat: every pixel has about the same depth", "map.flat")]
    if levels := flat_levels(grey.astype(np.uint8)):
        said = f"this map looks like a map of classes or a mask: {levels} flat grey levels, expected smooth depth"
        return [Message(said, "map.classes")]
    textured, smooth = texture_fractions(condition)
    if textured > 0.43 or (textured > 0.15 and smooth < 0.3):
        said = f"this map looks like a photograph: {textured:.0%} of it has fine texture, expected smooth depth"
        return [Message(said, "map.picture")]
    top, ground = thirds(grey)
    if top > ground + HIGHER and mostly_near(grey, top - ground):
        said = f"is this map inverted? Its top is brighter ({top:.0f}) than its ground ({ground:.0f}), but near is white"
        return [Message(said, "map.inverted")]
    return []


def thirds(grey: np.ndarray) -> tuple[float, float]:
    """The mean levels of the upper and of the lower third of a map (H, W)."""
    third = max(1, len(grey) // 3)
    return float(grey[:third].mean()), float(grey[-third:].mean())


def mostly_near(grey: np.ndarray, higher: float) -> bool:
    """Whether much of a depth map lies at its near end, and clearly more than at its far end: far and near exchanged.

    Inverse distance is dark nearly everywhere, as what is far is large. So it is below a ceiling or a treetop that is near,
    whose bright top alone says nothing. Within a room, where nothing is far, half of the range on average and a top that much
    brighter than the ground tell it.

    Args:
        grey: (H, W), levels.
        higher: levels by which the top is brighter than the ground.
    """
    far, near = np.percentile(grey, (1, 99))
    middle = (grey.mean() - far) / max(near - far, 1)
    excess = float((grey >= near - ENDS).mean() - (grey <= far + ENDS).mean())
    return bool(middle > 0.45) and (excess > 0.1 or bool(middle > 0.48 and higher > MUCH_HIGHER))


def ground_truth(scene: RenderedScene) -> Image.Image:
    """The exact depth map of a rendered scene."""
    return depth_map(scene.distance)


DEPTH = Condition(
    name="depth",
    order=7,
    summary=f"distance, near = white (method {', '.join(METHODS)})",
    contract=Contract(
        summary="RGB map of the picture's size, grey levels: near = white, far and sky = black, relative within the picture.",
        polarity="near = white",
        channels=GREY,
        suits=(
            "lllyasviel/control_v11f1p_sd15_depth", "lllyasviel/sd-controlnet-depth",
            "thibaud/controlnet-sd21-depth-diffusers", "diffusers/controlnet-depth-sdxl-1.0",
            "xinsir/controlnet-depth-sdxl-1.0",
        ),
    ),
    extract=depth,
    score=depth_metrics,
    asks_nothing=("map.flat",),
    metric="depth delta1",
    check=check,
    general_purpose=False,
    batched=BatchedExtractor(predict_inverse_depth, render_map),
    ground_truth=ground_truth,
    weights=weights_of("depth"),
)  # fmt: skip

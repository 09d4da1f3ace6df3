"""Semantic segmentation in the colours of ADE20K: 150 classes (B. Zhou et al., 2017)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import BatchedExtractor, Condition, Contract, RenderedScene, reextract_and_score
from zeroconv.conditions.map_checks import extremes
from zeroconv.conditions.networks.weights import methods_of, weights_of
from zeroconv.conditions.palettes import IN_COCO, PALETTE, UNKNOWN, check_palette, is_coco, read_classes, snap
from zeroconv.conditions.raster.resizing import NEAREST
from zeroconv.conditions.raster.tiling import check_tile, tiles
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.metrics.segmentation import mean_iou

__all__ = [
    "METHODS", "PALETTE", "SEGMENTATION", "read_classes", "segmentation", "segmentation_map", "segmentation_metrics",
    "snap",
]  # fmt: skip

SMALLEST = 0.005  # of the map: smaller classes do not count beside larger ones
READABLE = 0.5  # share of a map whose colours are known, from which it can be scored
METHODS = ("tiny", *methods_of("segmentation"))


def segmentation(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> Image.Image:
    """The segmentation map of a picture: RGB in the colours of ADE20K, of the same size.

    Args:
        image: any picture.
        method: "tiny" (the embedded annotator, for pictures of the tiny world alone), "segformer", "mask2former" or
            "oneformer".
        weights: a folder or hub id instead of the published one.
        device: where a learned network runs.
        tile: pixels, 64 or more: a picture that is longer is looked at in overlapping tiles of this side, as networks
            see any picture at a few hundred pixels. None sees all pictures in one piece.

    Raises:
        ValueError: for an unknown method, a tile that is too small, or weights of another kind.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    return render_map(image, predict_classes([image], method, weights, device, tile)[0])


def render_map(_: Image.Image, classes: np.ndarray) -> Image.Image:
    """The map of classes (H, W)."""
    return segmentation_map(classes)


def predict_classes(
    images: Sequence[Image.Image],
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> list[np.ndarray]:
    """The ADE20K classes of each picture, (H, W); a network sees pictures of one size together."""
    if method not in METHODS:
        raise InputError(f"segmentation method is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    check_tile(tile)

    def predict(pictures: Sequence[Image.Image]) -> list[np.ndarray]:
        """Each in one piece."""
        if method == "tiny":
            return annotate_classes(pictures)
        from zeroconv.conditions.networks.segmentation import learned_classes

        return learned_classes(pictures, method, weights, device)

    return predict(images) if tile is None else [predict_in_tiles(predict, image, tile) for image in images]


def annotate_classes(images: Sequence[Image.Image]) -> list[np.ndarray]:
    """The classes of pictures of the tiny world."""
    from zeroconv.conditions.networks.annotator import CLASSES, annotate
    from zeroconv.conditions.networks.segmentation import argmax_at_size

    scores = [seen.class_logits for seen in annotate(*images)]
    found = [argmax_at_size(one, (image.height, image.width)) for one, image in zip(scores, images, strict=True)]
    return [np.array(CLASSES)[one] for one in found]


def predict_in_tiles(predict: Callable[[Sequence[Image.Image]], list[np.ndarray]], image: Image.Image, tile: int) -> np.ndarray:
    """The classes of a picture from its tiles, which meet in the middle of what they share: (H, W)."""
    if max(image.size) <= tile:
        return predict([image])[0]
    places = list(tiles(image.size, tile, tile // 4, blend=False))
    parts = predict([image.crop((columns.start, rows.start, columns.stop, rows.stop)) for (rows, columns), _ in places])
    classes = np.zeros((image.height, image.width), parts[0].dtype)
    for part, (place, mine) in zip(parts, places, strict=True):
        classes[place] = np.where(mine > 0.5, part, classes[place])
    return classes


def segmentation_map(classes: np.ndarray) -> Image.Image:
    """A segmentation map from class indices.

    Args:
        classes: (H, W), ADE20K indices 0 … 149 (wall 0, building 1, sky 2 …); others become black.
    """
    known = (classes >= 0) & (classes < len(PALETTE))
    rgb = PALETTE[np.where(known, classes, 0)]
    return Image.fromarray(np.where(known[..., None], rgb, 0).astype(np.uint8))


def segmentation_metrics(
    image: Image.Image, condition: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu"
) -> Mapping[str, float]:
    """How well the classes of a generated picture agree with those of its map.

    `mean IoU`: `|A n B| / |A u B|`, averaged over the classes of the map that cover at least 0.5 % of it, over all where
    none does. `accuracy`: the share of pixels with the map's class, of those that have one.

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size.
        method: by which it is segmented again: "tiny" (pictures of the tiny world alone) or a network as in
            `segmentation`, as OneFormer does in table 2 of the paper.
        weights: of the network.
        device: where it runs.

    Raises:
        InputError: for a map whose colours are mostly of no class.
        NothingAskedError: for a black map.
        ValueError: when sizes differ, or as `segmentation`.
        FileNotFoundError: as `segmentation`.
    """
    return reextract_and_score(predict_classes, score_classes, image, condition, method=method, weights=weights, device=device)


def score_classes(classes: np.ndarray, condition: Image.Image) -> dict[str, float]:
    """The metrics of classes (H, W) against a map; classes that share a colour are one."""
    found, wanted = read_classes(segmentation_map(classes)), read_classes(condition)
    known = wanted != UNKNOWN
    coloured = extremes(condition)[0] > 0
    if coloured.any() and float(known[coloured].mean()) < READABLE:
        if is_coco(condition):
            raise InputError(f"{IN_COCO}: it is scored by ADE20K's classes", field="condition")
        said = f"{1 - float(known.mean()):.0%} of this map has no colour of the ADE20K palette, so it cannot be read"
        raise InputError(
            said, field="condition", hint="`snap` takes the nearest colours of maps that were resized or kept as JPEG"
        )
    if not known.any():
        raise NothingAskedError("this segmentation map is black: no class is asked for", field="condition")
    accuracy = float((found == wanted)[known].mean())
    least = SMALLEST if any((wanted == one).mean() >= SMALLEST for one in np.unique(wanted[known])) else 0.0
    return {"mean IoU": mean_iou(found, wanted, UNKNOWN, least), "accuracy": accuracy}


def ground_truth(scene: RenderedScene) -> Image.Image:
    """The exact segmentation map of a rendered scene."""
    return segmentation_map(scene.classes)


SEGMENTATION = Condition(
    name="segmentation",
    order=6,
    aliases=("seg",),
    summary=f"ADE20K classes as colours (method {', '.join(METHODS)})",
    contract=Contract(
        summary="RGB map of the picture's size: each pixel the ADE20K palette colour of its class, without smoothing.",
        palette="the 150 colours of ADE20K alone; black, which is none of them, asks for nothing",
        suits=(
            "lllyasviel/control_v11p_sd15_seg", "lllyasviel/sd-controlnet-seg", "thibaud/controlnet-sd21-ade20k-diffusers",
        ),
    ),
    extract=segmentation,
    score=segmentation_metrics,
    metric="mean IoU",
    check=check_palette,
    resizing=NEAREST,
    general_purpose=False,
    batched=BatchedExtractor(predict_classes, render_map),
    ground_truth=ground_truth,
    weights=weights_of("segmentation"),
)  # fmt: skip

"""Semantic segmentation in the colours of ADE20K: 150 classes (B. Zhou et al., 2017)."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zeroconv.conditions.condition import BatchedExtractor, Condition, Contract, RenderedScene, reextract_and_score
from zeroconv.conditions.map_checks import extremes, pixel_fraction
from zeroconv.conditions.networks.weights import methods_of, weights_of
from zeroconv.conditions.raster.resizing import NEAREST
from zeroconv.conditions.raster.tiling import check_tile, tiles
from zeroconv.errors import InputError, NothingAskedError
from zeroconv.images import check_pixels
from zeroconv.messages import Message
from zeroconv.metrics.segmentation import mean_iou

__all__ = [
    "METHODS", "PALETTE", "SEGMENTATION", "read_classes", "segmentation", "segmentation_map", "segmentation_metrics",
    "snap",
]  # fmt: skip

SMALLEST = 0.005  # of the map: smaller classes do not count beside larger ones
READABLE = 0.5  # share of a map whose colours are known, from which it can be scored
METHODS = ("tiny", *methods_of("segmentation"))
PALETTE = np.frombuffer(
    bytes.fromhex(
        "787878 b47878 06e6e6 503232 04c803 787850 8c8c8c cc05ff e6e6e6 04fa07 e005ff ebff07 96053d 787846 08ff33 "
        "ff0652 8fff8c ccff04 ff3307 cc4603 0066c8 3de6fa ff0633 0b66ff ff0747 ff09e0 0907e6 dcdcdc ff095c 7009ff "
        "08ffd6 07ffe0 ffb806 0aff47 ff290a 07ffff e0ff08 6608ff ff3d06 ffc207 ff7a08 00ff14 ff0829 ff0599 0633ff "
        "eb0cff a09614 00a3ff 8c8c8c fa0a0f 14ff00 1fff00 ff1f00 ffe000 99ff00 0000ff ff4700 00ebff 00adff 1f00ff "
        "0bc8c8 ff5200 00fff5 003dff 00ff70 00ff85 ff0000 ffa300 ff6600 c2ff00 008fff 33ff00 0052ff 00ff29 00ffad "
        "0a00ff adff00 00ff99 ff5c00 ff00ff ff00f5 ff0066 ffad00 ff0014 ffb8b8 001fff 00ff3d 0047ff ff00cc 00ffc2 "
        "00ff52 000aff 0070ff 3300ff 00c2ff 007aff 00ffa3 ff9900 00ff0a ff7000 8fff00 5200ff a3ff00 ffeb00 08b8aa "
        "8500ff 00ff5c b800ff ff001f 00b8ff 00d6ff ff0070 5cff00 00e0ff 70e0ff 46b8a0 a300ff 9900ff 47ff00 ff00a3 "
        "ffcc00 ff008f 00ffeb 85ff00 ff00eb f500ff ff007a fff500 0abed4 d6ff00 00ccff 1400ff ffff00 0099ff 0029ff "
        "00ffcc 2900ff 29ff00 ad00ff 00f5ff 4700ff 7a00ff 00ffb8 005cff b8ff00 0085ff ffd600 19c2c2 66ff00 5c00ff "
    ),
    np.uint8,
).reshape(150, 3)
"""The colour of each ADE20K class, (150, 3). Classes 6 (road) and 48 (skyscraper) share theirs, as published."""

UNKNOWN = 255
"""The index of a colour that is no class's."""


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


def read_classes(condition: Image.Image) -> np.ndarray:
    """The class index of each pixel of a map, (H, W) uint8; 255 where the colour is no class's."""
    check_pixels(condition)
    rgb = np.asarray(condition.convert("RGB")).astype(np.int32)
    key = rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]
    colours = PALETTE.astype(np.int32)
    keys = colours[:, 0] << 16 | colours[:, 1] << 8 | colours[:, 2]
    order = np.argsort(keys, kind="stable")  # of two classes with one colour the first is found
    place = np.searchsorted(keys[order], key).clip(max=len(keys) - 1)
    return np.where(keys[order][place] == key, order[place], UNKNOWN).astype(np.uint8)


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
        said = f"{1 - float(known.mean()):.0%} of this map has no colour of the ADE20K palette, so it cannot be read"
        raise InputError(
            said, field="condition", hint="`snap` takes the nearest colours of maps that were resized or kept as JPEG"
        )
    if not known.any():
        raise NothingAskedError("this segmentation map is black: no class is asked for", field="condition")
    accuracy = float((found == wanted)[known].mean())
    least = SMALLEST if any((wanted == one).mean() >= SMALLEST for one in np.unique(wanted[known])) else 0.0
    return {"mean IoU": mean_iou(found, wanted, UNKNOWN, least), "accuracy": accuracy}


def snap(condition: Image.Image) -> Image.Image:
    """A map whose every colour is the nearest of ADE20K's palette (by squared RGB distance); black stays black.

    For maps that were resized smoothly or kept as JPEG. What is in the palette already is not changed.
    """
    rgb = np.asarray(condition.convert("RGB"))
    colours, where = np.unique(rgb.reshape(-1, 3), axis=0, return_inverse=True)
    known = np.concatenate([PALETTE, np.zeros((1, 3), np.uint8)]).astype(np.float32)  # black: no class
    squares = (known**2).sum(axis=1)
    nearest = [(squares - 2 * (part @ known.T)).argmin(axis=1) for part in np.array_split(colours, 1 + len(colours) // 8192)]
    return Image.fromarray(known.astype(np.uint8)[np.concatenate(nearest)][where.reshape(rgb.shape[:2])])


def check(condition: Image.Image) -> list[Message]:
    """Warnings for a segmentation map: colours that are not ADE20K's, channels in the wrong order, black."""
    foreign = float((read_classes(condition) == UNKNOWN).mean())
    if foreign <= 0.02:
        return []
    red, green, blue = condition.convert("RGB").split()
    swapped = float((read_classes(Image.merge("RGB", (blue, green, red))) == UNKNOWN).mean())
    if swapped <= 0.02 and foreign > 0.1:
        return [
            Message(
                f"this map looks BGR: {foreign:.0%} of its colours are in the ADE20K palette only with red and blue swapped",
                "map.channels",
            )
        ]
    black = pixel_fraction(condition, lambda rgb: rgb.max(axis=2) == 0)
    if black > 0.98:
        return [Message("this map is black, which is no class of the ADE20K palette: nothing is asked for", "map.empty")]
    if black > 0.5 * foreign:
        return [
            Message(
                f"{black:.0%} of this map is black, which is no class of the ADE20K palette: nothing is asked for there",
                "map.palette",
            )
        ]
    return [
        Message(
            f"colours not in the ADE20K palette on {foreign:.0%} of this map (resized or JPEG?): `snap` takes the nearest",
            "map.palette",
        )
    ]


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
    check=check,
    resizing=NEAREST,
    general_purpose=False,
    batched=BatchedExtractor(predict_classes, render_map),
    ground_truth=ground_truth,
    weights=weights_of("segmentation"),
)  # fmt: skip

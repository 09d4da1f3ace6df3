"""Surface normals as colours, in the convention of ControlNet 1.1: blue front, red left, green top."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from zeroconv.conditions.condition import BatchedExtractor, Condition, Contract, RenderedScene, reextract_and_score
from zeroconv.conditions.map_checks import bend_correlation
from zeroconv.conditions.networks.weights import methods_of, weights_of
from zeroconv.conditions.raster.resizing import Box, Resizing, Size, resample_linear
from zeroconv.errors import InputError
from zeroconv.images import check_pixels
from zeroconv.messages import Message
from zeroconv.metrics.geometry import angle_scores

__all__ = ["CONVENTIONS", "NORMAL", "normal", "normal_map", "normal_metrics", "normals_from_depth", "read_normals"]

METHODS = ("tiny", *methods_of("normal"), *methods_of("depth"))
CONVENTIONS = ("bae", "v1.0")
"""ControlNet 1.1's colours (named after G. Bae's estimator), and the same with the channels reversed for v1.0 models."""
AGREEMENT = "normals met (1 - mean angle / 90°)"
FACING = (128, 128, 255)  # the colour of no surface
BACKDROP = (2, 16)  # sky and mountains, ADE20K's classes of what has no surface in the tiny world


def normal(
    image: Image.Image,
    method: str = "tiny",
    weights: str | Path | None = None,
    background: float = 0.1,
    strength: float = 2.0,
    convention: str = "bae",
    device: str = "cpu",
    tile: int | None = None,
) -> Image.Image:
    """The normal map of a picture: RGB, of the same size.

    Args:
        image: any picture.
        method: a network that sees normals: "tiny" (the embedded annotator, for pictures of the tiny world alone),
            "marigold" (any picture) or "sapiens2" (people); or one whose depth has slopes: "depth-anything" or "dpt".
        weights: a folder or hub id instead of the published one.
        background: depth in [0, 1], near = 1, below which everything faces the camera; for methods by depth.
        strength: how steep a surface looks; above 0; for methods by depth.
        convention: "bae" or "v1.0", see `CONVENTIONS`.
        device: where a learned network runs.
        tile: of a large picture, as for `depth`; for methods by depth.

    Raises:
        ValueError: for an unknown method or convention, or a number out of range.
        FileNotFoundError: when weights are not here and cannot be fetched.
    """
    check_numbers(background, strength, convention)
    return render_map(image, predict_normals([image], method, weights, device, tile)[0], background, strength, convention)


def predict_normals(
    images: Sequence[Image.Image],
    method: str = "tiny",
    weights: str | Path | None = None,
    device: str = "cpu",
    tile: int | None = None,
) -> Sequence[np.ndarray]:
    """The normals of each picture, (H, W, 3), or its depth, (H, W); a network sees pictures of one size together."""
    if method not in METHODS:
        raise InputError(f"normal method is {method!r}; expected one of {', '.join(METHODS)}", field="method")
    if method in methods_of("depth"):
        from zeroconv.conditions.depth import predict_inverse_depth

        return predict_inverse_depth(images, method, weights, device, tile)
    if tile is not None:
        raise InputError(f"method {method} looks at a picture in one piece; expected no tile, got {tile}", field="tile")
    if method == "tiny":
        return annotate_normals(images)
    from zeroconv.conditions.networks.normal import learned_normals

    return [learned_normals(image, method, weights, device) for image in images]


def render_map(_: Image.Image, found: np.ndarray, background: float, strength: float, convention: str) -> Image.Image:
    """The map of normals, (H, W, 3), or of depth, (H, W)."""
    check_numbers(background, strength, convention)
    return normal_map(found if found.ndim == 3 else normals_from_depth(found, background, strength), convention)


def annotate_normals(images: Sequence[Image.Image]) -> list[np.ndarray]:
    """Normals of pictures of the tiny world: (H, W, 3) float32 unit vectors, (0, 0, 0) in sky and mountains."""
    import torch
    from torch.nn import functional as F

    from zeroconv.conditions.networks.annotator import CLASSES, annotate

    behind, made = [CLASSES.index(index) for index in BACKDROP], list[np.ndarray]()
    for answer, image in zip(annotate(*images), images, strict=True):
        far = answer.class_logits.softmax(1)[:, behind].sum(1, keepdim=True)
        found = torch.cat([answer.normals, far], 1)  # (1, 4, h, w)
        *vectors, far = F.interpolate(found, size=(image.height, image.width), mode="bilinear")[0]
        made.append((F.normalize(torch.stack(vectors, 2), dim=2) * (far < 0.5)[..., None]).numpy())
    return made


def check_numbers(background: float, strength: float, convention: str) -> None:
    """Refuse what makes no sense."""
    if not 0 <= background <= 1:
        raise InputError(f"background is {background}; expected 0 … 1", field="background")
    if not 0 < strength <= 100:
        raise InputError(f"strength is {strength}; expected more than 0, at most 100 (2 is usual)", field="strength")
    check_convention(convention)


def check_convention(convention: str) -> None:
    """Refuse an unknown convention."""
    if convention not in CONVENTIONS:
        raise InputError(f"normal convention is {convention!r}; expected one of {', '.join(CONVENTIONS)}", field="convention")


def normal_map(normals: np.ndarray, convention: str = "bae") -> Image.Image:
    """A normal map from unit vectors.

    Args:
        normals: (H, W, 3) in the camera's frame: x to the right, y up, z away from the camera; (0, 0, 0) for no
            surface (the sky), which becomes the colour of a surface that faces the camera.
        convention: "bae" (red left, green top, blue front) or "v1.0" (the channels reversed).

    Raises:
        ValueError: for an unknown convention.
    """
    check_convention(convention)
    x, y, z = np.moveaxis(normals.astype(np.float32), -1, 0)
    nothing = (x == 0) & (y == 0) & (z == 0)
    # red = left, green = top, blue = towards the camera
    colours = np.stack([-x, y, np.where(nothing, 1.0, -z)], axis=-1) * 0.5 + 0.5
    pixels = (colours * 255).round().clip(0, 255).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels[..., ::-1]) if convention == "v1.0" else pixels)


def read_normals(condition: Image.Image, convention: str = "bae") -> np.ndarray:
    """The unit vectors of a normal map, (H, W, 3) in the camera's frame: the inverse of `normal_map`.

    Raises:
        ValueError: for an unknown convention.
    """
    check_convention(convention)
    colours = np.asarray(condition.convert("RGB"), np.float32)[..., :: -1 if convention == "v1.0" else 1]
    vectors = (colours / 127.5 - 1) * np.array([-1, 1, -1], np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-6)


def normals_from_depth(depth: np.ndarray, background: float = 0.1, strength: float = 2.0) -> np.ndarray:
    """Normals from relative inverse depth, as ControlNet v1.0 makes them: Sobel's slopes, and a constant to the front.

    The slopes are per longer side of the picture, so that a map does not depend on its resolution.

    Args:
        depth: (H, W) in [0, 1], near = 1.
        background: depth below which everything faces the camera.
        strength: slope of the surface for a slope of 1 in depth across the picture.

    Returns:
        (H, W, 3) unit vectors in the camera's frame, float32.
    """
    import cv2

    # continued in a straight line beyond the border, so that a plane has one normal
    padded = np.pad(depth.astype(np.float32), 1, mode="reflect", reflect_type="odd")
    per_side = max(depth.shape) / 8 * strength  # a Sobel filter counts a step of 1 eightfold
    right, down = (cv2.Sobel(padded, cv2.CV_32F, *axes, ksize=3)[1:-1, 1:-1] * per_side for axes in ((1, 0), (0, 1)))
    far = depth < background
    x, y = np.where(far, 0, -right), np.where(far, 0, down)  # nearer at the right: the surface faces left
    vectors = np.stack([x, y, -np.ones_like(x)], axis=-1)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def resample_normals(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Means of normals have less than unit length; the direction is kept and the length restored."""
    vectors = np.asarray(resample_linear(image, size, box), np.float32) / 127.5 - 1  # (H, W, 3)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit = np.where(length > 0.1, vectors / np.maximum(length, 0.1), np.array([0, 0, 1], np.float32))
    return Image.fromarray(((unit * 0.5 + 0.5) * 255).round().clip(0, 255).astype(np.uint8))


def mirror_normals(image: Image.Image) -> Image.Image:
    """The map of the mirrored picture: what faced left faces right, so red, which says so, is turned round."""
    red, green, blue = ImageOps.mirror(image.convert("RGB")).split()
    return Image.merge("RGB", (ImageOps.invert(red), green, blue))


def normal_metrics(
    image: Image.Image, condition: Image.Image, method: str = "tiny", weights: str | Path | None = None, device: str = "cpu"
) -> Mapping[str, float]:
    """How well the normals of a generated picture agree with those of its map, in the colours of ControlNet 1.1.

    1 - the mean angle in units of 90 degrees, at least 0; the mean and the median angle in degrees; the share of pixels
    within 11.25, 22.5 and 30 degrees (D. Fouhey et al., 2013).

    Args:
        image: the generated picture.
        condition: the map it was given, of the same size.
        method: by which its normals are estimated again: "tiny" (pictures of the tiny world alone) or a network as in
            `normal`.
        weights: of the network.
        device: where it runs.

    Raises:
        ValueError: when sizes differ, or as `normal`.
        FileNotFoundError: as `normal`.
    """
    return reextract_and_score(predict_normals, score_normals, image, condition, method=method, weights=weights, device=device)


def score_normals(found: np.ndarray, condition: Image.Image) -> dict[str, float]:
    """The metrics of normals (H, W, 3) or depth (H, W), rounded as on a map, against a map."""
    rendered = normal_map(found if found.ndim == 3 else normals_from_depth(found))
    scores = angle_scores(read_normals(rendered), read_normals(condition))
    return {
        AGREEMENT: max(0.0, 1 - scores.mean / 90),
        "mean angle": scores.mean,
        "median angle": scores.median,
        "within 11.25°": scores.within_11,
        "within 22.5°": scores.within_22,
        "within 30°": scores.within_30,
    }


def check(condition: Image.Image) -> list[Message]:
    """Warnings for a normal map: no unit vectors, red and blue swapped, and, as questions, green upside down, red flipped.

    What is seen faces the camera, so blue is hardly ever below one half: if red is that instead, they are swapped.
    """
    check_pixels(condition)
    rgb = np.asarray(condition.convert("RGB"), np.float32)
    odd = float((np.abs(np.linalg.norm(rgb / 127.5 - 1, axis=-1) - 1) > 0.15).mean())
    if odd > 0.3:
        return [
            Message(
                f"{odd:.0%} of this map are no unit vectors, expected surface normals (blue front, red left, green top)",
                "map.no-unit-vectors",
            )
        ]
    red, _, blue = rgb.mean(axis=(0, 1)).tolist()
    if red > blue + 20 and (rgb[..., 0] > 110).mean() > 0.95:
        return [
            Message(
                f"this map looks BGR, as v1.0 models read it: red ({red:.0f}) outweighs blue ({blue:.0f}), expected blue front",
                "map.channels",
            )
        ]
    third = max(1, len(rgb) // 3)
    top, ground = float(rgb[:third, :, 1].mean()), float(rgb[-third:, :, 1].mean())
    if ground < 108 and top > ground + 20:
        return [
            Message(
                f"is green upside down on this map? The ground ({ground:.0f}) is less green than the top ({top:.0f})",
                "map.upside-down",
            )
        ]
    if bend_correlation(read_normals(condition)) < -0.12:
        said = "is red (or green) flipped on this map? Its surfaces bend as none can, expected red left, green top"
        return [Message(said, "map.mirrored")]
    return []


def random_relief(generator: np.random.Generator, method: str = "tiny") -> Mapping[str, float]:
    """Parameters for one training sample by depth: strength 1 … 4, as often below as above 2, background 0.05 … 0.2."""
    if method not in methods_of("depth"):
        return {}
    return {"strength": 4.0 ** float(generator.random()), "background": float(generator.uniform(0.05, 0.2))}


def ground_truth(scene: RenderedScene) -> Image.Image:
    """The exact normal map of a rendered scene."""
    return normal_map(scene.normals)


NORMAL = Condition(
    name="normal",
    order=8,
    summary=f"surface normals as colours (method {', '.join(METHODS)})",
    contract=Contract(
        summary="RGB map of the picture's size: red = left, green = top, blue = towards the camera (ControlNet 1.1).",
        palette="unit vectors, -1 … 1 as 0 … 255",
        channels="red = left, green = top, blue = towards the camera; lllyasviel/sd-controlnet-normal reads them reversed",
        suits=(
            "lllyasviel/control_v11p_sd15_normalbae", "thibaud/controlnet-sd21-normalbae-diffusers",
        ),
    ),
    extract=normal,
    score=normal_metrics,
    metric=AGREEMENT,
    draw_parameters=random_relief,
    check=check,
    resizing=Resizing(resample_normals, FACING),
    mirror=mirror_normals,
    general_purpose=False,
    batched=BatchedExtractor(predict_normals, render_map),
    ground_truth=ground_truth,
    weights=weights_of("normal"),
)  # fmt: skip

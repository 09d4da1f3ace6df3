"""The prompt check: are the things that a caption of the tiny world names in the picture, in the colours it says?

The annotator says where each class is, the world's own tables say what each colour looks like in the light of the scene.
What no class tells apart is not judged: a ball counts for an apple, a cone for a cylinder, a van for a car; neither are
words that were left unread (`PromptCheck.unread`): numbers, patterns, poses, hair, a chimney.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zeroconv.conditions.networks.annotator import CLASSES, annotate
from zeroconv.conditions.networks.segmentation import argmax_at_size
from zeroconv.evaluation.prompt_findings import Finding, PromptCheck
from zeroconv.evaluation.regions import FEW, region_of
from zeroconv.metrics.colour import colour_shares
from zeroconv.metrics.masks import connected_parts, interior
from zeroconv.world.appearance import Looks, colour_looks, sky_looks
from zeroconv.world.geometry.palette import Label
from zeroconv.world.mentions import Mention, read_caption

__all__ = ["Seen", "check_caption", "check_prompts", "look_at"]

SMALLEST = 0.002
"""Share of the picture from which a class is there: what captions name covers 0.0035, stray pixels seldom 0.002."""
COLOURED = 0.3
"""Share of a thing's pixels that must look like its colour: textures, glass, wheels and shade take the others."""
INDOORS = 0.2
"""Share of wall, floor and ceiling from which a picture without a sky is one of a room."""
MOST_PIXELS = 1024
"""As many pixels of a region, evenly chosen, are looked at."""


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture and what the annotator sees in it.

    Attributes:
        rgb: (H, W, 3) uint8.
        classes: (H, W) ADE20K classes.
        joints: (18, 2) positions in pixels, of a person if there is one.
    """

    rgb: np.ndarray
    classes: np.ndarray
    joints: np.ndarray


def check_prompts(captions: Sequence[str], images: Sequence[Image.Image]) -> list[PromptCheck]:
    """Check pictures of the tiny world against their captions.

    Args:
        captions: one for each picture.
        images: RGB, of any size; the annotator looks at them at 128 x 128.
    """
    return [check_caption(caption, seen) for caption, seen in zip(captions, look_at(images), strict=True)]


def look_at(images: Sequence[Image.Image]) -> list[Seen]:
    """What the annotator sees."""
    seen: list[Seen] = []
    for image, found in zip(images, annotate(*images), strict=True):
        classes = np.array(CLASSES)[argmax_at_size(found.class_logits, (image.height, image.width))]
        size: Tensor = torch.tensor([image.width, image.height])
        seen.append(Seen(np.asarray(image.convert("RGB")), classes, (found.joints()[0, :, :2] * size).numpy()))
    return seen


def check_caption(caption: str, seen: Seen) -> PromptCheck:
    """Look for everything that a caption names."""
    read = read_caption(caption)
    light = light_in(seen)
    findings: dict[int, Finding] = {}
    groups: dict[tuple[Label, str], list[int]] = {}
    for index, mention in enumerate(read.mentions):
        groups.setdefault((mention.label, mention.place), []).append(index)
    for indices in groups.values():
        mentions = [read.mentions[index] for index in indices]
        findings |= dict(zip(indices, find_group(mentions, seen, light), strict=True))
    return PromptCheck(tuple(findings[index] for index in range(len(read.mentions))), read.unread)


def find_group(mentions: Sequence[Mention], seen: Seen, light: str) -> list[Finding]:
    """Look for things of one class and place.

    Several are found one by one where they are apart from each other, or touch but have the colours that were said.
    """
    first, count = mentions[0], len(mentions)
    there = seen.classes == first.label
    if there.mean() < SMALLEST:
        return [Finding(mention, False, None if mention.colour is None else False) for mention in mentions]
    region = region_of(first.place, there, seen.joints)
    apart = connected_parts(region, SMALLEST) if count > 1 else []
    looks = colour_looks(first.place, light)
    shares = shares_in(seen.rgb, region, looks) * count
    for piece in apart:
        shares = np.maximum(shares, shares_in(seen.rgb, piece, looks))
    least = shares.max() if first.place in ("sky", "ground") else COLOURED
    right = [None if m.colour is None else bool(shares[looks.names.index(m.colour)] >= least) for m in mentions]
    colours = {mention.colour for mention, is_right in zip(mentions, right, strict=True) if is_right}
    most = count if first.is_part else max(len(apart), len(colours), 1)
    best = sorted(range(count), key=lambda i: right[i] is False)[:most]  # those of a wrong colour are missing first
    return [Finding(m, i in best, None if right[i] is None else right[i] and i in best) for i, m in enumerate(mentions)]


def light_in(seen: Seen) -> str:
    """The light of a scene, from its sky or the lack of it: one of `LIGHTS`."""
    sky = seen.classes == Label.SKY
    if sky.mean() >= SMALLEST:
        looks = sky_looks()
        return looks.names[int(shares_in(seen.rgb, sky, looks).argmax())]
    room = np.isin(seen.classes, (Label.WALL, Label.FLOOR, Label.CEILING)).mean() >= INDOORS
    return "indoors" if room else "day"


def shares_in(rgb: np.ndarray, region: np.ndarray, looks: Looks) -> np.ndarray:
    """The share of a region's pixels, away from its border where it is large enough, that looks like each name."""
    pixels = rgb[interior(region, FEW)]
    return colour_shares(pixels[:: max(len(pixels) // MOST_PIXELS, 1)] / 255, looks.rgb, looks.index)

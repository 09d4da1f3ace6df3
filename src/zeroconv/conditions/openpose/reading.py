"""Joints read back from a pose map, and whether a map is one: limbs that meet their own joints, hands, or a face."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zeroconv.conditions.openpose.drawing import BONE_COLOURS, COLOURS, JOINTS, LIMBS, limb_colour

__all__ = ["PoseMap", "read_joints"]

TOLERANCE = 24  # levels in all
LIT = 40  # of the brightest channel, from which a pixel is part of a drawing
KNOWN = np.array([*COLOURS, *(limb_colour(colour) for colour in COLOURS[: len(LIMBS)])], np.int32)
MOST_COLOURS = 50_000
"""A map of more colours than this is a photograph."""


@dataclass(frozen=True)
class LimbCounts:
    """Limbs on a map, by their colours.

    Attributes:
        total: how many there are.
        met: how many meet both of their own joints.
        touched: how many meet one or both.
    """

    total: int
    met: int
    touched: int

    def are_a_skeleton(self, share: float = 0.6) -> bool:
        """Whether they join what they should; a joint may be covered by a hand, a face or another person.

        Args:
            share: of the limbs that must meet both of their joints.
        """
        if not self.total:
            return False
        enough = share if self.total > 2 else 0.5
        return self.met >= enough * self.total or (self.touched >= 0.9 * self.total and self.met >= 0.4 * self.total)


@dataclass(frozen=True)
class PoseMap:
    """A map as its colours say it.

    Attributes:
        rgb: (H, W, 3), uint8.
        tolerance: levels in all by which a colour may differ.
    """

    rgb: NDArray[np.uint8]
    tolerance: int = TOLERANCE

    @classmethod
    def of(cls, condition: Image.Image, tolerance: int = TOLERANCE) -> "PoseMap":
        """That of a picture."""
        return cls(np.asarray(condition.convert("RGB")), tolerance)

    @cached_property
    def brightest(self) -> NDArray[np.uint8]:
        """The brightest channel of each pixel: (H, W)."""
        return np.maximum(np.maximum(self.rgb[..., 0], self.rgb[..., 1]), self.rgb[..., 2])

    @cached_property
    def darkest(self) -> NDArray[np.uint8]:
        """The darkest channel of each pixel: (H, W)."""
        return np.minimum(np.minimum(self.rgb[..., 0], self.rgb[..., 1]), self.rgb[..., 2])

    @cached_property
    def lit(self) -> NDArray[np.bool_]:
        """Where something is drawn: (H, W)."""
        return self.brightest >= LIT

    @cached_property
    def classes(self) -> NDArray[np.int8]:
        """Of each pixel the joint (0 … 17) or 18 + the limb (0 … 16) whose colour it has, -1 for none: (H, W).

        All are -1 on a photograph.
        """
        found = np.full(self.rgb.shape[:2], -1, np.int8)
        where = self.brightest > 0
        packed = self.rgb[where].astype(np.int32) @ np.array([65536, 256, 1])
        colours, index = np.unique(packed, return_inverse=True)
        if 0 < len(colours) <= MOST_COLOURS:
            parts = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)
            distances = np.abs(parts[:, None, :] - KNOWN).sum(axis=2)
            found[where] = np.where(distances.min(axis=1) <= self.tolerance, distances.argmin(axis=1), -1)[index]
        return found

    def joints(self) -> dict[int, tuple[float, float]]:
        """Where the joints of a body are: index to (x, y) in [0, 1].

        Hands are drawn in these colours too: a joint is the largest spot that lies where a limb of its own ends.
        """
        import cv2

        height, width = self.classes.shape
        side = 4 * max(1, round(min(width, height) / 64)) + 1  # a disc is within half of it
        found: dict[int, tuple[float, float]] = {}
        for index in range(len(JOINTS)):
            spots = self.classes == index
            if spots.any():
                own = [len(JOINTS) + limb for limb, pair in enumerate(LIMBS) if index in pair]
                ends = np.zeros(spots.shape, np.uint8)  # how many of its limbs end there
                for limb in own:
                    solid = cv2.erode(
                        (self.classes == limb).astype(np.uint8), np.ones((2, 2), np.uint8)
                    )  # no bright thing's rim
                    ends += cv2.dilate(solid, np.ones((side, side), np.uint8))
                ending = spots & (ends > 0)
                _, labels, sizes, _ = cv2.connectedComponentsWithStats((ending if ending.any() else spots).astype(np.uint8))
                limbs = np.zeros(len(sizes), np.uint8)
                np.maximum.at(limbs, labels.ravel(), ends.ravel())
                best = max(range(1, len(sizes)), key=lambda one: (limbs[one], sizes[one, cv2.CC_STAT_AREA]))
                ys, xs = np.nonzero(labels == best)
                found[index] = ((float(np.median(xs)) + 0.5) / width, (float(np.median(ys)) + 0.5) / height)
        return found

    def known_fraction(self) -> float:
        """The share of what is drawn that has the colour of a joint or a limb."""
        return float((self.classes[self.lit] >= 0).mean()) if self.lit.any() else 0.0

    def reduced(self) -> "PoseMap":
        """What is drawn, cut out, and so many pixels left out that its longer side is at most 384: enough for `count_limbs`."""
        rows, columns = (np.nonzero(self.lit.any(axis=axis))[0] for axis in (1, 0))
        if not len(rows):
            return self
        part = self.rgb[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        step = -(-max(part.shape[:2]) // 384)
        return PoseMap(np.ascontiguousarray(part[::step, ::step]), self.tolerance)

    def count_limbs(self) -> "LimbCounts":
        """How many limbs (colours) there are, and how many meet their own joints."""
        import cv2

        reach = max(7, round(max(self.classes.shape) / 24)) | 1
        kernel = np.ones((reach, reach), np.uint8)
        present = {int(index): self.classes == index for index in np.unique(self.classes) if index >= 0}
        least = 3 if max(self.rgb.shape) <= 128 else 10  # the rim of a joint that stands alone has the colour of a limb
        met = touched = total = 0
        for limb, ends in enumerate(LIMBS):
            spots = present.get(len(JOINTS) + limb)
            if spots is None or spots.sum() < least:
                continue
            total += 1
            around = cv2.dilate(spots.astype(np.uint8), kernel) > 0
            found = [end in present and bool((around & present[end]).any()) for end in ends]
            met, touched = met + all(found), touched + any(found)
        return LimbCounts(total, met, touched)

    def has_single_joints(self) -> bool:
        """Whether nothing but small discs in the colours of joints is drawn, as of people seen in part."""
        import cv2

        count, _, stats, _ = cv2.connectedComponentsWithStats(self.lit.astype(np.uint8))
        sides = np.maximum(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT])
        named = float((self.classes[self.lit] >= 0).mean()) if self.lit.any() else 0.0
        return 1 < count <= 1 + len(JOINTS) and bool((sides <= max(10, min(self.lit.shape) / 16)).all()) and named > 0.3

    def has_hands(self) -> bool:
        """Whether there are bones of hands: several hues side by side with blue joints."""
        drawn = self.rgb[self.lit].astype(np.int32)
        if not len(drawn):
            return False
        hues = [bool((np.abs(drawn - np.array(colour)).sum(axis=1) <= TOLERANCE).sum() >= 2) for colour in BONE_COLOURS]
        blue = np.abs(drawn - np.array((0, 0, 255))).sum(axis=1) <= TOLERANCE
        return sum(hues) >= 8 and float(blue.mean()) > 0.05

    def has_face(self) -> bool:
        """Whether there are white dots, many and all small, as of faces; apart, or so near that they touch."""
        import cv2

        white = (self.darkest > 200).astype(np.uint8)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
        cores = cv2.erode(white, disc)
        covered = (cv2.dilate(cores, disc) > 0) & (white > 0)
        return are_dots(white) or (float(covered.sum()) > 0.8 * float(white.sum()) and are_dots(np.asarray(cores, np.uint8)))


def are_dots(white: np.ndarray) -> bool:
    """Whether what is 1 in (H, W), uint8, are five dots or more and hardly anything else: small, filled, as wide as high."""
    import cv2

    count, _, stats, _ = cv2.connectedComponentsWithStats(white)
    if count - 1 < 5:
        return False
    sides = stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]
    largest = np.maximum(*sides)
    filled = stats[1:, cv2.CC_STAT_AREA] / (sides[0] * sides[1])
    small = largest <= max(10, min(white.shape) / 40)
    return float((small & (filled > 0.5) & (np.minimum(*sides) * 2.5 >= largest)).mean()) > 0.8


def read_joints(condition: Image.Image) -> dict[int, tuple[float, float]]:
    """Where a pose map has the joints of its body: index to (x, y) in [0, 1]."""
    return PoseMap.of(condition).joints()

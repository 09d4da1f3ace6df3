"""The joints of a person in one of eight poses.

Body frame: x to the person's left, y up, the face towards -z; metres, for a body 1.7 m tall.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from zeroconv.world.geometry.vectors import Floats
from zeroconv.world.things.draw import Draw

Pose = Literal[
    "standing",
    "waving",
    "walking",
    "running",
    "with both arms raised",
    "with arms spread wide",
    "with hands on hips",
    "sitting",
]
POSES: tuple[Pose, ...] = (
    "standing",
    "waving",
    "walking",
    "running",
    "with both arms raised",
    "with arms spread wide",
    "with hands on hips",
    "sitting",
)
LEFT, RIGHT = 1, -1
"""Sides of the body, as signs of x."""
UPPER_ARM, FOREARM, LEG = 0.28, 0.26, 0.42
Arm = tuple[Floats, Floats]
"""Elbow and wrist, each (3,)."""


@dataclass(frozen=True, eq=False)
class Limbs:
    """Joints (3,) of one side of the body."""

    shoulder: Floats
    elbow: Floats
    wrist: Floats
    hip: Floats
    knee: Floats
    ankle: Floats


@dataclass(frozen=True, eq=False)
class Skeleton:
    """Joints of a body: its middle (3,) each, and its two sides.

    Attributes:
        lift: how far the body must be raised, metres, for its lower ankle to be at standing height.
    """

    pelvis: Floats
    neck: Floats
    head: Floats
    limbs: dict[int, Limbs]
    lift: float


def skeleton(draw: Draw, pose: Pose) -> Skeleton:
    """A skeleton in the given pose, varied a little."""
    height = 0.50 if pose == "sitting" else 0.92
    lean = draw.normal(0.04) + (0.16 if pose == "running" else 0)
    pelvis = np.array([0, height, 0])
    up = np.array([draw.normal(0.03), 1, -lean])
    up /= np.linalg.norm(up)
    neck = pelvis + up * 0.52
    shoulders: dict[int, Floats] = {side: neck + np.array([side * 0.19, -0.03, 0]) for side in (LEFT, RIGHT)}
    hips = {side: pelvis + np.array([side * 0.105, 0, 0]) for side in (LEFT, RIGHT)}
    arms, stride = _arms(draw, pose, shoulders, height)
    legs = {side: _leg(draw, pose, hips[side], side, stride) for side in (LEFT, RIGHT)}
    lift = 0.07 - min(legs[LEFT][1][1], legs[RIGHT][1][1])
    limbs = {side: Limbs(shoulders[side], *arms[side], hips[side], *legs[side]) for side in (LEFT, RIGHT)}
    return Skeleton(pelvis, neck, neck + up * 0.23, limbs, float(lift))


def _arm(shoulder: Floats, side: int, raised: float, swing: float, raised_2: float, swing_2: float) -> Arm:
    """Elbow and wrist from angles: sideways from straight down, then forward; of both arm bones."""

    def direction(out: float, forward: float) -> Floats:
        across = side * np.sin(out)
        return np.array([across, -np.cos(out) * np.cos(forward), -np.sin(forward) * np.cos(out)])

    elbow = shoulder + direction(raised, swing) * UPPER_ARM
    return elbow, elbow + direction(raised_2, swing_2) * FOREARM


def _arms(draw: Draw, pose: Pose, shoulders: dict[int, Floats], hips: float) -> tuple[dict[int, Arm], float]:
    """Both arms, and the stride: the swing of the left leg, radians."""
    n = draw.normal

    def arm(side: int, raised: float, swing: float, raised_2: float, swing_2: float) -> Arm:
        return _arm(shoulders[side], side, raised, swing, raised_2, swing_2)

    stride = n(0.1)
    # Both arms hang first, whatever the pose: these draws are part of every person.
    arms = {s: arm(s, 0.14 + abs(n(0.1)), n(0.12), 0.10 + n(0.1), 0.15 + abs(n(0.15))) for s in (LEFT, RIGHT)}
    active = LEFT if draw.chance(0.5) else RIGHT
    if pose == "waving":
        arms[active] = arm(active, 1.5 + n(0.2), 0.1, 2.75 + n(0.25), 0.1)
    elif pose in ("walking", "running"):
        stride = (0.45 + abs(n(0.1))) * active * (1.5 if pose == "running" else 1)
        bend = 1.5 if pose == "running" else 0.3
        arms = {s: arm(s, 0.12, -s * stride, 0.1, -s * stride + bend) for s in (LEFT, RIGHT)}
    elif pose == "with both arms raised":
        tilt = n(0.15)
        arms = {s: arm(s, 2.5 + s * tilt, 0, 2.8 + n(0.15), 0.1) for s in (LEFT, RIGHT)}
    elif pose == "with arms spread wide":
        arms = {s: arm(s, 1.5 + n(0.08), 0, 1.55 + n(0.15), 0) for s in (LEFT, RIGHT)}
    elif pose == "with hands on hips":
        arms = {s: (np.array([s * 0.43, hips + 0.30, 0.06]), np.array([s * 0.16, hips + 0.10, -0.06])) for s in (LEFT, RIGHT)}
    elif pose == "sitting":
        arms = {s: arm(s, 0.15, 0.5 + n(0.1), -0.15, 1.1 + n(0.1)) for s in (LEFT, RIGHT)}
    return arms, stride


def _leg(draw: Draw, pose: Pose, hip: Floats, side: int, stride: float) -> tuple[Floats, Floats]:
    """Knee and ankle (3,)."""
    if pose == "sitting":
        knee = hip + np.array([side * 0.06 + draw.normal(0.03), 0.0, -0.40])
        return knee, knee + np.array([draw.normal(0.03), -0.44, -0.06 + draw.normal(0.06)])
    if pose in ("walking", "running"):
        thigh = stride * side
        shin = thigh - (0.35 if pose == "walking" else 0.9) * (1 if thigh < 0 else 0.25)
        knee = hip + np.array([0.01 * side, -LEG * np.cos(thigh), -LEG * np.sin(thigh)])
        return knee, knee + np.array([0, -LEG * np.cos(shin), -LEG * np.sin(shin)])
    spread = 0.05 + abs(draw.normal(0.07))
    knee = hip + np.array([side * spread * 0.5, -0.43, -0.02])
    return knee, knee + np.array([side * spread * 0.5, -LEG, 0.02])

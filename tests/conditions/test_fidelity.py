"""Fidelity: a true rendering obeys its own map better than another scene's map; the judge is the embedded annotator."""

import numpy as np
import pytest
from PIL import Image

from tests.conditions.scenes import COUNT, picture, rendering, true_map
from zeroconv.conditions import get
from zeroconv.conditions.networks.annotator import CLASSES

MEASURED = ("canny", "depth", "segmentation", "pose")


def score(name: str, i: int, j: int) -> float:
    """How well rendering i obeys map j."""
    fidelity = get(name).fidelity
    return fidelity(rendering(i), true_map(j, name))


def with_something(name: str) -> list[int]:
    """Scenes whose map is not black: people, for pose."""
    return [i for i in range(COUNT) if true_map(i, name).getbbox() is not None]


@pytest.mark.parametrize("name", MEASURED)
def test_own_maps_are_obeyed_better_than_others(name: str) -> None:
    scenes = with_something(name)
    table = np.array([[score(name, i, j) for j in scenes] for i in scenes])
    assert ((table >= 0) & (table <= 1)).all()
    own, others = float(np.diag(table).mean()), float(table[~np.eye(len(scenes), dtype=bool)].mean())
    assert own > others + 0.05
    assert own >= {"canny": 1.0, "depth": 0.8, "segmentation": 0.7, "pose": 0.6}[name]


@pytest.mark.parametrize("name", MEASURED)
def test_noise_obeys_nothing(name: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    fidelity = get(name).fidelity
    for i in with_something(name):
        assert fidelity(noise, true_map(i, name)) < score(name, i, i)


def test_where_nobody_is_wanted_and_nobody_is_seen_pose_is_obeyed() -> None:
    index = next(i for i in range(COUNT) if picture(i).keypoints is None)
    assert score("pose", index, index) == 1


def test_every_class_of_the_scenes_is_known_to_the_annotator() -> None:
    seen = {int(c) for i in range(COUNT) for c in np.unique(picture(i).classes)}
    assert seen <= set(CLASSES)

"""Laws of the conditions that a network reads, here the embedded annotator; `test_estimated.py` has what is special to each."""

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.conditions.scenes import COUNT, picture, rendering, true_map
from zeroconv.conditions import extract, get
from zeroconv.conditions.networks.annotator import CLASSES
from zeroconv.errors import NothingAskedError

LEARNED = ("depth", "normal", "segmentation", "pose")
LEAST = {"canny": 1.0, "depth": 0.8, "normal": 0.8, "segmentation": 0.7, "pose": 0.6}


def scenes_with_maps(name: str) -> list[int]:
    """Scenes whose map is not black: people, for pose."""
    return [i for i in range(COUNT) if true_map(i, name).getbbox() is not None]


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (3, 50), (200, 90)])
def test_maps_have_the_pictures_size_and_the_same_bytes_again(name: str, size: tuple[int, int]) -> None:
    image = rendering(0).resize(size)
    made = extract(name, image)
    assert (made.mode, made.size) == ("RGB", size)
    assert made == extract(name, image) == extract(name, image.convert("RGBA")) == get(name).extract(image)


@pytest.mark.parametrize("name", LEARNED)
def test_a_picture_obeys_what_is_read_from_it(name: str) -> None:
    image = rendering(4)
    made = extract(name, image)
    numbers = get(name).metrics(image, made)
    assert numbers.pop("RMSE", 0.0) < 0.005 and numbers.pop("mean angle", 0.0) < 0.5
    assert numbers.pop("median angle", 0.0) < 0.5
    assert min(numbers.values()) > 0.95  # 8-bit levels, and joints that are covered by others
    with pytest.raises(ValueError, match="expected the same size"):
        get(name).fidelity(image, made.resize((64, 64)))


@pytest.mark.parametrize("name", LEAST)
def test_own_maps_are_obeyed_better_than_others_and_by_noise_not_at_all(name: str) -> None:
    scenes, fidelity = scenes_with_maps(name), get(name).fidelity
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    table = np.array([[fidelity(image, true_map(j, name)) for j in scenes] for image in [*map(rendering, scenes), noise]])
    assert ((table >= 0) & (table <= 1)).all()
    own, others = np.diag(table), table[:-1][~np.eye(len(scenes), dtype=bool)]
    assert own.mean() > others.mean() + 0.05 and own.mean() >= LEAST[name]
    assert (table[-1] < own).all()


@pytest.mark.parametrize("name", ["depth", "normal"])
def test_a_map_upside_down_is_obeyed_less(name: str) -> None:
    fidelity, maps = get(name).fidelity, [true_map(i, name) for i in range(COUNT)]
    own = [fidelity(rendering(i), condition) for i, condition in enumerate(maps)]
    turned = [fidelity(rendering(i), ImageOps.flip(condition)) for i, condition in enumerate(maps)]
    assert np.mean(own) > np.mean(turned) + 0.05


def test_where_nobody_is_wanted_there_is_no_score() -> None:
    index = next(i for i in range(COUNT) if picture(i).keypoints is None)
    with pytest.raises(NothingAskedError):
        get("pose").fidelity(rendering(index), true_map(index, "pose"))


def test_every_class_of_the_scenes_is_known_to_the_annotator() -> None:
    seen = {int(c) for i in range(COUNT) for c in np.unique(picture(i).classes)}
    assert seen <= set(CLASSES)

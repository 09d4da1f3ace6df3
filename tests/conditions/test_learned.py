"""Learned extractors on tiny random networks of the real classes: the real loading code, and no network."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import (
    DPTImageProcessorPil,
    Mask2FormerImageProcessorPil,
    RTDetrImageProcessorPil,
    SegformerImageProcessorPil,
)

from tests.conditions.scenes import rendering
from tests.conditions.tiny_networks import RECIPES, save_all
from zeroconv.conditions.depth import depth
from zeroconv.conditions.learned_depth import learned_depth
from zeroconv.conditions.learned_pose import FROM_COCO, cut, frame_of, openpose_of_coco, peak_of, person_boxes
from zeroconv.conditions.learned_segmentation import SEMANTIC_TASK, largest_of, learned_classes
from zeroconv.conditions.networks import RECIPES as PUBLISHED
from zeroconv.conditions.networks import Recipe, network_class, open_network, pixels_of
from zeroconv.conditions.normal import normal
from zeroconv.conditions.pose import JOINTS, find_people, pose
from zeroconv.conditions.segmentation import UNKNOWN, classes_of, segmentation
from zeroconv.conditions.weights import WEIGHTS, methods_of

COCO = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
SIZES = [(1, 1), (3, 200), (90, 64)]
EXTRACTORS = [
    (depth, "depth-anything"),
    (depth, "dpt"),
    (normal, "dpt"),
    *((segmentation, name) for name in ("segformer", "mask2former", "oneformer")),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return save_all(tmp_path_factory.mktemp("weights"))


def judged(network: Any, pixels: torch.Tensor) -> Any:
    with torch.inference_mode():
        return network.model(pixels)


@pytest.mark.parametrize(("extractor", "method"), EXTRACTORS)
def test_maps_have_the_pictures_size_and_the_same_bytes_again(folders: dict[str, Path], extractor: Any, method: str) -> None:
    for size in SIZES:
        image = rendering(0).resize(size)
        made = extractor(image, method, folders[method])
        assert (made.mode, made.size) == ("RGB", size)
        assert made == extractor(image, method, folders[method])
        if method != "oneformer":  # five random queries agree on one class
            assert size == (1, 1) or len(made.getcolors(2**20) or []) > 1


def test_depth_is_grey_and_reaches_black_and_white(folders: dict[str, Path]) -> None:
    made = np.asarray(depth(rendering(0), "depth-anything", folders["depth-anything"]))
    assert (made == made[..., :1]).all()
    assert (made.min(), made.max()) == (0, 255)


@pytest.mark.parametrize("method", ["depth-anything", "dpt"])
def test_depth_is_the_librarys_own_on_its_own_preprocessing(folders: dict[str, Path], method: str) -> None:
    image, family = rendering(1).crop((0, 0, 120, 100)), WEIGHTS[method].family
    shape = {"keep_aspect_ratio": True, "ensure_multiple_of": 14} if method == "depth-anything" else {}
    processor = DPTImageProcessorPil(**shape, **RECIPES[family])
    network, pixels = open_network(method, folders[method]), processor(image, return_tensors="pt")["pixel_values"]
    assert torch.allclose(pixels, pixels_of(image, network), atol=1e-5)
    theirs: Any = processor.post_process_depth_estimation(judged(network, pixels), [(100, 120)])[0]["predicted_depth"]
    theirs = theirs.numpy()
    theirs = (theirs - theirs.min()) / (theirs.max() - theirs.min())
    assert np.abs(learned_depth(image, method, folders[method]) - theirs).max() < 1e-4


def test_segformer_is_the_librarys_own(folders: dict[str, Path]) -> None:
    image, network = rendering(2), open_network("segformer", folders["segformer"])
    processor = SegformerImageProcessorPil(**RECIPES["segformer"])
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    theirs = processor.post_process_semantic_segmentation(judged(network, pixels), [(128, 128)])[0].numpy()
    assert (learned_classes(image, "segformer", folders["segformer"]) == theirs).mean() > 0.999


def test_mask2former_is_the_librarys_own(folders: dict[str, Path]) -> None:
    image, network = rendering(3), open_network("mask2former", folders["mask2former"])
    seen = judged(network, pixels_of(image, network))
    theirs = Mask2FormerImageProcessorPil().post_process_semantic_segmentation(seen, [(128, 128)])[0].numpy()
    assert (learned_classes(image, "mask2former", folders["mask2former"]) == theirs).mean() > 0.999


def test_oneformer_is_asked_for_a_semantic_answer(folders: dict[str, Path]) -> None:
    """The task goes in as numbers of tokens; another task gives another answer."""
    network = open_network("oneformer", folders["oneformer"])
    assert network.model.config.task_seq_len == 77 and len(SEMANTIC_TASK) == 7
    pixels, task = pixels_of(rendering(0), network), torch.zeros(1, 77)
    with torch.inference_mode():
        other = network.model(pixels, task_inputs=task).class_queries_logits
        task[0, :7] = torch.tensor(SEMANTIC_TASK)
        assert not torch.equal(other, network.model(pixels, task_inputs=task).class_queries_logits)


@pytest.mark.parametrize("method", methods_of("segmentation"))
def test_segmentation_has_the_palettes_colours_alone(folders: dict[str, Path], method: str) -> None:
    assert UNKNOWN not in classes_of(segmentation(rendering(0), method, folders[method]))


def test_other_classes_than_ade20ks_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["segformer"], tmp_path / "other")
    settings = open_network("segformer", folders["segformer"]).model.config.to_dict()
    settings["id2label"] = dict.fromkeys(range(19), "street")
    kind = network_class("SegformerForSemanticSegmentation")
    kind(kind.config_class.from_dict(settings)).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="know 19 classes; expected the 150 of ADE20K"):
        segmentation(rendering(0), "segformer", tmp_path / "other")


@given(seed=st.integers(0, 2**32 - 1), step=st.integers(1, 9))
def test_the_largest_score_is_found_in_parts(seed: int, step: int) -> None:
    import zeroconv.conditions.learned_segmentation as module

    scores = torch.randn(1, 9, 4, 5, generator=torch.Generator().manual_seed(seed))
    whole = torch.nn.functional.interpolate(scores, size=(13, 7), mode="bilinear", align_corners=False)[0].argmax(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", step * 13 * 7)
        assert np.array_equal(largest_of(scores, (13, 7)), whole.numpy())


def test_people_are_found_and_drawn(folders: dict[str, Path]) -> None:
    given: dict[str, Any] = {"weights": folders["vitpose"], "detector": folders["person-detector"], "threshold": 0.0}
    people = find_people(rendering(0), "vitpose", **given)
    assert people.shape == (10, 18, 3) and np.isfinite(people).all()  # every query of the random detector
    assert np.array_equal(people, find_people(rendering(0), "vitpose", **given))
    drawn = pose(rendering(0).resize((90, 70)), "vitpose", **given)
    assert drawn.size == (90, 70)
    sure: dict[str, Any] = given | {"threshold": 1.0}
    assert find_people(rendering(0), "vitpose", **sure).shape == (0, 18, 3)
    assert pose(rendering(0), "vitpose", **sure).getbbox() is None
    assert pose(Image.new("RGB", (1, 1)), "vitpose", **given).size == (1, 1)


def test_boxes_are_the_librarys_own_for_people_alone(folders: dict[str, Path]) -> None:
    image, network = rendering(1).crop((0, 0, 120, 80)), open_network("person-detector", folders["person-detector"])
    processor = RTDetrImageProcessorPil(**RECIPES["rt_detr"])
    seen = judged(network, processor(image, return_tensors="pt")["pixel_values"])
    theirs = processor.post_process_object_detection(seen, threshold=0.0, target_sizes=[(80, 120)])[0]
    wanted = theirs["boxes"][theirs["labels"] == 1].numpy().clip(0, [120, 80, 120, 80])
    ours = person_boxes(network, image, 0.0)
    assert len(ours) >= len(wanted) > 0  # theirs keeps the best of all classes, one query perhaps twice
    for box in wanted:
        assert np.abs(ours - box).max(axis=1).min() < 0.01
    width, height = (ours[:, 2:] - ours[:, :2]).T
    assert (width >= 1).all() and (height >= 1).all()


@pytest.mark.parametrize("spot", [(60, 50), (33, 80), (90, 20)])
def test_a_crops_peak_is_brought_back_to_the_picture(spot: tuple[int, int]) -> None:
    ys, xs = np.mgrid[:100, :140]
    light = 255 * np.exp(-((xs - spot[0]) ** 2 + (ys - spot[1]) ** 2) / 8)
    centre, extent = frame_of(np.array([25, 15, 100, 90], np.float32))
    crop = cut(np.repeat(light.astype(np.uint8)[..., None], 3, axis=2), (centre, extent))
    assert crop.shape == (256, 192, 3) and extent[0] / extent[1] == pytest.approx(192 / 256)
    found = peak_of(crop[..., 0].astype(np.float32)) / [191, 255] * extent + centre - extent / 2
    assert np.abs(found - spot).max() < 0.6


@given(x=st.floats(5, 42), y=st.floats(5, 58))
def test_a_peak_is_located_between_the_places(x: float, y: float) -> None:
    ys, xs = np.mgrid[:64, :48]
    heat = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 2.0**2)).astype(np.float32)
    assert np.abs(peak_of(heat) - [x, y]).max() < 0.02


def test_a_flat_heat_map_has_its_first_place() -> None:
    assert peak_of(np.zeros((64, 48), np.float32)).tolist() == [0, 0]


def test_coco_joints_get_openposes_names() -> None:
    joints = np.arange(17 * 3, dtype=float).reshape(1, 17, 3)
    (person,) = openpose_of_coco(joints)
    for i, name in enumerate(JOINTS):
        if name != "neck":
            assert COCO[FROM_COCO[i]] == name and np.array_equal(person[i], joints[0, COCO.index(name)])
    left, right = joints[0, 5], joints[0, 6]
    assert person[JOINTS.index("neck")].tolist() == [*((left + right) / 2)[:2], min(left[2], right[2])]


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_a_networks_input_keeps_the_pictures_shape(width: int, height: int) -> None:
    for recipe in PUBLISHED.values():
        found = recipe.size(width, height)
        if recipe.square:
            assert found == (recipe.side, recipe.side)
            continue
        assert min(found) >= recipe.multiple and max(found) <= 4 * recipe.side + recipe.multiple
        assert all(side % recipe.multiple == 0 for side in found)
        if max(width, height) <= 4 * min(width, height):
            assert abs(found[0] / found[1] / (width / height) - 1) <= 1.05 * recipe.multiple / min(found)


def test_a_square_picture_has_the_recipes_side() -> None:
    assert Recipe(518, 14, (0.5,) * 3, (0.5,) * 3).size(1000, 1000) == (518, 518)
    assert Recipe(518, 14, (0.5,) * 3, (0.5,) * 3).size(640, 480) == (686, 518)

"""Learned extractors on tiny random networks of the real classes: the real loading code, and no network."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.marigold.pipeline_marigold_normals import MarigoldNormalsPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers import (
    CLIPTextModel,
    DPTImageProcessorPil,
    Mask2FormerImageProcessorPil,
    RTDetrImageProcessorPil,
    SegformerImageProcessorPil,
)
from transformers.image_utils import get_image_size_for_max_height_width

from tests.conditions.scenes import rendering
from tests.conditions.tiny_networks import RECIPES, save, save_all
from zeroconv.conditions import extract, extract_all
from zeroconv.conditions.depth import depth
from zeroconv.conditions.networks.depth import learned_depth
from zeroconv.conditions.networks.normal import SEED, fit_into, learned_normals, to_camera_frame
from zeroconv.conditions.networks.pose import LAYOUTS, crop_frame, frame_around, locate_peak, people_from_points, person_boxes
from zeroconv.conditions.networks.segmentation import SEMANTIC_TASK, argmax_at_size, learned_classes
from zeroconv.conditions.networks.transformers import RECIPES as PUBLISHED
from zeroconv.conditions.networks.transformers import Recipe, find_network_class, normalize, open_network, to_input
from zeroconv.conditions.networks.weights import WEIGHTS, methods_of
from zeroconv.conditions.normal import normal, normal_map
from zeroconv.conditions.openpose.drawing import JOINTS
from zeroconv.conditions.pose import estimate_people, pose
from zeroconv.conditions.segmentation import UNKNOWN, read_classes, segmentation

COCO = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left wrist", "right wrist", "left hip", "right hip", "left knee", "right knee", "left ankle",
    "right ankle",
)  # fmt: skip
FINGERS = ("thumb", "forefinger", "middle", "ring", "pinky")
SAPIENS = (
    "nose", "left eye", "right eye", "left ear", "right ear", "left shoulder", "right shoulder", "left elbow",
    "right elbow", "left hip", "right hip", "left knee", "right knee", "left ankle", "right ankle",
    *(f"{side} {part}" for side in ("left", "right") for part in ("big toe", "small toe", "heel")),
    *(
        f"{side} {part}"
        for side in ("right", "left")
        for part in (*(f"{finger} {joint}" for finger in FINGERS for joint in (4, 3, 2, 1)), "wrist")
    ),
)  # fmt: skip
"""The first 63 of its points: its list begins a finger at the tip."""
FACE = {
    8: 77, 17: 80, 21: 78, 22: 87, 26: 89, 27: 71, 30: 178, 33: 179, 36: 121, 39: 120, 42: 96, 45: 97, 48: 188, 51: 190,
    54: 189, 57: 191, 60: 204, 62: 206, 64: 205, 66: 207, 68: 281, 69: 272,
}  # fmt: skip
"""Where iBUG's and Sapiens2's lists name one point: chin, ends of brows, nose, corners and middles, and the irises."""
SIZES = [(1, 1), (3, 200), (90, 64)]
EXTRACTORS = [
    (depth, "depth-anything"),
    (depth, "dpt"),
    (normal, "dpt"),
    (normal, "marigold"),
    (normal, "sapiens2"),
    *((segmentation, name) for name in ("segformer", "mask2former", "oneformer")),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = save_all(tmp_path_factory.mktemp("weights"))
    return found | {"sapiens2": found["sapiens2-normal"]}


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
    assert torch.allclose(pixels, to_input(image, network), atol=1e-5)
    theirs: Any = processor.post_process_depth_estimation(judged(network, pixels), [(100, 120)])[0]["predicted_depth"]
    theirs = theirs.numpy()
    theirs = (theirs - theirs.min()) / (theirs.max() - theirs.min())
    assert np.abs(learned_depth([image], method, folders[method])[0] - theirs).max() < 1e-4


def test_segformer_is_the_librarys_own(folders: dict[str, Path]) -> None:
    image, network = rendering(2), open_network("segformer", folders["segformer"])
    processor = SegformerImageProcessorPil(**RECIPES["segformer"])
    pixels = processor(image, return_tensors="pt")["pixel_values"]
    theirs = processor.post_process_semantic_segmentation(judged(network, pixels), [(128, 128)])[0].numpy()
    assert (learned_classes([image], "segformer", folders["segformer"])[0] == theirs).mean() > 0.999


def test_mask2former_is_the_librarys_own(folders: dict[str, Path]) -> None:
    image, network = rendering(3), open_network("mask2former", folders["mask2former"])
    seen = judged(network, to_input(image, network))
    theirs = Mask2FormerImageProcessorPil().post_process_semantic_segmentation(seen, [(128, 128)])[0].numpy()
    assert (learned_classes([image], "mask2former", folders["mask2former"])[0] == theirs).mean() > 0.999


def test_oneformer_is_asked_for_a_semantic_answer(folders: dict[str, Path]) -> None:
    """The task goes in as numbers of tokens; another task gives another answer."""
    network = open_network("oneformer", folders["oneformer"])
    assert network.model.config.task_seq_len == 77 and len(SEMANTIC_TASK) == 7
    pixels, task = to_input(rendering(0), network), torch.zeros(1, 77)
    with torch.inference_mode():
        other = network.model(pixels, task_inputs=task).class_queries_logits
        task[0, :7] = torch.tensor(SEMANTIC_TASK)
        assert not torch.equal(other, network.model(pixels, task_inputs=task).class_queries_logits)


@pytest.mark.parametrize("method", methods_of("segmentation"))
def test_segmentation_has_the_palettes_colours_alone(folders: dict[str, Path], method: str) -> None:
    assert UNKNOWN not in read_classes(segmentation(rendering(0), method, folders[method]))


def test_other_classes_than_ade20ks_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(folders["segformer"], tmp_path / "other")
    settings = open_network("segformer", folders["segformer"]).model.config.to_dict()
    settings["id2label"] = dict.fromkeys(range(19), "street")
    kind = find_network_class("SegformerForSemanticSegmentation")
    kind(kind.config_class.from_dict(settings)).save_pretrained(tmp_path / "other")
    with pytest.raises(ValueError, match="know 19 classes; expected the 150 of ADE20K"):
        segmentation(rendering(0), "segformer", tmp_path / "other")


@given(seed=st.integers(0, 2**32 - 1), step=st.integers(1, 9))
def test_the_largest_score_is_found_in_parts(seed: int, step: int) -> None:
    import zeroconv.conditions.networks.segmentation as module

    scores = torch.randn(1, 9, 4, 5, generator=torch.Generator().manual_seed(seed))
    whole = torch.nn.functional.interpolate(scores, size=(13, 7), mode="bilinear", align_corners=False)[0].argmax(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", step * 13 * 7)
        assert np.array_equal(argmax_at_size(scores, (13, 7)), whole.numpy())


@pytest.mark.parametrize("vectors", [(0.6, 0.8, 0.0), (-0.48, 0.6, 0.64), (0.0, 0.0, 1.0)])
def test_normals_get_our_frame_and_both_conventions(vectors: tuple[float, float, float]) -> None:
    """The networks answer x right, y up, z to the camera; red is left, green top, blue front."""
    answer = torch.tensor(vectors).reshape(1, 3, 1, 1).expand(1, 3, 4, 6) * 7.0  # of no unit length
    found = to_camera_frame(answer, (9, 5))
    assert found.shape == (9, 5, 3) and np.allclose(found, np.array(vectors) * [1, 1, -1], atol=1e-6)
    left, top, front = (np.array(vectors) * [-1, 1, 1] * 127.5 + 127.5).tolist()
    assert np.abs(np.asarray(normal_map(found))[4, 2] - [left, top, front]).max() <= 1
    assert np.abs(np.asarray(normal_map(found, "v1.0"))[4, 2] - [front, top, left]).max() <= 1


@given(width=st.integers(1, 4000), height=st.integers(1, 4000))
def test_a_picture_lies_in_the_middle_of_its_frame(width: int, height: int) -> None:
    """The library's own size, or one pixel where that has none; and as much room on both sides."""
    left, top, wide, high = fit_into((768, 1024), (width, height))
    theirs = get_image_size_for_max_height_width((height, width), 1024, 768)
    assert (high, wide) == (max(1, theirs[0]), max(1, theirs[1]))
    assert 0 <= 768 - wide - 2 * left <= 1 and 0 <= 1024 - high - 2 * top <= 1


def test_sapiens2s_normals_are_the_networks_own(folders: dict[str, Path]) -> None:
    """Of a picture in the frame's shape, as unit vectors in our frame; of another picture there are as many."""
    network, image = open_network("sapiens2-normal", folders["sapiens2"]), rendering(1).resize((48, 64))
    with torch.inference_mode():
        raw = network.model(normalize(np.asarray(image), network.recipe)[None]).normals[0].permute(1, 2, 0).numpy()
    theirs = raw / np.linalg.norm(raw, axis=-1, keepdims=True) * [1, 1, -1]
    assert np.abs(learned_normals(image, "sapiens2", folders["sapiens2"]) - theirs).max() < 1e-4
    wide = learned_normals(rendering(1), "sapiens2", folders["sapiens2"])
    assert wide.shape == (128, 128, 3) and np.allclose(np.linalg.norm(wide, axis=-1), 1, atol=1e-5)


def test_marigolds_normals_are_the_pipelines_own(folders: dict[str, Path]) -> None:
    """As diffusers makes them of the same networks, with an empty prompt from a text encoder, and the same noise."""
    folder, image = folders["marigold"], rendering(2).resize((40, 30))
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
    kind: Any = MarigoldNormalsPipeline
    pipeline = kind(
        UNet2DConditionModel.from_pretrained(folder / "unet"), AutoencoderKL.from_pretrained(folder / "vae"),
        DDIMScheduler.from_pretrained(folder / "scheduler"), encoder, None, "normals",
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    with torch.inference_mode():
        pipeline.empty_text_embedding = encoder(torch.tensor([[48, 49]]))[0]
    noise = torch.Generator().manual_seed(SEED)
    theirs = pipeline(image, num_inference_steps=2, processing_resolution=32, generator=noise).prediction[0]
    found = learned_normals(image, "marigold", folder)
    assert np.abs(found * [1, 1, -1] - theirs).max() < 1e-4


@pytest.mark.parametrize(
    ("file", "told", "word"),
    [
        ("model_index.json", {"_class_name": "MarigoldDepthPipeline"}, "has a 'MarigoldDepthPipeline'; marigold needs"),
        ("model_index.json", {"default_processing_resolution": 0}, "asks for 2 steps at 0 pixels; expected 1"),
        ("unet/config.json", {"in_channels": 4}, r"unet do not fit their config\.json"),
        ("unet/config.json", {"down_block_types": ["Nothing"]}, r"unet.config\.json makes no UNet2DConditionModel"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "steep"}, "makes no DDIMScheduler"),
        ("text_encoder/config.json", {"hidden_size": 7}, "text_encoder do not fit"),
    ],
)
def test_other_pipelines_are_refused_in_one_line(
    folders: dict[str, Path], tmp_path: Path, file: str, told: dict[str, Any], word: str
) -> None:
    shutil.copytree(folders["marigold"], tmp_path / "other")
    path = tmp_path / "other" / file
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | told))
    with pytest.raises(ValueError, match=word) as caught:
        normal(rendering(0), "marigold", tmp_path / "other")
    assert "\n" not in str(caught.value)


def test_another_count_of_numbers_for_a_normal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="answer 5 numbers for a normal; expected 3"):
        normal(rendering(0), "sapiens2", save("sapiens2-normal", tmp_path, 5))


def test_networks_for_normals_look_at_a_picture_in_one_piece(folders: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="expected no tile, got 64"):
        normal(rendering(0), "sapiens2", folders["sapiens2"], tile=64)


def test_people_are_found_and_drawn(folders: dict[str, Path]) -> None:
    given: dict[str, Any] = {"weights": folders["vitpose"], "detector": folders["person-detector"], "threshold": 0.0}
    people = estimate_people(rendering(0), "vitpose", **given).body
    assert people.shape == (10, 18, 3) and np.isfinite(people).all()  # every query of the random detector
    assert np.array_equal(people, estimate_people(rendering(0), "vitpose", **given).body)
    drawn = pose(rendering(0).resize((90, 70)), "vitpose", **given)
    assert drawn.size == (90, 70)
    sure: dict[str, Any] = given | {"threshold": 1.0}
    assert estimate_people(rendering(0), "vitpose", **sure).body.shape == (0, 18, 3)
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


def test_hands_and_faces_are_found_and_drawn(folders: dict[str, Path]) -> None:
    given: dict[str, Any] = {"weights": folders["sapiens2-pose"], "detector": folders["person-detector"], "threshold": 0.0}
    people = estimate_people(rendering(0), "sapiens2", **given)
    assert people.hands is not None and people.face is not None
    assert (people.body.shape, people.hands.shape, people.face.shape) == ((10, 18, 3), (10, 2, 21, 3), (10, 70, 3))
    assert all(np.isfinite(part).all() for part in (people.body, people.hands, people.face))
    assert np.array_equal(people.body, estimate_people(rendering(0), "sapiens2", **given).body)
    asked: list[dict[str, Any]] = [{}, {"hands": True}, {"face": True}, {"hands": True, "face": True}]
    assert len({pose(rendering(0), "sapiens2", **given, **one).tobytes() for one in asked}) == 4
    given["threshold"] = 1.0
    nobody = estimate_people(rendering(0), "sapiens2", **given)
    assert nobody.hands is not None and nobody.hands.shape == (0, 2, 21, 3)


@pytest.mark.parametrize(
    ("name", "given", "drawn"),
    [
        ("pose", {"method": "sapiens2", "weights": "sapiens2-pose", "detector": "person-detector"}, {"hands": True}),
        ("normal", {"method": "marigold", "weights": "marigold"}, {"convention": "v1.0"}),
    ],
)
def test_a_picture_that_is_seen_once_can_be_drawn_twice(
    folders: dict[str, Path], name: str, given: dict[str, str], drawn: dict[str, Any]
) -> None:
    asked: dict[str, Any] = given | {key: str(folders[value]) for key, value in given.items() if key != "method"}
    plain, other = extract_all(name, [rendering(0)] * 2, [asked, asked | drawn])
    assert plain == extract(name, rendering(0), **asked)
    assert other == extract(name, rendering(0), **asked, **drawn) != plain


@pytest.mark.parametrize("method", ["tiny", "vitpose"])
@pytest.mark.parametrize("what", ["hands", "face"])
def test_hands_and_faces_that_are_not_found_cannot_be_drawn(folders: dict[str, Path], method: str, what: str) -> None:
    given: dict[str, Any] = {what: True}
    if method != "tiny":
        given |= {"weights": folders["vitpose"], "detector": folders["person-detector"]}
    with pytest.raises(ValueError, match=f"{method} does not find what {what}=true draws; expected method=sapiens2") as caught:
        pose(rendering(0), method, **given)
    assert "\n" not in str(caught.value)


def test_whole_body_weights_of_vitpose_mark_hands_and_faces_too(folders: dict[str, Path], tmp_path: Path) -> None:
    given: dict[str, Any] = {"detector": folders["person-detector"], "threshold": 0.0}
    people = estimate_people(rendering(0), "vitpose", save("vitpose", tmp_path / "133", 133), **given)
    assert people.hands is not None and people.face is not None and not people.face[:, 68:].any()
    with pytest.raises(ValueError, match="mark 14 points; expected 17, 133, 308"):
        estimate_people(rendering(0), "vitpose", save("vitpose", tmp_path / "14", 14), **given)


@pytest.mark.parametrize("spot", [(60, 50), (33, 80), (90, 20)])
@pytest.mark.parametrize("size", [(192, 256), (768, 1024)])
def test_a_crops_peak_is_brought_back_to_the_picture(spot: tuple[int, int], size: tuple[int, int]) -> None:
    ys, xs = np.mgrid[:100, :140]
    light = 255 * np.exp(-((xs - spot[0]) ** 2 + (ys - spot[1]) ** 2) / 8)
    centre, extent = frame_around(np.array([25, 15, 100, 90], np.float32))
    crop = crop_frame(np.repeat(light.astype(np.uint8)[..., None], 3, axis=2), (centre, extent), size)
    assert crop.shape == (size[1], size[0], 3) and extent[0] / extent[1] == pytest.approx(size[0] / size[1])
    found = locate_peak(crop[..., 0].astype(np.float32), 0.8) / (np.array(size) - 1) * extent + centre - extent / 2
    assert np.abs(found - spot).max() < 0.6


@given(x=st.floats(8, 39), y=st.floats(8, 55), wide=st.sampled_from([(2.0, 0.8), (6.0, 2.0)]))
def test_a_peak_is_located_between_the_places(x: float, y: float, wide: tuple[float, float]) -> None:
    ys, xs = np.mgrid[:64, :48]
    heat = np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * wide[0] ** 2)).astype(np.float32)
    assert np.abs(locate_peak(heat, wide[1]) - [x, y]).max() < 0.02


def test_a_flat_heat_map_has_its_first_place() -> None:
    assert locate_peak(np.zeros((64, 48), np.float32), 0.8).tolist() == [0, 0]


@pytest.mark.parametrize("names", [COCO, SAPIENS], ids=["coco", "sapiens"])
def test_joints_get_openposes_names(names: tuple[str, ...]) -> None:
    points = np.arange(1, 3 * 308 + 1, dtype=float).reshape(1, 308, 3)[:, : 17 if names is COCO else 308]
    (person,) = people_from_points(points).body
    for i, name in enumerate(JOINTS):
        if name != "neck":
            assert np.array_equal(person[i], points[0, names.index(name)]), name
    left, right = (points[0, names.index(f"{side} shoulder")] for side in ("left", "right"))
    assert person[JOINTS.index("neck")].tolist() == [*((left + right) / 2)[:2], min(left[2], right[2])]


def test_fingers_go_from_the_wrist_to_their_tips() -> None:
    for side, hand in zip(("left", "right"), LAYOUTS[308].hands, strict=True):
        wanted = ["wrist", *(f"{finger} {joint}" for finger in FINGERS for joint in (1, 2, 3, 4))]
        assert [SAPIENS[i] for i in hand] == [f"{side} {part}" for part in wanted]
    assert LAYOUTS[133].hands == (tuple(range(91, 112)), tuple(range(112, 133)))


def test_faces_have_the_points_that_both_lists_name_and_no_jaw() -> None:
    face = LAYOUTS[308].face
    assert {i: face[i] for i in FACE} == FACE
    assert {i for i in range(70) if face[i] < 0} == set(range(17)) - {8}
    assert len(set(face) - {-1}) == 54 and LAYOUTS[133].face == (*range(23, 91), -1, -1)


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

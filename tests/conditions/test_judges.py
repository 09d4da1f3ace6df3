"""Who reads maps back: known answers of every number, judges by name, and that a judge agrees with itself."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.conditions import tiny_networks
from tests.conditions.scenes import picture, rendering, true_map
from zeroconv.conditions import extract, get, names, reextract_parameters
from zeroconv.conditions.depth import depth_metrics
from zeroconv.conditions.normal import normal_map, normal_metrics, read_normals
from zeroconv.conditions.openpose.drawing import JOINTS, draw_pose
from zeroconv.conditions.openpose.keypoints import People
from zeroconv.conditions.pose import pose_metrics
from zeroconv.conditions.segmentation import score_classes, segmentation_map, segmentation_metrics
from zeroconv.errors import InputError, NothingAskedError


@pytest.mark.parametrize("name", names())
def test_the_fidelity_is_the_first_of_what_is_measured(name: str) -> None:
    image = rendering(0 if name == "pose" else 5)  # somebody is in the first
    condition = extract(name, image)
    numbers = get(name).metrics(image, condition)
    assert next(iter(numbers)) == get(name).metric
    assert next(iter(numbers.values())) == get(name).fidelity(image, condition)


def test_depth_is_judged_after_scale_and_shift_but_not_upside_down() -> None:
    image = rendering(5)
    own = extract("depth", image)
    grey = np.asarray(own, np.float32)
    paler = Image.fromarray((60 + grey / 2).astype(np.uint8))
    assert depth_metrics(image, paler)["depth delta1"] > 0.99
    inverted = depth_metrics(image, ImageOps.invert(own))
    assert inverted["depth delta1"] == inverted["correlation"] == 0.0
    flat = Image.new("RGB", image.size, "grey")
    assert depth_metrics(image, flat) == {"depth delta1": 0.0, "RMSE": 1.0, "correlation": 0.0}


def test_angles_are_in_degrees() -> None:
    """A picture that the annotator reads as some normals, against the same turned about the line of sight."""
    image, turn = rendering(5), np.radians(20)
    x, y, z = np.moveaxis(read_normals(extract("normal", image)), -1, 0)
    turned = np.stack([np.cos(turn) * x - np.sin(turn) * z, y, np.sin(turn) * x + np.cos(turn) * z], axis=-1)
    numbers = normal_metrics(image, normal_map(turned))
    lying = np.degrees(np.hypot(x, z).clip(0, 1).mean())  # a vector along the axis is not turned at all
    assert 0.5 * 20 * lying / 90 < numbers["mean angle"] < 21
    assert numbers["within 30°"] > 0.98 and next(iter(numbers.values())) == pytest.approx(1 - numbers["mean angle"] / 90)


def test_classes_are_counted() -> None:
    image = rendering(5)
    half = np.full((128, 128), 2)
    half[:, 64:] = 140  # a class that the tiny world does not have
    numbers = segmentation_metrics(image, segmentation_map(half))
    sky = np.asarray(extract("segmentation", image))[..., :] == segmentation_map(np.full((1, 1), 2)).getpixel((0, 0))
    seen = sky.all(axis=-1)
    assert numbers["accuracy"] == pytest.approx(seen[:, :64].mean() / 2)
    shared, joint = seen[:, :64].sum(), seen.sum() + 64 * 128 - seen[:, :64].sum()
    assert numbers["mean IoU"] == pytest.approx(shared / joint / 2)


def test_of_several_people_the_one_that_does_best_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = np.ones((18, 3))
    spread[:, :2] = np.stack([np.arange(18) % 6 * 20 + 10, np.arange(18) // 6 * 40 + 20], axis=1)
    two = People(np.stack([spread + np.array([60, 0, 0]), spread]))
    monkeypatch.setattr("zeroconv.conditions.pose.predict_people", lambda *_, **__: [two])
    numbers = pose_metrics(Image.new("RGB", (128, 128)), draw_pose(spread, (128, 128)))
    assert next(iter(numbers.values())) == 1.0 and numbers["OKS"] > 0.95
    nobody = People(np.zeros((0, len(JOINTS), 3)))
    monkeypatch.setattr("zeroconv.conditions.pose.predict_people", lambda *_, **__: [nobody])
    assert set(pose_metrics(Image.new("RGB", (128, 128)), draw_pose(spread, (128, 128))).values()) == {0.0}


def test_a_network_judges_what_it_extracted(tmp_path: Path) -> None:
    folder = tiny_networks.save("dpt", tmp_path / "dpt")
    image = Image.fromarray(picture(3).rgb)
    own = extract("depth", image, method="dpt", weights=folder)
    assert depth_metrics(image, own, "dpt", folder)["depth delta1"] > 0.99
    assert depth_metrics(image, own)["RMSE"] != depth_metrics(image, own, "dpt", folder)["RMSE"]


def test_the_judge_is_asked_for_or_follows_the_extractor() -> None:
    given = {"method": "dpt", "weights": "folder", "tile": 512, "resolution": 256}
    assert reextract_parameters("depth", None, given) == {"method": "dpt", "weights": "folder"}
    assert reextract_parameters("depth", {"method": "tiny"}, given) == {"method": "tiny"}
    assert reextract_parameters("canny", None, {"low": 50}) == {}
    assert reextract_parameters("soft-edge", None, {"method": "hed", "safe": True}) == {"method": "hed"}
    with pytest.raises(ValueError, match="the judge of depth has no parameter 'tile'; expected one of method, weights, device"):
        reextract_parameters("depth", {"tile": 512}, {})


def test_no_map_that_asks_for_nothing_has_a_score() -> None:
    picture, side = rendering(5), (128, 128)
    hole = Image.new("RGBA", side, (10, 20, 30, 0))
    faint = Image.fromarray(np.asarray(true_map(5, "depth")) // 60)
    cases: list[tuple[str, Image.Image, type[Exception]]] = [
        ("inpaint", hole, NothingAskedError),
        ("inpaint", Image.new("RGB", side), InputError),
        ("depth", faint, InputError),
        ("depth", Image.new("RGB", side, (90, 90, 90)), NothingAskedError),
        ("segmentation", Image.new("RGB", side), NothingAskedError),
        ("segmentation", Image.new("RGB", side, (31, 241, 12)), InputError),
        ("pose", picture, InputError),
    ]
    of_lines = ("canny", "lines", "scribble", "lineart", "soft-edge")
    for wrong in (picture, picture.convert("L").convert("RGB"), Image.new("RGB", side, (128, 128, 128))):
        cases += [(name, wrong, InputError) for name in of_lines]
    lines = ("canny", "lines", "scribble", "lineart", "soft-edge", "pose")
    cases += [(name, Image.new("RGB", side), NothingAskedError) for name in lines]
    for name, condition, kind in cases:
        with pytest.raises(InputError) as caught:
            get(name).fidelity(picture, condition)
        assert type(caught.value) is kind, name


def test_small_classes_count_where_there_are_no_larger_ones() -> None:
    """On a map that is nearly all black, where every class is under 0.5 %, another picture does not obey."""
    classes = np.full((128, 128), 255, np.uint8)
    for index in range(8):
        classes[4 + 12 * index : 10 + 12 * index, 4:10] = index
    sparse = np.zeros((128, 128, 3), np.uint8)
    sparse[classes != 255] = np.asarray(segmentation_map(np.where(classes == 255, 0, classes)))[classes != 255]
    assert score_classes(np.full((128, 128), 60), Image.fromarray(sparse))["mean IoU"] == 0

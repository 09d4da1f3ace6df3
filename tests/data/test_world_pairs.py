"""The tiny world as a data set: exact maps, keyed by seed, and the same on disk."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zeroconv.conditions import extract
from zeroconv.conditions.segmentation import read_classes
from zeroconv.data import WorldPairs, check, get_map, open_pairs, truth, write_world
from zeroconv.errors import InputError
from zeroconv.world import make


def test_truth_is_the_renderers():
    picture = make(11, "person", 64)
    classes = np.where(picture.classes == 48, 6, picture.classes)
    assert (read_classes(truth(picture, "seg")) == classes).all()
    depth = np.asarray(truth(picture, "depth"))[..., 0]
    assert (depth[np.isinf(picture.distance)] == 0).all()
    assert depth.max() == 255
    assert np.asarray(truth(picture, "pose")).max() == 255
    for name in ("depth", "normal", "segmentation", "pose", "canny"):
        found = truth(picture, name)
        assert found.size == (64, 64)
        assert found.mode == "RGB"
    assert truth(picture, "scribble").tobytes() == extract("scribble", Image.fromarray(picture.rgb)).tobytes()


def test_nobody_there_gives_a_black_pose_map():
    assert np.asarray(truth(make(3, "still-life", 32), "pose")).max() == 0


def test_pairs_are_keyed_by_seed():
    pairs = WorldPairs(3, first_seed=5, condition="depth", size=32)
    assert list(pairs.names) == ["world-000000005", "world-000000006", "world-000000007"]
    pair = pairs[2]
    assert pair.image.tobytes() == make(7, size=32).rgb.tobytes()
    assert pair.caption == make(7, size=32).caption
    assert list(pair.maps) == ["depth"]
    assert pairs[2].maps["depth"].tobytes() == pair.maps["depth"].tobytes()


def test_canny_of_a_scene_follows_the_visits_thresholds():
    pair = WorldPairs(1, condition="canny", size=64)[0]
    assert not pair.maps
    found = get_map(pair, "canny", {"low": 30, "high": 60})
    assert found.tobytes() == extract("canny", pair.image, low=30, high=60).tobytes()


def test_world_by_name():
    assert len(open_pairs("world", "canny")) == 2000
    pairs = open_pairs("world:7@900000000", "pose")
    assert len(pairs) == 7
    assert pairs.names[0] == "world-900000000"
    with pytest.raises(ValueError, match="expected 1 or more"):
        open_pairs("world:0", "canny")
    with pytest.raises(InputError, match="world:COUNT"):
        open_pairs("world:many", "canny")


def test_written_world_reads_back_exactly_and_goes_on(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    write_world(tmp_path / "w", 2, ["depth", "seg"], 40, lambda done, count: seen.append((done, count)))
    assert seen == [(1, 2), (2, 2)]
    stamp = (tmp_path / "w" / "images" / "world-000000040.png").stat().st_mtime_ns
    write_world(tmp_path / "w", 3, ["depth", "seg"], 40)
    assert (tmp_path / "w" / "images" / "world-000000040.png").stat().st_mtime_ns == stamp
    for condition in ("depth", "segmentation"):
        written, live = open_pairs(tmp_path / "w", condition), WorldPairs(3, 40, condition)
        assert len(written) == 3
        for i in (0, 2):
            assert written[i].image.tobytes() == live[i].image.tobytes()
            assert written[i].caption == live[i].caption
            assert written[i].maps[condition].tobytes() == live[i].maps[condition].tobytes()
    report, sheet = check(tmp_path / "w")
    assert (report.pairs, report.good, report.problems, report.warnings) == (3, 3, [], [])
    assert report.maps == {"depth": 3, "segmentation": 3}
    assert sheet is not None


def test_world_requests_that_make_no_sense(tmp_path: Path):
    with pytest.raises(ValueError, match="expected 1 or more"):
        write_world(tmp_path / "w", 0, ["depth"])
    with pytest.raises(ValueError, match="unknown condition"):
        write_world(tmp_path / "w", 1, ["depht"])
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_world(tmp_path / "file" / "w", 1, ["depth"])


def test_another_condition_can_be_added_to_a_written_world(tmp_path: Path):
    write_world(tmp_path, 2, ["depth"], 40)
    (tmp_path / "depth" / "world-000000041.png").unlink()  # as if interrupted
    write_world(tmp_path, 2, ["depth", "canny"], 40)
    report, _ = check(tmp_path)
    assert (report.good, report.problems, report.maps) == (2, [], {"depth": 2, "canny": 2})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["canny", "depth", "images", "metadata.jsonl"]


def test_a_refused_world_leaves_no_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="unknown condition 'scrible'"):
        write_world(tmp_path / "w", 1, ["depth", "scrible"])
    assert not (tmp_path / "w").exists()

"""`data check`: everything wrong with a folder is found in one go, each with its file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from zeroconv import conditions
from zeroconv.conditions import extract
from zeroconv.data import check, write_world
from zeroconv.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows: list[dict[str, str]] = []
    for i in range(6):
        image = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8)).resize((64, 48), Image.Resampling.NEAREST)
        image.save(tmp_path / f"{i}.png")
        extract("canny", image).save(tmp_path / f"{i}-map.png")
        rows.append({"file_name": f"{i}.png", "text": f"picture {i}", "conditioning_image": f"{i}-map.png"})
    rows[5]["text"] = " "
    (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


def test_a_good_folder(folder: Path):
    report, sheet = check(folder)
    assert (report.pairs, report.good, report.empty_captions) == (6, 6, 1)
    assert report.sizes == {"64x48": 6}
    assert report.maps == {"canny": 6}
    assert (report.problems, report.warnings) == ([], [])
    assert sheet is not None
    assert sheet.width > 6 * 192
    assert json.loads(json.dumps(report.to_json()))["good"] == 6


def test_everything_wrong_is_listed(folder: Path):
    (folder / "0.png").unlink()
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:60])
    Image.new("RGB", (10, 10)).save(folder / "2-map.png")
    (folder / "3-map.png").write_text("not an image")
    inverted = 255 - np.asarray(Image.open(folder / "4-map.png"))
    Image.fromarray(inverted).save(folder / "4-map.png")
    report, sheet = check(folder)
    assert (report.pairs, report.good) == (6, 2)
    assert len(report.problems) == 4
    for text, part in zip(report.problems, ("0.png", "1.png", "2-map.png is 10x10", "3-map.png"), strict=True):
        assert part in text
        assert "\n" not in text
    assert len(report.warnings) == 1
    assert "1 of 2 canny maps, first that of '4.png': this map looks inverted" in report.warnings[0]
    assert sheet is not None


def test_nothing_good_gives_no_sheet(folder: Path):
    for path in folder.glob("?.png"):
        path.unlink()
    report, sheet = check(folder)
    assert (report.good, len(report.problems), sheet) == (0, 6, None)


def test_no_folder(tmp_path: Path):
    with pytest.raises(InputError, match="no data folder"):
        check(tmp_path / "nowhere")


def test_what_training_refuses_is_a_problem(folder: Path):
    Image.open(folder / "3.png").resize((64, 56)).save(folder / "3.png")
    Image.open(folder / "3-map.png").resize((64, 56)).save(folder / "3-map.png")
    report, _ = check(folder, held_out=6)
    where = folder / "metadata.jsonl"
    assert (report.good, len(report.problems)) == (5, 2)
    assert report.problems[0].startswith("the data set has 6 pairs and 6 are held out")
    wrong = (
        f"pair '3.png' is 64x56, others 64x48 ({where}, line 4): train on pictures of one size, or with `--set buckets=true`"
    )
    assert report.problems[1] == wrong


def test_maps_that_nothing_can_extract_are_missed(folder: Path):
    rows = [{"file_name": f"{i}.png", "text": "", "depth": f"{i}-map.png"} for i in range(5)]
    rows.append({"file_name": "5.png", "text": ""})
    (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    report, _ = check(folder)
    assert report.condition == "depth"  # the one that the folder names
    assert len(report.problems) == 1 and report.problems[0].startswith("1 of 6 pairs have no depth map (first: pair '5.png')")


def test_pictures_that_are_the_same(folder: Path):
    (folder / "4.png").write_bytes((folder / "1.png").read_bytes())
    (folder / "4-map.png").write_bytes((folder / "1-map.png").read_bytes())
    report, _ = check(folder)
    assert [message.code for message in report.messages] == ["data.duplicate"] and "'4.png' and '1.png'" in report.warnings[0]
    assert report.to_json()["messages"][0]["code"] == "data.duplicate"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(tmp_path_factory.mktemp("world"), 24, ["canny", "normal", "segmentation", "depth", "pose"])


@pytest.mark.parametrize("condition", ["canny", "normal", "segmentation", "depth", "pose"])
def test_right_maps_are_in_their_place(world: Path, condition: str):
    report, _ = check(world, condition)
    wrong = {"map.mirrored", "map.upside-down", "map.shifted", "map.exchanged"}
    assert not wrong & {message.code for message in report.messages}


@pytest.mark.parametrize("condition", ["canny", "segmentation"])
@pytest.mark.parametrize("kind", ["mirrored", "upside-down", "shifted", "exchanged"])
def test_maps_out_of_place(world: Path, tmp_path: Path, condition: str, kind: str):
    rows = [json.loads(line) for line in (world / "metadata.jsonl").read_text().splitlines()]
    names = [row["file_name"].removeprefix("images/") for row in rows]
    (tmp_path / "maps").mkdir()
    for i, name in enumerate(names):
        found = conditions.get(condition).open_map(world / condition / names[i ^ 1 if kind == "exchanged" else i])
        match kind:
            case "mirrored":
                found = ImageOps.mirror(found)
            case "upside-down":
                found = ImageOps.flip(found)
            case "shifted":
                found = Image.fromarray(np.roll(np.asarray(found), 20, axis=1))
            case _:
                pass
        found.save(tmp_path / "maps" / name)
    moved = [{"file_name": row["file_name"], "source": f"maps/{name}"} for row, name in zip(rows, names, strict=True)]
    (tmp_path / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in moved))
    (tmp_path / "images").symlink_to(world / "images")
    report, _ = check(tmp_path, condition)
    told = [message for message in report.messages if message.code == f"map.{kind}"]
    assert len(told) == 1 and int(told[0].text.split()[0]) > 12

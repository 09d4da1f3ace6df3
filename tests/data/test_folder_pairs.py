"""Folders of pairs: the layouts people have, and what is said about broken ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zeroconv.conditions import extract
from zeroconv.data import get_map, open_pairs
from zeroconv.errors import InputError

SIZE = (48, 48)


def picture(value: int) -> Image.Image:
    image = Image.new("RGB", SIZE, (value, value, value))
    image.paste((255, 255, 255), (10, 10, 30, 30))
    return image


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n", "utf-8")


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    """The layout of the ControlNet tutorial."""
    for folder in ("source", "target"):
        (tmp_path / folder).mkdir()
    rows: list[dict[str, Any]] = []
    for i in range(3):
        picture(40 * i).save(tmp_path / "target" / f"{i}.png")
        Image.new("RGB", SIZE, (i, 0, 0)).save(tmp_path / "source" / f"{i}.png")
        rows.append({"source": f"source/{i}.png", "target": f"target/{i}.png", "prompt": f"picture {i}"})
    lines(tmp_path / "prompt.json", rows)
    return tmp_path


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """An image folder with a caption under each of three names, and maps for some."""
    rows: list[dict[str, Any]] = []
    for i, key in enumerate(("text", "caption", "prompt")):
        picture(40 * i).save(tmp_path / f"{i}.jpg", quality=95)
        rows.append({"file_name": f"{i}.jpg", key: f"picture {i}"})
    Image.new("RGB", SIZE, (7, 7, 7)).save(tmp_path / "depth.png")
    rows[0]["depth"] = "depth.png"
    rows[1]["conditioning_image"] = "depth.png"
    rows[2]["seg"] = "depth.png"
    lines(tmp_path / "metadata.jsonl", rows)
    return tmp_path


def test_tutorial_layout(tutorial: Path):
    pairs = open_pairs(tutorial, "hed")
    assert len(pairs) == 3
    assert list(pairs.names) == ["target/0.png", "target/1.png", "target/2.png"]
    pair = pairs[1]
    assert pair.caption == "picture 1"
    assert pair.image.getpixel((0, 0)) == (40, 40, 40)
    assert get_map(pair, "soft-edge", {}).getpixel((0, 0)) == (1, 0, 0)


def test_image_folder_layout(image_folder: Path):
    pairs = open_pairs(image_folder, "depth")
    assert [pairs[i].caption for i in range(3)] == ["picture 0", "picture 1", "picture 2"]
    for i in (0, 1):
        assert get_map(pairs[i], "depth", {}).getpixel((0, 0)) == (7, 7, 7)
    with pytest.raises(ValueError, match=r"pair '2\.jpg' has no depth map"):
        get_map(pairs[2], "depth", {})
    assert get_map(open_pairs(image_folder, "segmentation")[2], "seg", {}).getpixel((0, 0)) == (7, 7, 7)


def test_without_a_map_it_is_extracted_with_the_visits_parameters(image_folder: Path):
    pair = open_pairs(image_folder, "canny")[2]
    assert not pair.maps
    for parameters in ({}, {"low": 20, "high": 700}):
        assert get_map(pair, "canny", parameters).tobytes() == extract("canny", pair.image, **parameters).tobytes()


def test_map_of_another_size_is_refused(tutorial: Path):
    Image.new("RGB", (20, 20)).save(tutorial / "source" / "1.png")
    pairs = open_pairs(tutorial, "canny")
    with pytest.raises(ValueError, match=r"1\.png is 20x20 and its picture 48x48"):
        _ = pairs[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no pairs"),
        ("{not json}", "line 1 is not valid JSON"),
        ('{"target": "target/0.png", "source": "source/0.png"}\n[1]', "line 2 is list; expected an object"),
        ('{"target": "target/0.png"}', "line 1 has no 'source'; it has target"),
        ('{"source": "../../secret.png", "target": "a.png"}', "expected a path inside the folder"),
        ('{"source": "/etc/passwd", "target": "a.png"}', "expected a path inside the folder"),
        ('{"source": 3, "target": "a.png"}', "line 1: source is 3; expected a path inside"),
    ],
)
def test_broken_lists_name_their_line(tutorial: Path, text: str, message: str):
    (tutorial / "prompt.json").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        open_pairs(tutorial, "canny")
    assert "\n" not in str(caught.value)


def test_missing_folder_layout_and_file(tmp_path: Path, tutorial: Path):
    with pytest.raises(InputError, match="no data folder") as caught:
        open_pairs(tmp_path / "nowhere", "canny")
    assert caught.value.field == "data.source"
    (tmp_path / "other").mkdir()
    with pytest.raises(ValueError, match=r"neither metadata\.jsonl"):
        open_pairs(tmp_path / "other", "canny")
    (tutorial / "target" / "0.png").unlink()
    with pytest.raises(InputError, match=r"no such file: .*0\.png") as caught:
        _ = open_pairs(tutorial, "canny")[0]
    assert caught.value.field == "data.source"
    with pytest.raises(ValueError, match="unknown condition"):
        open_pairs(tutorial, "cany")


def test_captions_with_rare_line_ends_and_byte_order_mark(tutorial: Path):
    row = {"source": "source/0.png", "target": "target/0.png", "prompt": "one\u2028two\x85three"}
    second = {"source": "source/1.png", "target": "target/1.png", "prompt": None}
    text = json.dumps(row, ensure_ascii=False) + "\r\n" + json.dumps(second) + "\r\n"
    (tutorial / "prompt.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    pairs = open_pairs(tutorial, "canny")
    assert [pairs[i].caption for i in range(len(pairs))] == ["one\u2028two\x85three", ""]


def test_empty_columns_mean_no_map_and_no_caption(image_folder: Path):
    rows = [{"file_name": "0.jpg", "text": None, "caption": "second", "depth": None}, {"file_name": "1.jpg", "text": None}]
    lines(image_folder / "metadata.jsonl", rows)
    pairs = open_pairs(image_folder, "depth")
    assert [(pairs[i].caption, dict(pairs[i].maps)) for i in range(2)] == [("second", {}), ("", {})]


@pytest.mark.parametrize("key", ["source", "target"])
@pytest.mark.parametrize("value", ["", None, "a/../../b.png", ".."])
def test_paths_that_are_none_or_leave_the_folder(tutorial: Path, key: str, value: str | None):
    lines(tutorial / "prompt.json", [{"source": "source/0.png", "target": "target/0.png", key: value}])
    with pytest.raises(ValueError, match=rf"line 1( has no '{key}'|: {key} is .* inside the folder)"):
        open_pairs(tutorial, "canny")

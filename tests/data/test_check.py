"""`data check`: everything wrong with a folder is found in one go, each with its file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zeroconv.conditions import extract
from zeroconv.data import check
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
    assert "canny: this map looks inverted" in report.warnings[0]
    assert sheet is not None


def test_nothing_good_gives_no_sheet(folder: Path):
    for path in folder.glob("?.png"):
        path.unlink()
    report, sheet = check(folder)
    assert (report.good, len(report.problems), sheet) == (0, 6, None)


def test_no_folder(tmp_path: Path):
    with pytest.raises(InputError, match="no data folder"):
        check(tmp_path / "nowhere")

"""The paper's figures as experiments: what they measure, and what of them is kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments.paper.appearance import appearance
from experiments.paper.rows import Rows, difference, ratio, write_page
from experiments.paper.scenes import Maps
from PIL import Image

from tests.tiny import build_control, build_map


def test_looks_of_pictures_with_known_answers() -> None:
    grey = appearance(Image.new("RGB", (8, 8), (100, 100, 100)))
    assert grey == {"sharpness": 0.0, "colour": 0.0, "clipped": 0.0}
    red = appearance(Image.new("RGB", (8, 8), (255, 50, 50)))
    assert red == {"sharpness": 0.0, "colour": 205.0, "clipped": pytest.approx(1 / 3)}
    board = np.indices((8, 8)).sum(axis=0) % 2 * 40 + 100
    checkered = appearance(Image.fromarray(np.repeat(board[..., None], 3, axis=2).astype(np.uint8)))
    assert checkered == {"sharpness": pytest.approx(40.0), "colour": 0.0, "clipped": 0.0}


def test_a_row_is_made_once_and_found_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = Rows(path, ("condition", "steps"))
    rows.add({"condition": "canny", "steps": 8, "fidelity": [0.5, None]})
    again = Rows(path, ("condition", "steps"))
    found = again.find(steps=8, condition="canny")
    assert found is not None and found["fidelity"] == [0.5, None] and found["date"]
    assert again.find(steps=9, condition="canny") is None
    again.add({"condition": "depth", "steps": 8})
    assert len(Rows(path, ("condition", "steps")).rows) == 2


def test_what_people_wrote_around_a_table_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    write_page(page, "# Title\n\n", "the.script", ["| one |"])
    page.write_text(page.read_text("utf-8") + "\nIt says this.\n", "utf-8")
    write_page(page, "# Title\n\n", "the.script", ["| two |"])
    written = page.read_text("utf-8")
    assert written.startswith("# Title") and written.endswith("\nIt says this.\n")
    assert "| two |" in written and "| one |" not in written


def test_numbers_against_others_of_the_same_scenes() -> None:
    assert difference([0.5, 0.7], [0.4, 0.6]).value == pytest.approx(0.1)
    doubled = ratio([2.0, 6.0], [1.0, 3.0])
    assert (doubled.value, doubled.low, doubled.high) == pytest.approx((2.0, 2.0, 2.0))


def test_shifted_maps_are_those_of_the_next_scene(unet: Any) -> None:
    first, second, third = build_map(), Image.new("RGB", (64, 64)), Image.new("RGB", (64, 64), "white")
    maps = Maps(network=build_control(unet), images=[first, second, third])
    assert maps.shift().images == [second, third, first]

"""The tables of the embedded ControlNets: what names a row, and what is shown of the rows."""

import argparse
from pathlib import Path

import pytest
from experiments.paper.rows import Rows
from experiments.tiny import controls

from zeroconv.checkpoints.files.atomic import write_text


def test_a_digest_changes_with_any_weight_and_nothing_else(tmp_path: Path) -> None:
    for name in ("base", "control"):
        (tmp_path / name).mkdir()
        write_text(tmp_path / name / "model.safetensors", name)
    folders = tmp_path / "base", tmp_path / "control"
    before = controls.digest(*folders)
    write_text(tmp_path / "base" / "config.json", "{}")
    assert controls.digest(*folders) == before and len(before) == 8
    write_text(tmp_path / "base" / "model.safetensors", "trained on")
    assert controls.digest(*folders) != before


def test_the_table_counts_scenes_that_every_column_has(tmp_path: Path) -> None:
    args = argparse.Namespace(scenes=3, steps=12, controls=["pose"])
    rows = Rows(tmp_path / "tiny.jsonl", controls.NAMES)
    columns = {
        controls.TRUTH: [0.9, None, 0.9], controls.WITHOUT: [0.1, None, 0.1],
        "uniform": [0.5, None, 0.5], "condition-only": [0.9, None, 0.9],
    }  # fmt: skip
    for setting, fidelity in columns.items():
        rows.add({**controls.shared_names(args, "pose"), "setting": setting, "fidelity": fidelity})
    found = controls.tables(args, rows)
    name = "| `tiny-pose` | PCK@0.05 | 2 |"
    assert found["uniform"][-1].startswith(f"{name} .500 [.500, .500] | .100") and "| 50 % [50, 50] |" in found["uniform"][-1]
    assert found["condition-only"][-1].startswith(f"{name} .900") and "| 100 % [100, 100] |" in found["condition-only"][-1]


def test_what_is_measured_is_not_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--out", str(tmp_path / "out"), "--page", str(tmp_path / "tiny.md"), "--scenes", "1", "--steps", "1"]
    words += ["--controls", "canny"]
    controls.main(words)
    page = (tmp_path / "tiny.md").read_text("utf-8")
    assert "| `tiny-canny` | edge F1 | 1 |" in page
    monkeypatch.setattr(controls, "draw", None)
    controls.main(words)
    assert (tmp_path / "tiny.md").read_text("utf-8") == page

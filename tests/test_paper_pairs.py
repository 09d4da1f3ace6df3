"""Figure 10: what is drawn of each training, what its page makes of the numbers, and what of it is kept."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from experiments.paper import figure_10, training
from experiments.paper.rows import Rows
from experiments.paper.scenes import open_tiny
from experiments.paper.training import Trained

from zeroconv.control import ControlNet
from zeroconv.data import WorldPairs
from zeroconv.training.data.training_pairs import choose_held_out

SCENES = 8
SHARED = {"part": "pictures", "scenes": SCENES, "steps": 4}


def results_of(tmp_path: Path, fidelity: dict[tuple[str, int], list[float]]) -> figure_10.Results:
    """Results whose true pictures have 1 and those without control 0."""
    rows = Rows(tmp_path / "rows.jsonl", figure_10.NAMES)
    rows.add({"part": "budget", "minutes": 1.0, "seconds_of_step": 0.5, "optimizer_steps": 120})
    for name in figure_10.SETS:
        rows.add({**SHARED, "set": name, "shown": figure_10.TRUTH, "fidelity": [1.0] * SCENES})
        for prompt in figure_10.PROMPTS:
            rows.add({**SHARED, "set": name, "shown": figure_10.NO_CONTROL, "prompt": prompt, "fidelity": [0.0] * SCENES})
            for pairs in (10, 100):
                named = {"shown": figure_10.CONTROL, "pairs": pairs, "seed": 0, "minutes": 1.0, "prompt": prompt}
                rows.add({**SHARED, **named, "set": name, "fidelity": fidelity[name, pairs]})
                rows.add({"part": "training", "pairs": pairs, "minutes": 1.0, "seed": 0, "cpu_minutes": 1.5})
    args = argparse.Namespace(scenes=SCENES, steps=4, minutes=1.0, pairs=[10, 100], seeds=[0])
    return figure_10.Results(args, rows)


def count(lines: list[str], *parts: str) -> int:
    """Lines that hold all of these."""
    return sum(all(part in line for part in parts) for line in lines)


def test_numbers_with_known_answers_are_told_apart(tmp_path: Path) -> None:
    wide, none = [0.6, 0.7] * 4, [-0.1, 0.1] * 4
    found = results_of(
        tmp_path,
        {("trained", 10): [0.9] * SCENES, ("held out", 10): [0.3] * SCENES, ("trained", 100): wide, ("held out", 100): wide},
    )
    lines = found.verdict()
    assert count(lines, "on few pairs, here 10, ", ": agrees; ") == 2
    assert count(lines, "100 pairs better than 10, ", ": agrees; mean IoU of held-out scenes +0.350") == 2
    assert count(lines, "- 10 pairs, ", ": seen; +0.60") == count(lines, "- 100 pairs, ", ": not decided; +0.00") == 2
    assert "| 10 | 0.900 [0.900, 0.900] | 0.90 [0.90, 0.90] | 0.300 [0.300, 0.300] | 0.30" in found.table("none")[-2]
    assert found.trained()[-2:] == ["| 10 | 1 | 960 | 96 | 10 | 1.5 |", "| 100 | 1 | 960 | 9.6 | 100 | 1.5 |"]
    (tmp_path / "rows.jsonl").unlink()
    lines = results_of(tmp_path, {(name, pairs): none for name in figure_10.SETS for pairs in (10, 100)}).verdict()
    assert count(lines, "on few pairs", ": not decided; ") == 2


def test_the_scene_that_a_training_holds_out_is_none_of_those_that_are_drawn() -> None:
    names = WorldPairs(25, training.FIRST).names
    assert choose_held_out(names, 1, {}, None) == [24]
    assert WorldPairs(24, figure_10.SETS["trained"]).names == names[:24]


def test_a_stopped_figure_goes_on_and_times_a_step_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done, pipeline, network = list[str](), open_tiny(), ControlNet.from_pretrained("tiny-segmentation")

    def measure_step(out: Path, **changes: Any) -> float:
        done.append("timed")
        return 30.0

    def train_network(out: Path, steps: int, seed: int, report: Any, **changes: Any) -> Trained:
        done.append(f"{changes['data.source']}, {steps} steps")
        return Trained(network, 6.0)

    def make(folder: str) -> list[dict[str, Any]]:
        page = tmp_path / folder / "results" / "figure-10.md"
        words = ["--out", str(tmp_path / folder / "out"), "--page", str(page), "--scenes", "1", "--steps", "1"]
        figure_10.main([*words, "--pairs", "1", "--minutes", "1"])
        rows = Rows(page.with_suffix(".jsonl"), figure_10.NAMES).rows.values()
        return [{key: value for key, value in row.items() if key not in ("date", "cpu_minutes")} for row in rows]

    monkeypatch.setattr(training, "measure_step", measure_step)
    monkeypatch.setattr(training, "train_network", train_network)
    monkeypatch.setattr(figure_10, "prepare_scenes", lambda *_: {})
    monkeypatch.setattr(figure_10, "open_tiny", lambda: pipeline)
    monkeypatch.setattr(figure_10, "PROMPTS", {"none": "without a prompt"})
    whole, add = make("whole"), Rows.add
    assert done == ["timed", "world:2@500000000, 2 steps"]
    done.clear()

    def killed(rows: Rows, row: dict[str, Any]) -> dict[str, Any]:
        if len(rows.rows) == 7:  # one of two sets
            raise KeyboardInterrupt
        return add(rows, row)

    monkeypatch.setattr(Rows, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        make("stopped")
    monkeypatch.setattr(Rows, "add", add)
    assert make("stopped") == whole and done == ["timed", *["world:2@500000000, 2 steps"] * 2]
    done.clear()
    assert make("stopped") == whole and not done
    assert (tmp_path / "stopped" / "images" / "figure-10.webp").stat().st_size <= 80_000

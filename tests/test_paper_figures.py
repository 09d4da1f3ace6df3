"""The paper's figures as experiments: what they measure, and what of them is kept."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from experiments.paper import figure_8
from experiments.paper.appearance import appearance
from experiments.paper.comparing import difference, ratio
from experiments.paper.rows import Rows, write_page
from experiments.paper.scenes import Maps, open_tiny
from experiments.paper.training import Trained
from PIL import Image

from tests.tiny import build_control, build_inputs, build_map
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet


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


def test_a_row_that_a_killed_process_left_half_written_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    Rows(path, ("network", "seed")).add({"network": "zero", "fidelity": [0.5]})
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"network": "lite", "fid')
    rows = Rows(path, ("network", "seed"))
    assert path.read_bytes() == whole and len(rows.rows) == 1 and rows.find(network="zero") is not None
    rows.add({"network": "lite", "seed": 0})
    assert Rows(path, ("network", "seed")).find(network="lite", seed=0) is not None


@pytest.mark.parametrize("name", figure_8.NETWORKS)
def test_zero_convolutions_alone_begin_as_the_base(unet: Any, name: str) -> None:
    settings: dict[str, Any] = {key.removeprefix("model."): value for key, value in figure_8.NETWORKS[name].items()}
    network = ControlNet.from_unet(unet, conditioning_embedding_out_channels=(4, 4, 8, 8), **settings)
    z_t, t, text, condition = build_inputs(unet)
    control = ActiveControl(network, network.encode_condition(condition))
    alone, controlled = unet(z_t, t, text).sample, ControlledUNet(unet)(z_t, t, text, [control])
    assert torch.equal(alone, controlled) == (name != "Gaussian")


def test_prompts_of_each_setting() -> None:
    captions = ["a house", "a car", "a man"]
    chosen = {setting: figure_8.choose_prompts(captions, setting) for setting in figure_8.PROMPTS}
    assert chosen["none"] == ["", "", ""] and chosen["perfect"] == captions
    assert chosen["conflicting"] == ["a car", "a man", "a house"] and len(set(chosen["insufficient"])) == 1


def test_zero_is_above_another_only_where_the_scenes_decide() -> None:
    scores = figure_8.Scores(
        ceiling=[0.8, 0.8, 0.8],
        without=[0.2, 0.2, 0.2],
        networks={"zero": [[0.4, 0.5, 0.6], [0.6, 0.5, 0.4]], "Gaussian": [[0.3, 0.3, 0.3]], "lite": [[0.2, 0.5, 0.8]]},
    )
    assert scores.mean("zero") == pytest.approx([0.5, 0.5, 0.5])
    assert scores.order() == ["zero above Gaussian: yes", "zero above lite: not decided"]
    assert scores.rows()[3].startswith("| Gaussian | 0.300 [0.300, 0.300] | 0.17 [0.17, 0.17] | -0.200 [-0.200, -0.200] |")


def test_a_stopped_figure_goes_on_and_writes_the_same_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, pipeline, network = list[str](), open_tiny(), ControlNet.from_pretrained("tiny-canny")

    def train(args: Any, rows: Rows, name: str, seed: int) -> Trained:
        trained.append(name)
        return Trained(network, 1.0)

    def make(folder: str) -> list[dict[str, Any]]:
        page = tmp_path / folder / "results" / "figure-8.md"
        words = ["--out", str(tmp_path / folder / "out"), "--page", str(page), "--scenes", "1", "--steps", "1"]
        figure_8.main(words)
        rows = Rows(page.with_suffix(".jsonl"), figure_8.NAMES).rows.values()
        assert all(set(figure_8.JUDGES.values()) <= set(row) for row in rows)
        return [{key: value for key, value in row.items() if key not in ("date", "cpu_minutes")} for row in rows]

    monkeypatch.setattr(figure_8, "train", train)
    monkeypatch.setattr(figure_8, "open_tiny", lambda: pipeline)
    monkeypatch.setattr(figure_8, "NETWORKS", {"zero": {}, "lite": {}})
    monkeypatch.setattr(figure_8, "PROMPTS", ("none", "perfect"))
    whole, add = make("whole"), Rows.add

    def killed(rows: Rows, row: dict[str, Any]) -> dict[str, Any]:
        if len(rows.rows) == 4:
            raise KeyboardInterrupt
        return add(rows, row)

    monkeypatch.setattr(Rows, "add", killed)
    with pytest.raises(KeyboardInterrupt):
        make("stopped")
    monkeypatch.setattr(Rows, "add", add)
    assert make("stopped") == whole and trained == ["zero", "lite", "zero", "zero", "lite"]
    trained.clear()
    assert make("stopped") == whole and not trained
    assert (tmp_path / "stopped" / "images" / "figure-8.webp").stat().st_size <= 80_000

"""The run folder: one run and no other, a log that fits the state, the best network with its card."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.tiny import build_control, build_map, copies, unchanged
from zeroconv.control import ControlNet
from zeroconv.errors import InputError
from zeroconv.images import write_png
from zeroconv.training import TrainConfig
from zeroconv.training.config.train_config import SHORT
from zeroconv.training.run_folder.folder import RunFolder


def open_folder(path: Path) -> RunFolder:
    folder = RunFolder(path)
    folder.open(TrainConfig.build())
    return folder


@pytest.mark.parametrize(
    "changed",
    [
        {"base": "other"}, {"data": "world:9"}, {"condition": "depth"}, {"variant": "lite"}, {"connection": "gaussian"},
        {"condition_encoder": "paper"}, {"control": "tiny-canny"}, {"batch_size": 9}, {"seed": 1}, {"probe_count": 9},
        {"optimizer": "muon"}, {"condition_encoder_channels": (8, 8)}, {"rank": 8},
    ],
)  # fmt: skip
def test_another_run_is_refused_and_the_first_kept(tmp_path: Path, changed: dict[str, Any]) -> None:
    open_folder(tmp_path / "run")
    (name,) = changed
    with pytest.raises(ValueError, match=rf"holds a run with {SHORT[name]} = .*, now .* is asked for: choose another --out"):
        RunFolder(tmp_path / "run").open(TrainConfig.build(**changed))
    assert TrainConfig.build(tmp_path / "run" / "config.toml") == TrainConfig.build()


def test_how_long_and_how_fast_may_change(tmp_path: Path) -> None:
    open_folder(tmp_path / "run")
    longer = TrainConfig.build(steps=5000, learning_rate=1e-4, probe_every=7, decay_steps=9)
    RunFolder(tmp_path / "run").open(longer)
    assert TrainConfig.build(tmp_path / "run" / "config.toml") == longer


def test_a_file_in_the_way_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="run"):
        open_folder(tmp_path / "run")


def test_log_is_rewound_to_the_state(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    for step in (0, 2, 4):
        folder.log("probe", step, fidelity=step / 10)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "probe", "step": 6, "fid')  # a crash in the middle of a line
    kept = folder.rewind_log(2)
    assert kept == [{"event": "probe", "step": s, "fidelity": s / 10} for s in (0, 2)]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == kept
    folder.log("progress", 4, loss=1.0)
    assert [row["step"] for row in folder.rewind_log(10)] == [0, 2, 4]


def test_the_log_is_on_the_disk_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, synced, fsync = open_folder(tmp_path), list[int](), os.fsync
    folder.sync_log()  # there is none
    folder.log("progress", 1, loss=0.5)
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.fstat(file).st_ino), fsync(file)))
    folder.sync_log()
    assert synced == [(tmp_path / "log.jsonl").stat().st_ino]


@pytest.mark.parametrize("name", ["config.toml", "cache/kept.txt", "samples/a.png", "controlnet/config.json", "log.jsonl"])
def test_a_folder_of_another_program_is_never_touched(name: str, tmp_path: Path) -> None:
    """Neither by a new run, which would take the place of its cache, nor by `--fresh`, which would remove it."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("[server]\nport = 1\n")
    (tmp_path / "notes.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    for refused in (lambda: RunFolder(tmp_path).clear(), lambda: RunFolder(tmp_path).open(TrainConfig.build())):
        with pytest.raises(InputError, match=r"is no training's, and a run would replace it: choose another --out"):
            refused()
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / name).read_text() == "[server]\nport = 1\n"


def test_a_run_that_was_killed_at_once_is_begun_anew(tmp_path: Path) -> None:
    """Before its settings were written, or by an earlier version while they were."""
    for content in (None, ""):
        for path in ("lock", "log.jsonl"):
            (tmp_path / path).write_text("")
        if content is not None:
            (tmp_path / "config.toml").write_text(content)
        folder = RunFolder(tmp_path)
        folder.clear()
        folder.open(TrainConfig.build())
        folder.unlock()
        folder.clear()


def test_log_of_a_new_folder_is_empty(tmp_path: Path) -> None:
    assert open_folder(tmp_path).rewind_log(0) == []


def test_the_best_network_is_a_controlnet_folder_with_its_card(unet: Any, tmp_path: Path) -> None:
    folder, network = open_folder(tmp_path), build_control(unet, seed=1)
    assert folder.read_best() < 0
    sheet = write_png(build_map(), tmp_path / "samples" / "step-000007.png")
    folder.save_best(network, 7, 0.25, sheet, {"edge F1": 0.25}, "apache-2.0")
    assert folder.read_best() == 0.25
    card = (tmp_path / "controlnet" / "README.md").read_text("utf-8")
    assert "license: apache-2.0" in card and "| edge F1 | 0.25 |" in card and "![Samples](samples.png)" in card
    assert (tmp_path / "controlnet" / "samples.png").read_bytes() == sheet.read_bytes()
    assert unchanged(ControlNet.from_pretrained(tmp_path), copies(network.state_dict().items()))


def test_readme_says_how_to_use_it(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    folder.write_readme(TrainConfig.build(), "Kept: step 7.")
    text = (tmp_path / "README.md").read_text("utf-8")
    assert f"--control {tmp_path}" in text and "Kept: step 7." in text

"""The run folder: one run and no other, a log that fits the state, a state that gives back what was saved."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import build_control, build_map, copies, unchanged
from zeroconv.control import ControlNet
from zeroconv.images import write_png
from zeroconv.training import TrainConfig
from zeroconv.training.optimizer import OptimizerName, build_optimizer
from zeroconv.training.run_folder import RunFolder


def opened(path: Path) -> RunFolder:
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
    opened(tmp_path / "run")
    (name,) = changed
    with pytest.raises(ValueError, match=rf"holds a run with {name} = .*, now .* is asked for: choose another --out"):
        RunFolder(tmp_path / "run").open(TrainConfig.build(**changed))
    assert TrainConfig.build(tmp_path / "run" / "config.toml") == TrainConfig.build()


def test_how_long_and_how_fast_may_change(tmp_path: Path) -> None:
    opened(tmp_path / "run")
    longer = TrainConfig.build(steps=5000, learning_rate=1e-4, probe_every=7, decay_steps=9)
    RunFolder(tmp_path / "run").open(longer)
    assert TrainConfig.build(tmp_path / "run" / "config.toml") == longer


def test_a_file_in_the_way_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(OSError, match="run"):
        opened(tmp_path / "run")


def test_log_is_rewound_to_the_state(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    for step in (0, 2, 4):
        folder.log("probe", step, fidelity=step / 10)
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"event": "probe", "step": 6, "fid')  # a crash in the middle of a line
    kept = folder.rewind_log(2)
    assert kept == [{"event": "probe", "step": s, "fidelity": s / 10} for s in (0, 2)]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == kept
    folder.log("progress", 4, loss=1.0)
    assert [row["step"] for row in folder.rewind_log(10)] == [0, 2, 4]


def test_log_of_a_new_folder_is_empty(tmp_path: Path) -> None:
    assert opened(tmp_path).rewind_log(0) == []


def stepped(network: ControlNet, steps: int, optimizer: torch.optim.Optimizer | None = None) -> torch.optim.Optimizer:
    """A few steps, of AdamW if no optimizer is given, on a made-up loss."""
    optimizer = optimizer or build_optimizer(network, "adamw", 1e-3, 0.01)
    for step in range(steps):
        optimizer.zero_grad()
        torch.stack([((p - step) ** 2).sum() for p in network.parameters()]).sum().backward()
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_state_gives_back_network_and_optimizer(unet: Any, tmp_path: Path, kind: OptimizerName) -> None:
    folder, network = opened(tmp_path), build_control(unet, seed=1)
    optimizer = stepped(network, 2, build_optimizer(network, kind, 1e-3, 0.01))
    assert {int(moments["step"]) for moments in optimizer.state.values()} == {2}  # how an interrupt knows whole updates
    folder.save_state(network, optimizer, 2)
    expected = copies(network.state_dict().items())
    stepped(network, 3, optimizer)
    after = copies(network.state_dict().items())

    other = build_control(unet, seed=2)
    fresh = build_optimizer(other, kind, 1e-3, 0.01)
    assert folder.load_state(other, fresh) == 2
    assert unchanged(other, expected)
    stepped(other, 3, fresh)  # moments and step counts too
    assert unchanged(other, after)


def test_only_the_newest_state_is_kept(unet: Any, tmp_path: Path) -> None:
    folder, network = opened(tmp_path), build_control(unet)
    optimizer = stepped(network, 1)
    for step in (1, 5, 3):
        folder.save_state(network, optimizer, step)
    assert sorted(p.name for p in (tmp_path / "state").iterdir()) == ["step-0000003.safetensors", "step.json"]
    assert folder.load_state(network, optimizer) == 3


def test_without_a_state_it_begins_at_nought(unet: Any, tmp_path: Path) -> None:
    network = build_control(unet)
    before = copies(network.state_dict().items())
    assert opened(tmp_path).load_state(network, stepped(network, 0)) == 0
    assert unchanged(network, before)


def test_the_best_network_is_a_controlnet_folder_with_its_card(unet: Any, tmp_path: Path) -> None:
    folder, network = opened(tmp_path), build_control(unet, seed=1)
    assert folder.best() < 0
    sheet = write_png(build_map(), tmp_path / "samples" / "step-000007.png")
    folder.save_best(network, 7, 0.25, sheet, {"edge F1": 0.25}, "apache-2.0")
    assert folder.best() == 0.25
    card = (tmp_path / "controlnet" / "README.md").read_text("utf-8")
    assert 'license: "apache-2.0"' in card and "| edge F1 | 0.25 |" in card and "![Samples](samples.png)" in card
    assert (tmp_path / "controlnet" / "samples.png").read_bytes() == sheet.read_bytes()
    assert unchanged(ControlNet.from_pretrained(tmp_path), copies(network.state_dict().items()))


def test_readme_says_how_to_use_it(tmp_path: Path) -> None:
    folder = opened(tmp_path)
    folder.write_readme(TrainConfig.build(), "Kept: step 7.")
    text = (tmp_path / "README.md").read_text("utf-8")
    assert f"--control {tmp_path}" in text and "Kept: step 7." in text

"""Trackers hear every line of the log once, change no bit of the run, and cannot end it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tests.training.conftest import Settings
from tests.training.test_trainer import at_probe, interrupted_by, log, state
from zeroconv.errors import InputError
from zeroconv.training import Event, Message, TrainConfig, train
from zeroconv.training.tracking.trackers import numbers_of


class Killed(BaseException):
    """What no run catches."""


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard would show."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found: Any = EventAccumulator(str(folder / "tensorboard"), size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    found.Reload()
    assert found.Tags()["images"] == ["probe/sheet"]
    for image in found.Images("probe/sheet"):
        assert image.encoded_image_string.startswith(b"\x89PNG") and image.width > 256
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def logged(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The same from the log."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in log(folder):
        for step, numbers in numbers_of(row):
            for name, value in numbers.items():
                found.setdefault(name, []).append((step, value))
    return found


def rounded(series: dict[str, list[tuple[int, float]]]) -> dict[str, Any]:
    drop = ("train/samples_per_second", "memory", "train/memory")
    return {
        name: [(step, pytest.approx(value, rel=1e-5)) for step, value in points]
        for name, points in series.items()
        if name not in drop
    }


def test_tensorboard_shows_each_step_of_a_killed_run_once(settings: Settings, tmp_path: Path) -> None:
    plain = settings(out=tmp_path / "plain")
    train(plain)
    config = settings(track="tensorboard")
    with pytest.raises(Killed):  # two steps after the last state
        train(config, interrupted_by(Killed, at_probe(4)))
    train(config)
    shown, said = scalars(config.checkpoint.out), logged(config.checkpoint.out)
    assert {name for name in shown if not name.startswith("train/") or name == "train/loss"} >= {
        "train/loss", "probe/fidelity", "probe/fidelity_low", "probe/fidelity_high", "probe/without_prompt",
    }  # fmt: skip
    for name, points in rounded(said).items():
        assert shown[name] == points, name
    assert [step for step, _ in shown["train/loss"]] == [1, 2, 3, 4]
    assert [step for step, _ in shown["train/gradient_norm"]] == [1, 2, 3, 4]
    assert log(config.checkpoint.out) == log(plain.checkpoint.out)
    one, other = state(config.checkpoint.out), state(plain.checkpoint.out)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_global_generators_stay_where_they_are(settings: Settings) -> None:
    import random

    import numpy as np

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    train(settings(steps=1, track="tensorboard"))
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()
    assert torch.equal(before[0], after[0]) and before[1] == after[1] and str(before[2]) == str(after[2])


class Heard:
    """A stand-in for the packages `wandb` and `trackio`, which keeps what it is told."""

    def __init__(self) -> None:
        self.opened: list[dict[str, Any]] = []
        self.told: list[tuple[int, dict[str, Any]]] = []
        self.finished = 0
        self.fails = False

    def init(self, **options: Any) -> Any:
        self.opened.append(options)
        return SimpleNamespace(log=self.log, finish=self.finish)

    def log(self, numbers: dict[str, Any], step: int) -> None:
        if self.fails:
            raise ConnectionError("the line\nis dead")
        self.told.append((step, numbers))

    def finish(self) -> None:
        self.finished += 1

    def points(self, name: str) -> list[tuple[int, Any]]:
        return [(step, numbers[name]) for step, numbers in self.told if name in numbers]


@pytest.fixture(params=["wandb", "trackio"])
def tracker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Heard]:
    heard, module = Heard(), ModuleType(request.param)
    for name, value in {"init": heard.init, "finish": heard.finish, "Image": lambda path: ("image", path)}.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, request.param, module)
    return request.param, heard


def test_trackers_that_cannot_rewind_hear_each_step_once(settings: Settings, tracker: tuple[str, Heard]) -> None:
    name, heard = tracker
    config = settings(track=name)
    with pytest.raises(Killed):
        train(config, interrupted_by(Killed, at_probe(4)))
    train(config)
    said = logged(config.checkpoint.out)
    for series in ("train/loss", "probe/fidelity", "probe/fidelity_low", "probe/held_out_loss", "train/learning_rate"):
        assert heard.points(series) == said[series], series
    assert [step for step, _ in heard.told] == sorted(step for step, _ in heard.told)
    folder = config.checkpoint.out
    assert heard.points("probe/sheet") == [(s, ("image", str(folder / "samples" / f"step-{s:06d}.png"))) for s in (0, 2, 4)]
    first, second = heard.opened
    key = "id" if name == "wandb" else "name"
    assert first[key] == second[key] and first[key].startswith("run-") and first["resume"] == "allow"
    assert first["config"]["optimization"]["batch_size"] == 2 and json.dumps(first["config"])
    assert heard.finished == 2


def test_a_tracker_that_begins_late_hears_what_was_before(settings: Settings, tracker: tuple[str, Heard]) -> None:
    train(settings(steps=2))
    config = settings(track=tracker[0])
    train(config)
    assert tracker[1].points("train/loss") == logged(config.checkpoint.out)["train/loss"]


@pytest.mark.parametrize("where", ["open", "log", "finish"])
def test_a_tracker_that_fails_ends_itself_alone(
    where: str, settings: Settings, tracker: tuple[str, Heard], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, heard = tracker

    def fail(*_: Any, **__: Any) -> Any:
        raise ConnectionError("the line\nis dead")

    heard.fails = where == "log"
    if where == "open":
        monkeypatch.setattr(sys.modules[name], "init", fail)
    if where == "finish":
        monkeypatch.setattr(heard, "finish", fail)
        monkeypatch.setattr(sys.modules[name], "finish", fail)
    events: list[Event] = []
    assert train(settings(track=f"tensorboard,{name}", steps=1), events.append).step == 1
    told = [event.text for event in events if isinstance(event, Message) and event.code == "run.tracker"]
    assert told == [f"{name} fails (ConnectionError: the line is dead): the run goes on without it"]


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_package_that_is_missing_is_said_before_anything_is_made(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard" if name == "tensorboard" else name, None)
    config = settings(track=name)
    with pytest.raises(InputError, match=rf'track = {name} needs a package .*: pip install "zeroconv\[{name}\]"$') as caught:
        train(config)
    assert caught.value.field == "checkpoint.track" and not config.checkpoint.out.exists()


def test_trackers_are_named_in_every_way_settings_are() -> None:
    build: Callable[..., TrainConfig] = TrainConfig.build
    assert build().checkpoint.track == ()
    both = build(assignments=["track=tensorboard,wandb"])
    assert both.checkpoint.track == ("tensorboard", "wandb") == build(track=["tensorboard", "wandb"]).checkpoint.track
    assert TrainConfig.parse(both.to_toml()) == both
    with pytest.raises(InputError, match=r"checkpoint\.track"):
        build(track="comet")

"""`auto` takes the fastest way by the clock, tries others only where that pays, and says what it found."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from zeroconv.messages import Message, listen
from zeroconv.runtime import choice
from zeroconv.runtime.choice import TIMED, FastestUNet, Runtime, UNetRunner

PACE: dict[Runtime, float] = {"torch": 1.0, "plan": 0.6, "openvino": 0.4}


class Runs:
    """Runners that only let time pass, and note who ran."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pace: dict[Runtime, float], preparation: float = 5.0) -> None:
        self.now, self.log, self.pace, self.preparation = 0.0, list[str](), pace, preparation
        monkeypatch.setattr(choice, "run_unet", self.run_unet)
        monkeypatch.setattr(choice, "is_installed", lambda: "openvino" in pace)
        monkeypatch.setattr("zeroconv.runtime.choice.time.perf_counter", lambda: self.now)

    def run_unet(self, _: Any, way: Runtime) -> UNetRunner:
        first = [0.0 if way == "torch" else self.preparation]

        def run(z_t: Tensor, *_: Any) -> Tensor:
            self.log.append(way)
            self.now += self.pace[way] + (first.pop() if first else 0.0)
            return z_t

        return cast(UNetRunner, run)


def draw(fast: FastestUNet, steps: int, calls: int = 1, size: int = 8) -> list[Message]:
    told = list[Message]()
    with listen(told.append):
        for _ in range(calls):
            fast.expect(steps)
            for t in range(steps):
                fast(torch.zeros(2, 4, size, size), t, torch.zeros(2, 7, 16))
    return told


@pytest.fixture
def unet() -> Iterator[torch.nn.Linear]:
    yield torch.nn.Linear(4, 4)


def test_tries_each_and_takes_the_fastest(monkeypatch: pytest.MonkeyPatch, unet: Any) -> None:
    runs, fast = Runs(monkeypatch, PACE), FastestUNet(unet)
    told = draw(fast, 50, calls=2)
    tried = ["torch", "plan", "openvino"]
    assert runs.log == [way for way in tried for _ in range(1 + TIMED)] + ["openvino"] * (100 - 3 * (1 + TIMED))
    assert [message.code for message in told] == ["runtime.chosen"]
    assert told[0].text.startswith("runtime openvino") and "torch 1000 ms, plan 600 ms, openvino 400 ms" in told[0].text
    assert set(fast.runners) == {"torch", "openvino"}, "what lost is let go"
    assert [message.code for message in draw(fast, 50, size=16)] == ["runtime.chosen"], "another size is measured anew"


def test_the_preparation_does_not_count_as_a_step(monkeypatch: pytest.MonkeyPatch, unet: Any) -> None:
    runs = Runs(monkeypatch, {"torch": 1.0, "plan": 0.9}, preparation=100.0)
    assert draw(FastestUNet(unet), 50)[0].text.startswith("runtime plan")
    assert "openvino" not in runs.log, "it is not installed"


def test_a_short_call_tries_nothing(monkeypatch: pytest.MonkeyPatch, unet: Any) -> None:
    runs, fast = Runs(monkeypatch, {"torch": 0.01, "plan": 0.006, "openvino": 0.004}), FastestUNet(unet)
    assert not draw(fast, 20) and set(runs.log) == {"torch"}
    assert draw(fast, 100) and set(runs.log) == {"torch", "plan"}, "for OpenVINO there is not enough"
    assert draw(fast, 2000) and set(runs.log) == {"torch", "plan", "openvino"}


def test_torch_stays_where_nothing_is_faster(monkeypatch: pytest.MonkeyPatch, unet: Any) -> None:
    runs = Runs(monkeypatch, {"torch": 1.0, "plan": 1.1, "openvino": 1.2})
    told = draw(FastestUNet(unet), 50)
    assert told[0].text.startswith("runtime torch") and runs.log[-1] == "torch"

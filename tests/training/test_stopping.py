"""A run that is asked to stop ends after its step with everything saved, however it is asked."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import Settings, settings_in
from tests.training.test_trainer import log, same, state
from zeroconv.training import Event, ProbeEvent, Trainer, stopping, train
from zeroconv.training.stopping import SIGNALS, Stopped, StopRequest


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """No signal is ignored, though the tests themselves were started in the background or by `nohup`."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def whole(base_folder: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that nobody stopped."""
    config = settings_in(tmp_path_factory.mktemp("whole"), base_folder, data_folder)()
    train(config)
    return config.checkpoint.out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run_after_its_step_and_the_same_call_goes_on(
    settings: Settings, whole: Path, number: signal.Signals
) -> None:
    config, handlers = settings(), signal.getsignal(number)
    trainer = Trainer(config, lambda _: None)
    trainer.optimizer.register_step_post_hook(lambda *_: os.kill(os.getpid(), number) if trainer.done == 0 else None)
    summary = trainer.fit()
    assert summary.stopped == number.name and summary.step == 1
    assert int(state(config.checkpoint.out)["step"]) == 1
    assert signal.getsignal(number) is handlers
    assert train(config).stopped is None
    assert same(state(config.checkpoint.out), state(whole))
    losses = [[loss for row in log(one) for loss in row.get("losses", [])] for one in (config.checkpoint.out, whole)]
    assert losses[0] == losses[1] and len(losses[0]) == 4


def test_a_signal_in_a_probe_is_not_kept_waiting(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    config, asked = settings(), list[int]()
    trainer = Trainer(config, lambda _: None)

    def generate(*_: Any, **__: Any) -> Any:
        asked.append(trainer.done)
        if trainer.done == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the probe went on")
        return real(*_, **__)

    real = trainer.probe.held_out.generate
    monkeypatch.setattr(type(trainer.probe.held_out), "generate", lambda _, *args, **options: generate(*args, **options))
    summary = trainer.fit()
    assert summary.stopped == "SIGTERM" and summary.step == 2 and asked == [0, 0, 2]  # without control, at nought, at two
    assert int(state(config.checkpoint.out)["step"]) == 2


def test_a_file_called_stop_ends_the_run_and_goes(settings: Settings) -> None:
    config = settings()

    def report(event: Event) -> None:
        if isinstance(event, ProbeEvent) and event.step == 2:
            (config.checkpoint.out / "stop").touch()

    summary = train(config, report)
    assert summary.stopped == f"the file {config.checkpoint.out / 'stop'}" and summary.step == 2
    assert not (config.checkpoint.out / "stop").exists()
    assert train(config).step == 4


def test_a_run_in_another_thread_hears_no_signals_and_trains(settings: Settings) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(train(settings()).step))
    thread.start()
    thread.join()
    assert found == [4]


def test_a_stop_at_the_last_step_is_no_stop(settings: Settings) -> None:
    trainer = Trainer(settings(), lambda _: None)
    trainer.optimizer.register_step_post_hook(lambda *_: os.kill(os.getpid(), signal.SIGTERM) if trainer.done == 3 else None)
    summary = trainer.fit()
    assert summary.step == 4 and summary.stopped is None


def test_signals_at_one_moment_are_one_request(tmp_path: Path) -> None:
    """Ctrl-C under `torchrun`: the terminal's SIGINT, and the launcher's SIGTERM right after it."""
    request = StopRequest(tmp_path / "stop")
    with request.listening():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
        assert request.reason() == "SIGINT"


def test_a_second_signal_ends_the_process_as_if_nobody_listened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stopping, "TOGETHER", 0.0)
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        request = StopRequest(tmp_path / "stop")
        with request.listening():
            os.kill(os.getpid(), signal.SIGTERM)
            assert request.reason() == "SIGTERM" and heard == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ignored_signals_stay_ignored_and_the_file_works(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        request = StopRequest(tmp_path / "stop")
        with request.listening():
            os.kill(os.getpid(), signal.SIGINT)
            assert request.reason() is None
            request.file.touch()
            assert request.reason() is not None
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_was_heard_before_counts_where_stopping_costs_nothing(tmp_path: Path) -> None:
    request = StopRequest(tmp_path / "stop")
    with request.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Stopped), request.interruptible():
            pytest.fail("went on")


def test_steps_are_whole(settings: Settings) -> None:
    """A signal in the middle of an update waits for its end."""
    trainer = Trainer(settings(probe_every=100), lambda _: None)
    trainer.optimizer.register_step_pre_hook(lambda *_: os.kill(os.getpid(), signal.SIGINT) if trainer.done == 1 else None)
    trainer.fit()
    assert trainer.done == 2 and not trainer.saver.is_updating

"""The way from a name to a network is short and goes down: resolve, read, build."""

import sys
import threading
from pathlib import Path
from types import FrameType

from tests.test_architecture import MODULES, imports_of, module_of
from zeroconv import ControlNet

SOURCE = next(iter(MODULES.values())).parents[1]
MOST_CALLS = 20


def module_at(frame: FrameType | None) -> str | None:
    """The module of ours that a frame runs in, or the nearest one that called it; None outside and while importing."""
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(SOURCE):
            return None if frame.f_code.co_name == "<module>" else module_of(path)
        frame = frame.f_back
    return None


def calls_between_modules(name: str) -> list[tuple[str, str]]:
    """Every call from one module of ours to another while a ControlNet is opened: (caller, called)."""
    calls: list[tuple[str, str]] = []

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and Path(frame.f_code.co_filename).is_relative_to(SOURCE):
            caller, called = module_at(frame.f_back), module_at(frame)
            if caller is not None and called is not None and caller != called:
                calls.append((caller, called))

    def watch() -> None:
        sys.setprofile(record)
        try:
            ControlNet.from_pretrained(name)
        finally:
            sys.setprofile(None)

    ControlNet.from_pretrained(name)  # what is imported late is imported now
    thread = threading.Thread(target=watch)  # of its own: a browser's tests may have left this one where nothing is profiled
    thread.start()
    thread.join()
    return calls


def below(module: str) -> set[str]:
    """Every module of ours that a module imports, directly or by way of others."""
    found, waiting = set[str](), [module]
    while waiting:
        new = (imports_of(waiting.pop()) & MODULES.keys()) - found - {"zeroconv"}
        found |= new
        waiting += new
    return found


def test_opening_takes_few_calls_and_none_climbs_back_up() -> None:
    calls = calls_between_modules("tiny-canny")
    assert 5 < len(calls) <= MOST_CALLS, calls
    climbs = [(caller, called) for caller, called in calls if caller in below(called)]
    assert not climbs

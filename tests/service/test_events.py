"""Whoever loses the thread finds it again: after any event come those that followed, and an end is never lost."""

from hypothesis import given
from hypothesis import strategies as st

from zeroconv.service.events import ENDS, KEPT, EventLog, EventLogs

NAMES = st.sampled_from(["queued", "started", "step", "preview", "message", "result"])


@given(st.lists(NAMES), st.sampled_from(ENDS), st.integers(0, 60))
def test_events_come_in_order_and_once_whenever_one_looks(names: list[str], end: str, cut: int) -> None:
    log, seen, number = EventLog(), list[tuple[int, str]](), 0
    for place, name in enumerate(names):
        log.add(name, {"place": place})
        if place % 3 == 0:
            found = log.after(number)
            seen += [(event.number, event.name) for event in found]
            number = found[-1].number
    log.add(end, {})
    log.add("step", {})
    seen += [(event.number, event.name) for event in log.after(number)]
    assert [place for place, _ in seen] == sorted({place for place, _ in seen}) and seen[-1][1] == end
    kept = [name for name in names if name in ("message", "result", "started")]
    assert [name for _, name in seen if name in ("message", "result", "started")] == kept
    assert log.after(cut)[-1].name == end and log.after(10**9)[-1].name == end


def test_of_what_grows_old_the_newest_is_kept_alone() -> None:
    log = EventLog()
    for step in range(1000):
        log.add("step", {"step": step})
        log.add("preview", {"step": step})
    assert [(event.name, event.data["step"]) for event in log.after(0)] == [("step", 999), ("preview", 999)]


def test_followers_are_called_until_they_leave() -> None:
    log, calls = EventLog(), list[int]()
    leave = log.follow(lambda: calls.append(1))
    log.add("step", {})
    leave()
    log.add("step", {})
    assert calls == [1]


def test_logs_of_jobs_that_have_ended_are_let_go_and_followed_ones_are_not() -> None:
    logs = EventLogs()
    logs.open("followed").follow(lambda: None)
    for number in range(3 * KEPT):
        logs.open(str(number)).add("done", {})
    assert len(logs.logs) <= KEPT + 3 and logs.get("followed") and logs.followers() == 1

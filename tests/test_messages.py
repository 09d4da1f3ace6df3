"""Messages: one channel, each said once, with a code; without a listener a Python warning that points at the caller."""

import threading
import warnings

import pytest

from zeroconv.messages import Message, MessageWarning, listen, tell

EMPTY = Message("this map is empty", "map.empty")


def test_a_listener_hears_each_message_once() -> None:
    heard: list[Message] = []
    with listen(heard.append):
        for message in (EMPTY, EMPTY, EMPTY.about("a.png"), Message("opened", "base.opened", "info"), EMPTY):
            tell(message)
    assert [str(one) for one in heard] == ["this map is empty", "a.png: this map is empty", "opened"]


def test_without_a_listener_a_warning_points_at_the_caller() -> None:
    with pytest.warns(MessageWarning, match="this map is empty") as caught:
        tell(EMPTY)
    (found,) = caught
    assert found.filename == __file__
    assert isinstance(found.message, MessageWarning) and found.message.message is EMPTY


def test_what_is_merely_worth_knowing_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell(Message("opened", "base.opened", "info"))


def test_the_inner_listener_hears_and_can_pass_on() -> None:
    outer: list[Message] = []
    inner: list[Message] = []

    def pass_on(message: Message) -> None:
        inner.append(message)
        tell(message.about("inner"))

    with listen(outer.append):
        with listen(pass_on):
            tell(EMPTY)
        tell(EMPTY)
    assert inner == [EMPTY]
    assert outer == [EMPTY.about("inner"), EMPTY]


def test_other_threads_are_not_listened_to() -> None:
    heard: list[Message] = []

    def elsewhere() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tell(EMPTY)

    with listen(heard.append):
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert heard == []


def test_lines_and_json() -> None:
    assert EMPTY.line() == "warning: this map is empty"
    assert EMPTY.to_json() == {"code": "map.empty", "level": "warning", "text": "this map is empty"}

"""Clients that hold a connection and do nothing with it, and bodies that would keep everybody waiting."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from zeroconv.web import patience
from zeroconv.web.guard import Body, Guard

pytest.importorskip("uvicorn")
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LONG = 8 * 2**20  # bytes, more than the system takes for a client that reads none


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with a long body, or with a short one after a while."""
    path = scope["path"]
    if path == "/slow":
        await asyncio.sleep(0.5)
    body = b"x" * LONG if path == "/long" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    import uvicorn
    from uvicorn.protocols.http.auto import AutoHTTPProtocol

    monkeypatch.setattr(patience, "PATIENCE", 0.3)
    monkeypatch.setattr(patience, "STALLED", 0.3)
    config = uvicorn.Config(
        app, port=0, log_config=None, lifespan="off", http=patience.patient(AutoHTTPProtocol), timeout_keep_alive=60
    )
    server, bound = uvicorn.Server(config), config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield bound.getsockname()
    server.should_exit = True
    thread.join()


def is_closed(one: socket.socket) -> bool:
    """Whether the server closes within some seconds."""
    one.settimeout(10)
    try:
        while one.recv(2**20):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("start", [b"G", b"GET / HTTP/1.1\r\nHost: loc"])
def test_whoever_sends_no_whole_head_is_let_go(address: tuple[str, int], start: bytes, before: int) -> None:
    with socket.create_connection(address) as one:
        for _ in range(before):
            one.sendall(HEAD)
            got = b""
            while not got.endswith(b"ok"):
                got += one.recv(1000)
        one.sendall(start)
        assert is_closed(one)


def test_whoever_sends_nothing_is_let_go(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as one:
        assert is_closed(one)


def test_a_head_that_drips_is_let_go(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as one, pytest.raises(ConnectionError):
        for _ in range(500):
            one.sendall(b"G")
            time.sleep(0.02)


def test_whoever_takes_no_answer_is_let_go(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as one:
        one.sendall(HEAD.replace(b"/ ", b"/long "))
        time.sleep(2)
        one.settimeout(10)
        got = 0
        try:
            while part := one.recv(2**20):
                got += len(part)
        except ConnectionError:
            pass
        assert got < LONG


def test_answers_that_take_long_are_waited_for_and_connections_serve_again(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as one:
        one.settimeout(10)
        for path in (b"/slow ", b"/ ", b"/slow "):
            one.sendall(HEAD.replace(b"/ ", path, 1))
            got = b""
            while not got.endswith(b"ok"):
                part = one.recv(1000)
                assert part, got
                got += part
            time.sleep(0.4)  # longer than a head may take


@pytest.mark.parametrize("unit", [b"[", b"{", b"[],", b'{"a":1},'])
def test_json_of_very_many_values_is_refused_before_it_is_read_as_such(unit: bytes) -> None:
    sent: list[Any] = []
    parts = [unit * 20_000] * 40

    async def receive() -> Any:
        body = parts.pop()
        return {"type": "http.request", "body": body, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    guard = Guard(app, body=lambda method, path: Body(2**25))
    asyncio.run(guard(scope, receive, send))
    assert sent[0]["status"] == 413 and "values" in json.loads(sent[1]["body"])["error"] and len(parts) > 20 and not guard.held


def test_json_with_long_texts_is_let_in() -> None:
    sent: list[Any] = []
    parts = [json.dumps({"image": "A" * 2**20, "prompt": "a, b [c] " * 1000}).encode()]

    async def receive() -> Any:
        return {"type": "http.request", "body": parts.pop(), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
    asyncio.run(Guard(app, body=lambda method, path: Body(2**25))(scope, receive, send))
    assert sent[0]["status"] == 200

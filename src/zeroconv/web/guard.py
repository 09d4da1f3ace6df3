"""What stands before every route: known hosts, own pages, short bodies that come in time, and headers that keep others out."""

import asyncio
import json
from collections.abc import Iterable
from typing import Any

from zeroconv.web.headers import HEADERS, LOOPBACK

__all__ = ["Guard"]

PATIENCE = 20.0  # seconds for the body of a slow client
OWN_HEADERS = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
READING = ("GET", "HEAD")


class Guard:
    """An ASGI application around another one.

    Args:
        app: the application inside.
        hosts: names that browsers may call this server by, without port, beside those of this machine. A page of another
            name that was made to lead here (DNS rebinding) is refused.
        longest_body: bytes.
    """

    def __init__(self, app: Any, hosts: Iterable[str] = (), longest_body: int = 8192) -> None:
        self.app, self.longest_body = app, longest_body
        self.hosts = LOOPBACK | {host.lower() for host in hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request in, or refuse it before anything of it is read."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = list[tuple[bytes, bytes]](scope["headers"])

        async def send_guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = list[tuple[bytes, bytes]](message.get("headers", ()))
                names = {name.lower() for name, _ in own}
                message = {**message, "headers": [*own, *(pair for pair in OWN_HEADERS.items() if pair[0] not in names)]}
            await send(message)

        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or without_port(hosts[0]) not in self.hosts:
            await refuse(send_guarded, 421, "this server is not known by that name")
        elif scope["method"] in READING:
            await self.app(scope, receive, send_guarded)
        elif not is_own_page(dict(headers), hosts[0]):
            await refuse(send_guarded, 403, "only the page itself may send something")
        else:
            await self.pass_body(scope, dict(headers), receive, send_guarded)

    async def pass_body(self, scope: Any, headers: dict[bytes, bytes], receive: Any, send: Any) -> None:
        """Let in a request with its body, once all of that is there."""
        said = headers.get(b"content-length", b"0")
        if not said.isdigit() or int(said) > self.longest_body:
            await refuse(send, 413, f"at most {self.longest_body} bytes may be sent")
            return
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() != b"application/json":
            await refuse(send, 415, "expected application/json")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                body = await read_body(receive, self.longest_body)
        except TimeoutError:
            await refuse(send, 408, f"the request did not come within {PATIENCE:.0f} seconds")
            return
        except OverflowError:
            await refuse(send, 413, f"at most {self.longest_body} bytes may be sent")
            return
        if body is None:
            return
        parts = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive_again() -> Any:
            return parts.pop() if parts else await receive()

        await self.app(scope, receive_again, send)


async def read_body(receive: Any, longest: int) -> bytes | None:
    """All of a body; None when the client left.

    Raises:
        OverflowError: it is longer.
    """
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if len(body) > longest:
            raise OverflowError
        if not message.get("more_body"):
            return body


def is_own_page(headers: dict[bytes, bytes], host: str) -> bool:
    """Whether a page of this server asks, where the browser says which one does."""
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"same-origin")
    own = origin is None or origin.decode("latin-1") in (f"http://{host}", f"https://{host}")
    return own and site in (b"same-origin", b"none")


def without_port(host: str) -> str:
    """The name in a Host header: "localhost" of "localhost:8766"."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()


async def refuse(send: Any, status: int, why: str) -> None:
    """Answer that something is not done; the connection ends, as there may be more of the request."""
    body = json.dumps({"error": why}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

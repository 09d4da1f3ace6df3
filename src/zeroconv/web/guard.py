"""What stands before every route: known hosts, own pages, who may come in, and bodies that are short and come in time."""

import asyncio
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from zeroconv.web.headers import HEADERS, LOOPBACK

__all__ = ["STRUCTURE", "Body", "Guard", "Refusal", "admit_all"]

PATIENCE = 20.0  # seconds for the body of a slow client, and those that it takes at
SLOWEST = 2**16  # bytes in a second
REQUESTS = 1024  # that are answered at a time, without those of health
MEMORY = 512 * 2**20  # bytes of bodies that are on their way at a time
OWN_HEADERS = {name.lower().encode(): value.encode() for name, value in HEADERS.items()}
READING = ("GET", "HEAD")
PROBES = ("/health", "/ready")
STRUCTURE = "[", "{", ","
"""What begins a value in JSON."""


@dataclass(frozen=True)
class Body:
    """What may be sent to a route.

    Attributes:
        longest: bytes.
        kinds: content types; one that ends in "/" stands for all that begin so.
        is_optional: whether nothing, of no kind, may be sent as well.
        values: in JSON, by its brackets and commas: nobody else is answered while they are read.
    """

    longest: int = 8192
    kinds: tuple[str, ...] = ("application/json",)
    is_optional: bool = False
    values: int = 20_000


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let in.

    Attributes:
        status: of HTTP.
        message: one line.
        headers: beside those of every answer.
    """

    status: int
    message: str
    headers: tuple[tuple[str, str], ...] = ()


Headers = dict[bytes, bytes]
CROWDED = Refusal(503, "too many requests are being answered", (("Retry-After", "2"),))


def admit_all(scope: Any, headers: Headers) -> Refusal | None:
    """Nobody is asked who he is."""


class Guard:
    """An ASGI application around another one.

    Args:
        app: the application inside.
        hosts: names that browsers may call this server by, without port, beside those of this machine. A page of another
            name that was made to lead here (DNS rebinding) is refused.
        body: `body(method, path)`: what may be sent to a route.
        admit: `admit(scope, headers)`: why somebody may not come in, asked before anything is read; None lets in.
        describe: a refusal as JSON.
        note: told the status of every answer.
    """

    def __init__(
        self,
        app: Any,
        hosts: Iterable[str] = (),
        body: Callable[[str, str], Body] = lambda method, path: Body(),
        admit: Callable[[Any, Headers], Refusal | None] = admit_all,
        describe: Callable[[Refusal], Any] = lambda refusal: {"error": refusal.message},
        note: Callable[[int], None] = lambda status: None,
    ) -> None:
        self.app, self.body, self.admit, self.describe, self.note = app, body, admit, describe, note
        self.hosts = LOOPBACK | {host.lower() for host in hosts}
        self.held, self.requests = 0, 0

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
                self.note(message["status"])
                own = list[tuple[bytes, bytes]](message.get("headers", ()))
                names = {name.lower() for name, _ in own}
                message = {**message, "headers": [*own, *(pair for pair in OWN_HEADERS.items() if pair[0] not in names)]}
            await send(message)

        hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
        if len(hosts) != 1 or without_port(hosts[0]) not in self.hosts:
            await self.refuse(send_guarded, Refusal(421, "this server is not known by that name"))
        elif scope["method"] not in READING and not is_own_page(dict(headers), hosts[0]):
            await self.refuse(send_guarded, Refusal(403, "only the page itself may send something"))
        elif (refusal := self.admit(scope, dict(headers))) is not None:
            await self.refuse(send_guarded, refusal)
        elif self.requests >= REQUESTS and scope["path"] not in PROBES:
            await self.refuse(send_guarded, CROWDED)
        else:
            self.requests += 1
            try:
                await self.pass_on(scope, dict(headers), receive, send_guarded)
            finally:
                self.requests -= 1

    async def pass_on(self, scope: Any, headers: Headers, receive: Any, send: Any) -> None:
        """Let in a request."""
        if scope["method"] == "HEAD":
            await self.app({**scope, "method": "GET"}, receive, without_content(send))
        elif scope["method"] == "GET":
            await self.app(scope, receive, send)
        else:
            await self.pass_body(scope, headers, receive, send)

    async def pass_body(self, scope: Any, headers: Headers, receive: Any, send: Any) -> None:
        """Let in a request with its body, once all of that is there."""
        said, body = headers.get(b"content-length", b"0"), self.body(scope["method"], scope["path"])
        too_long = Refusal(413, f"at most {body.longest} bytes may be sent")
        if not said.isdigit() or len(said) > 18 or int(said) > body.longest:
            await self.refuse(send, too_long)
            return
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower().decode("latin-1")
        is_known = any(kind == one or (one.endswith("/") and kind.startswith(one)) for one in body.kinds)
        is_empty = int(said) == 0 and b"transfer-encoding" not in headers
        if not is_known and not (body.is_optional and is_empty):
            await self.refuse(send, Refusal(415, f"expected {' or '.join(body.kinds)}".replace("image/", "image/*")))
            return
        most = body.values if kind == "application/json" else None
        reading, patience = Reading(self, body.longest, most), PATIENCE + (int(said) or body.longest) / SLOWEST
        try:
            async with asyncio.timeout(patience):
                content = await reading.read(receive)
        except TimeoutError:
            await self.refuse(send, Refusal(408, f"the request did not come within {patience:.0f} seconds"))
        except OverflowError as error:
            await self.refuse(send, Refusal(413, f"at most {body.values} values may be sent") if error.args else too_long)
        except MemoryError:
            await self.refuse(send, Refusal(503, "too much is being sent at a time", (("Retry-After", "5"),)))
        else:
            if content is not None:
                parts = [{"type": "http.request", "body": content, "more_body": False}]

                async def receive_again() -> Any:
                    return parts.pop() if parts else await receive()

                await self.app(scope, receive_again, send)
        finally:
            reading.release()

    async def refuse(self, send: Any, refusal: Refusal) -> None:
        """Answer that something is not done; the connection ends, as there may be more of the request."""
        content = json.dumps(self.describe(refusal)).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(content)).encode()),
            (b"connection", b"close"),
            *((name.lower().encode(), value.encode()) for name, value in refusal.headers),
        ]
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


def without_content(send: Any) -> Any:
    """Sends an answer's headers, and that nothing follows: what HEAD asks for, of events that go on as well."""
    ended = False

    async def send_headers(message: Any) -> None:
        nonlocal ended
        if message["type"] == "http.response.start":
            await send(message)
        elif not ended:
            ended = True
            await send({"type": "http.response.body", "body": b""})

    return send_headers


class Reading:
    """A body on its way, which counts in the memory of the guard until it was dealt with.

    Args:
        guard: that reads it.
        longest: bytes.
        values: brackets and commas; None for what is no JSON.
    """

    def __init__(self, guard: Guard, longest: int, values: int | None = None) -> None:
        self.guard, self.longest, self.values, self.held = guard, longest, values, 0

    async def read(self, receive: Any) -> bytes | None:
        """All of it; None when the client left.

        Raises:
            OverflowError: it is longer, or holds more values.
            MemoryError: together with others it is too much.
        """
        parts: list[bytes] = []
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            part: bytes = message.get("body", b"")
            parts.append(part)
            self.held += len(part)
            self.guard.held += len(part)
            if self.held > self.longest:
                raise OverflowError
            if self.values is not None:
                self.values -= sum(part.count(mark.encode()) for mark in STRUCTURE)
                if self.values < 0:
                    raise OverflowError("values")
            if self.guard.held > MEMORY:
                raise MemoryError
            if not message.get("more_body"):
                return b"".join(parts)

    def release(self) -> None:
        """It is done with."""
        self.guard.held -= self.held
        self.held = 0


def is_own_page(headers: Headers, host: str) -> bool:
    """Whether a page of this server asks, where the browser says which one does."""
    origin, site = headers.get(b"origin"), headers.get(b"sec-fetch-site", b"same-origin")
    own = origin is None or origin.decode("latin-1") in (f"http://{host}", f"https://{host}")
    return own and site in (b"same-origin", b"none")


def without_port(host: str) -> str:
    """The name in a Host header: "localhost" of "localhost:8766"."""
    name, colon, port = host.lower().rpartition(":")
    return name if colon and port.isdigit() else host.lower()

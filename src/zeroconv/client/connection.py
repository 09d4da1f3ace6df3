"""HTTP to one server and no other: what it refuses as errors, waiting where it says so, events as they come."""

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

from zeroconv.errors import InputError

__all__ = ["Connection", "ServerError"]

SOON = (429, 503)
"""Answers after which the same may be asked again: nothing was done."""
LONGEST_LINE = 2**24  # bytes of an event


class ServerError(Exception):
    """The server does not do what was asked for, or cannot be reached, and the request is not what is wrong.

    Args:
        message: one line.
        code: for programs, such as "busy", "missing", "deadline", "cancelled" or "unreachable".
        status: of HTTP; None where there is none.
    """

    def __init__(self, message: str, code: str, status: int | None = None) -> None:
        super().__init__(message)
        self.code, self.status = code, status


class Connection:
    """A server.

    Args:
        url: such as "http://127.0.0.1:7860", perhaps with a path before "/api/v1".
        token: that it asks for.
        timeout: seconds without a byte after which it counts as gone.
        patience: seconds in all that a request may be put off for because the server is busy.

    Raises:
        InputError: the address is none of HTTP.
    """

    def __init__(self, url: str, token: str | None, timeout: float, patience: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            said = f"{url!r:.80} is no address of a server; expected such as http://127.0.0.1:7860"
            raise InputError(said, field="url")
        self.kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.host, self.port, self.path = parts.hostname, parts.port, parts.path.rstrip("/")
        self.token, self.timeout, self.patience = token, timeout, patience

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer.

        Args:
            method: of HTTP.
            path: with its query, behind the server's own.
            body: plain values; bytes of a picture as they are.

        Raises:
            InputError: the server cannot use a value; with its field.
            ServerError: for all else.
        """
        return json.loads(self.bytes(method, path, body))

    def bytes(self, method: str, path: str, body: Any = None) -> bytes:
        """The bytes of an answer; raises as `json`."""
        end = time.monotonic() + self.patience
        while True:
            with self.open(method, path, body) as answer:
                content = answer.read()
                if answer.status < 400:
                    return content
                wait = seconds_to_wait(answer)
                if answer.status not in SOON or time.monotonic() + wait > end:
                    raise describe(answer.status, content)
            time.sleep(wait)

    def events(self, path: str, after: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Server-sent events as id, name and data, until the connection ends.

        Args:
            path: of the stream.
            after: the id of the last event that is known; none if empty.

        Raises:
            ServerError: there are none.
        """
        with self.open("GET", path, headers={"Last-Event-ID": after} if after else None) as answer:
            if answer.status != 200:
                raise describe(answer.status, answer.read())
            fields: dict[str, str] = {}
            while line := answer.readline(LONGEST_LINE):
                name, _, value = line.decode("utf-8").rstrip("\r\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    yield fields.get("id", after), fields["event"], json.loads(fields.get("data", "{}"))
                    fields = {}

    @contextmanager
    def open(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> "Generator[HTTPResponse]":
        """An answer of any status.

        Raises:
            ServerError: the server cannot be reached, or went away.
        """
        sent = {**(headers or {}), **({} if self.token is None else {"Authorization": f"Bearer {self.token}"})}
        if isinstance(body, bytes):
            sent["Content-Type"] = "image/*"
        elif body is not None:
            body, sent["Content-Type"] = json.dumps(body), "application/json"
        connection = self.kind(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, self.path + path, body, sent)
            yield connection.getresponse()
        except (OSError, HTTPException) as error:
            said = str(error) or type(error).__name__
            raise ServerError(f"the server at {self.host} does not answer: {said}", "unreachable") from error
        finally:
            connection.close()


def seconds_to_wait(answer: HTTPResponse) -> int:
    """Seconds after which a server wants to be asked again."""
    said = answer.headers.get("Retry-After", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 6 else 1


def describe(status: int, content: bytes) -> Exception:
    """An answer as an error."""
    try:
        found = json.loads(content)["error"]
        return refuse(found, status)
    except (ValueError, KeyError, TypeError):
        return ServerError(f"the server answers with status {status}", "status", status)


def refuse(found: dict[str, Any], status: int | None = None) -> Exception:
    """What a server says about an error, as one."""
    message, hint = str(found["message"]), found.get("hint")
    if found["code"] == "input":
        return InputError(message, field=found.get("field"), hint=hint)
    return ServerError(message if hint is None else f"{message}: {hint}", str(found["code"]), status)

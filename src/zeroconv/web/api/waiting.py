"""Waiting for the service on behalf of a client, as long as the client waits."""

import asyncio
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from zeroconv.service import Failure, ServiceError

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["client_of", "wait_for"]

LONGEST_NAME = 64  # letters of a client's


def client_of(request: "Request") -> str:
    """Whose turn a request takes: the name in `X-Client`, or the address it came from."""
    name = request.headers.get("x-client", "")[:LONGEST_NAME].strip()
    return name or (request.client.host if request.client else "unknown")


async def wait_for(future: "Future[dict[str, Any]]", request: "Request", seconds: float) -> dict[str, Any]:
    """The result of a task; a client that leaves gives its place up.

    Args:
        future: of the task.
        request: of the client.
        seconds: until it is too late.

    Raises:
        ServiceError: it failed, is late, or nobody waits any more.
    """
    waiting, leaving = asyncio.wrap_future(future), asyncio.create_task(leave(request))
    try:
        await asyncio.wait({waiting, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done() and not waiting.cancelled():
            return waiting.result()
        if waiting.cancelled():
            raise ServiceError(Failure("unavailable", "the service stops"), 5)
        raise ServiceError(Failure("deadline", f"it was not done within {seconds:g} s"))
    finally:
        waiting.cancel()
        leaving.cancel()


async def leave(request: "Request") -> None:
    """Return when the client is gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

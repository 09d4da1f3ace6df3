"""A job from its request to its pictures for a client that waits for them, as programs of the other surfaces do."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zeroconv.generation import GenerationRequest
from zeroconv.service import Failure, Service, ServiceError
from zeroconv.service.events import EventLog
from zeroconv.web.api.waiting import client_of, leave

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["Finished", "finish", "random_seed"]


@dataclass(frozen=True)
class Finished:
    """A job that has ended.

    Attributes:
        state: "done" or "cancelled".
        results: for each picture that was made, as in `GET generations/{id}`.
        messages: what was told.
        pictures: the files, PNG with what makes them again.
    """

    state: str
    results: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    pictures: list[bytes]

    def encoded(self) -> list[str]:
        """The files as base64 text."""
        return [base64.b64encode(content).decode("ascii") for content in self.pictures]


def random_seed() -> int:
    """A seed where a client wants any, of 32 bits as the other programs have them."""
    return secrets.randbits(32)


async def finish(
    service: Service, request: GenerationRequest, http: "Request", begun: Callable[[str], None] = lambda job: None
) -> Finished:
    """Make the pictures of a request while the client waits; a client that leaves cancels its job.

    Args:
        service: that makes them.
        request: what is asked for.
        http: of the client.
        begun: told the name of the job once it waits.

    Raises:
        InputError: it asks for what is not there, or for too much.
        ServiceError: there is no place, it failed, or the service stops.
    """
    from fastapi.concurrency import run_in_threadpool

    job = (await run_in_threadpool(service.submit, request, client_of(http))).id
    begun(job)
    try:
        is_over = await follow(await run_in_threadpool(service.board.follow, job), http, service)
    except asyncio.CancelledError:
        service.board.cancel(job)
        raise
    if not is_over:
        await run_in_threadpool(service.board.cancel, job)
    found = await run_in_threadpool(service.board.describe, job)
    if found["state"] == "failed":
        raise ServiceError(Failure(**found["error"]))
    contents = [await run_in_threadpool(service.pictures.read_png, one["picture"]) for one in found["results"]]
    return Finished(found["state"], found["results"], found["messages"], contents)


async def follow(log: EventLog, http: "Request", service: Service) -> bool:
    """Wait for the end of a job: whether it came before the client left.

    Raises:
        ServiceError: the service stops; the job is done when it starts again.
    """
    loop, happened = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(happened.set)

    unfollow, leaving = log.follow(wake), asyncio.create_task(leave(http))
    try:
        while True:
            happened.clear()
            if log.ended:
                return True
            if leaving.done():
                return False
            if service.board.turns.closed:
                raise ServiceError(Failure("unavailable", "the service stops"), 5)
            waiting = asyncio.create_task(happened.wait())
            await asyncio.wait({waiting, leaving}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
    finally:
        unfollow()
        leaving.cancel()

"""Generations: asked for, looked at, followed, cancelled."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Annotated, Any

from zeroconv.generation import GenerationRequest
from zeroconv.service import Service
from zeroconv.service.events import ENDS, Event, EventLog
from zeroconv.web.api.bodies import GenerationAnswer
from zeroconv.web.api.waiting import client_of

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["add_generation_routes", "event_text"]

HEARTBEAT = 15.0  # seconds without an event after which a line says that the connection lives
STREAM = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx passes events on as they come


def add_generation_routes(router: "APIRouter", service: Service) -> None:
    """Add them to a router."""
    from fastapi import Header, Request
    from fastapi.concurrency import run_in_threadpool
    from fastapi.responses import StreamingResponse

    @router.post("/generations", status_code=202, summary="Make pictures")
    async def begin(body: GenerationRequest, request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        job = await run_in_threadpool(service.submit, body, client_of(request))
        return {"id": job.id, "state": "queued", "position": service.board.position(job.id) or 0}

    @router.get("/generations/{generation}", summary="A generation as it stands")
    def show(generation: str) -> GenerationAnswer:  # pyright: ignore[reportUnusedFunction]
        return GenerationAnswer(**service.board.describe(generation))

    @router.delete("/generations/{generation}", summary="Cancel a generation")
    async def cancel(generation: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"state": await run_in_threadpool(service.board.cancel, generation)}

    @router.get("/generations/{generation}/events", response_class=StreamingResponse, summary="Follow a generation")
    async def follow(  # pyright: ignore[reportUnusedFunction]
        generation: str, last_event_id: Annotated[str, Header()] = ""
    ) -> StreamingResponse:
        log = await run_in_threadpool(service.board.follow, generation)
        after = log.number_of(last_event_id)
        return StreamingResponse(events(log, after, service), media_type="text/event-stream", headers=STREAM)


async def events(log: EventLog, after: int, service: Service) -> AsyncIterator[str]:
    """The events of a log as they come, until its end, the client's or the service's."""
    loop, happened = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(happened.set)

    leave, closing = log.follow(wake), service.board.turns
    try:
        yield "retry: 1000\n\n"
        silent = 0.0
        while True:
            happened.clear()
            for event in log.after(after):
                after, silent = event.number, 0.0
                yield event_text(event, log.name_of(event))
                if event.name in ENDS:
                    return
            if closing.closed:
                return
            try:
                await asyncio.wait_for(happened.wait(), 1.0)
            except TimeoutError:
                silent += 1.0
                if silent >= HEARTBEAT:
                    silent = 0.0
                    yield ": the connection lives\n\n"
    finally:
        leave()


def event_text(event: Event, name: str) -> str:
    """An event in the format of server-sent events."""
    return f"id: {name}\nevent: {event.name}\ndata: {json.dumps(event.data, allow_nan=False)}\n\n"

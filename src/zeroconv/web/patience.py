"""Connections on which nothing comes or goes for too long are closed: a server has so many of them and no more."""

import asyncio
from typing import Any

__all__ = ["patient"]

PATIENCE = 20.0  # seconds for the head of a request
STALLED = 60.0  # seconds in which a client must take some of an answer


def patient(protocol: type[Any]) -> type[Any]:
    """A protocol of uvicorn that waits for nobody longer than it must.

    Args:
        protocol: `H11Protocol` or `HttpToolsProtocol`, which know how long to wait between requests, but neither for the
            head of one nor for somebody who takes no answer.
    """

    class PatientProtocol(protocol):
        """The same, with two clocks."""

        head_clock: asyncio.TimerHandle | None = None
        answer_clock: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            """Somebody is there."""
            super().connection_made(transport)
            self.wait_for_head()

        def data_received(self, data: bytes) -> None:
            """Something came."""
            super().data_received(data)
            if self.is_waiting():
                self.wait_for_head()
            else:
                self.head_clock = stop(self.head_clock)

        def connection_lost(self, exc: Exception | None) -> None:
            """Nobody is there any more."""
            self.head_clock, self.answer_clock = stop(self.head_clock), stop(self.answer_clock)
            super().connection_lost(exc)

        def pause_writing(self) -> None:
            """The client takes less than it is sent."""
            super().pause_writing()
            self.answer_clock = self.loop.call_later(STALLED, self.transport.abort)

        def resume_writing(self) -> None:
            """It has taken what it was sent."""
            self.answer_clock = stop(self.answer_clock)
            super().resume_writing()

        def is_waiting(self) -> bool:
            """Whether no request is being answered."""
            return self.cycle is None or bool(self.cycle.response_complete)

        def wait_for_head(self) -> None:
            """Give the head of a request its time, from its first byte on."""
            if self.head_clock is None:
                self.head_clock = self.loop.call_later(PATIENCE, self.give_up)

        def give_up(self) -> None:
            """Close, if the head has not come."""
            self.head_clock = None
            if self.is_waiting():
                self.transport.abort()

    return PatientProtocol


def stop(clock: asyncio.TimerHandle | None) -> None:
    """Stop a clock, if it goes."""
    if clock is not None:
        clock.cancel()

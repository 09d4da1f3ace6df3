"""Pictures of strangers are decoded beside the loop that answers everybody, and few at a time."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from fastapi import Request

__all__ = ["in_turn"]

DECODING = 2  # pictures at a time: one may take 300 MB
Given = ParamSpec("Given")
Found = TypeVar("Found")


async def in_turn(http: "Request", function: Callable[Given, Found], *args: Given.args, **kwargs: Given.kwargs) -> Found:
    """What a function that decodes pictures returns, in a thread, once fewer than two others of the application are at it.

    Args:
        http: of the client, and of the application.
        function: it.
        *args: its arguments.
        **kwargs: likewise.
    """
    from fastapi.concurrency import run_in_threadpool

    state = http.app.state
    if not hasattr(state, "decoding"):
        state.decoding = asyncio.Semaphore(DECODING)
    async with state.decoding:
        return await run_in_threadpool(function, *args, **kwargs)

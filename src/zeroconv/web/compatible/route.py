"""Routes whose errors have the shape of the surface that they belong to."""

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from zeroconv.errors import InputError
from zeroconv.service import Failure, ServiceError
from zeroconv.web.api.errors import STATUSES

if TYPE_CHECKING:
    from fastapi import Request, Response
    from fastapi.routing import APIRoute

__all__ = ["Shape", "route_class"]

Shape = Callable[[Failure, int], tuple[int, dict[str, Any]]]
"""`shape(failure, status)`: the status and the body of the answer."""
Handler = Callable[["Request"], Coroutine[Any, Any, "Response"]]


def route_class(shape: Shape) -> type["APIRoute"]:
    """A class of routes that answer errors in a shape.

    Args:
        shape: of errors.
    """
    from fastapi import Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.routing import APIRoute

    def answer(failure: Failure, status: int, seconds: int | None = None) -> "Response":
        status, body = shape(failure, status)
        content = json.dumps(body)  # ASCII, as what somebody sent may be no text
        headers = {} if seconds is None else {"Retry-After": str(seconds)}
        return Response(content, status, headers, "application/json")

    class Route(APIRoute):
        """A route of this shape."""

        def get_route_handler(self) -> Handler:
            """The handler inside one that answers its errors."""
            inner = super().get_route_handler()

            async def handle(request: "Request") -> "Response":
                try:
                    return await inner(request)
                except ServiceError as error:
                    status = STATUSES.get(error.failure.code, 503)
                    seconds = error.retry_after if error.retry_after is not None else 5 if status == 503 else None
                    return answer(error.failure, status, seconds)
                except InputError as error:
                    return answer(Failure.of_input(error), 422)
                except RequestValidationError as error:
                    return answer(*describe_validation(error.errors()[0]))

            return handle

    return Route


def describe_validation(first: Any) -> tuple[Failure, int]:
    """The first thing that is wrong with a body, and the status."""
    if first["type"] == "json_invalid":
        return Failure("bad-request", "the request is not JSON"), 400
    inner, field = first.get("ctx", {}).get("error"), ".".join(str(part) for part in first["loc"][1:]) or None
    if isinstance(inner, InputError):
        return Failure("input", str(inner), field or inner.field), 422
    return Failure("input", f"{field or 'the request'}: {first['msg']}", field), 422

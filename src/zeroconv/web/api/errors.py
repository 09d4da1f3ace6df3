"""Every error of the routes in one shape, with a status that says who can mend it."""

import logging
from typing import TYPE_CHECKING, Any

from zeroconv.errors import InputError
from zeroconv.service.failure import Failure, ServiceError
from zeroconv.web.failures import CODES, respond

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

__all__ = ["STATUSES", "add_handlers"]

STATUSES = {
    "busy": 429, "missing": 404, "unavailable": 503, "worker-died": 503, "deadline": 504, "storage": 503,
    "out-of-memory": 503, "internal": 500, "conflict": 409, "not-finite": 422, "input": 422,
}  # fmt: skip
AWAY = "try again soon; what was asked for before is done when it answers"
UNEXPECTED = "unexpected {}: whoever runs the server finds more in its log"


def add_handlers(app: "FastAPI") -> None:
    """Have every error of an application's routes answered in the one shape."""
    from fastapi.exceptions import RequestValidationError

    def handle_http(_: "Request", error: Any) -> "Response":
        said = {404: "there is no such address", 405: "this address does not know that method"}
        message = said.get(error.status_code, str(error.detail))
        return respond(Failure(CODES.get(error.status_code, "error"), message), error.status_code, error.headers)

    def handle_service(_: "Request", error: Any) -> "Response":
        status = STATUSES.get(error.failure.code, 503)
        seconds = error.retry_after if error.retry_after is not None else 5 if status == 503 else None
        return respond(error.failure, status, {} if seconds is None else {"Retry-After": str(seconds)})

    def handle_input(_: "Request", error: Any) -> "Response":
        return respond(Failure.of_input(error), 422)

    def handle_validation(_: "Request", error: Any) -> "Response":
        first = error.errors()[0]
        place = [str(part) for part in first["loc"]][1:]
        if first["type"] == "json_invalid":
            return respond(Failure("bad-request", "the request is not JSON"), 400)
        inner = first.get("ctx", {}).get("error")
        if isinstance(inner, InputError):
            inner_field = [inner.field] if inner.field else []
            return respond(Failure("input", str(inner), ".".join([*place, *inner_field]) or None), 422)
        field = ".".join(place) or None
        return respond(Failure("input", f"{field or 'the request'}: {first['msg']}", field), 422)

    def handle_disk(_: "Request", error: Any) -> "Response":
        if isinstance(error, ConnectionError):  # said once, where it was lost
            return respond(Failure("storage", "the database does not answer now", hint=AWAY), 503, {"Retry-After": "5"})
        logging.getLogger("zeroconv.web").error("storage", exc_info=error)
        said = f"the server cannot read or write its files: {error.strerror or type(error).__name__}"
        return respond(Failure("storage", said), 503, {"Retry-After": "5"})

    def handle_mistake(_: "Request", error: Any) -> "Response":
        return respond(Failure("internal", UNEXPECTED.format(type(error).__name__)), 500)

    for status in (400, 404, 405):
        app.add_exception_handler(status, handle_http)
    app.add_exception_handler(ServiceError, handle_service)
    app.add_exception_handler(InputError, handle_input)
    app.add_exception_handler(RequestValidationError, handle_validation)
    app.add_exception_handler(OSError, handle_disk)
    app.add_exception_handler(Exception, handle_mistake)

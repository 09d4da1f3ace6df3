"""One shape for every error: `{"error": {"code", "message", "field", "hint"}}`."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zeroconv.service.failure import Failure
from zeroconv.web.guard import Refusal

if TYPE_CHECKING:
    from fastapi import Response

__all__ = ["CODES", "describe_refusal", "respond"]

CODES = {
    400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "missing", 405: "method", 408: "timeout", 409: "conflict",
    413: "too-large", 415: "media-type", 421: "host", 422: "input", 429: "busy", 503: "unavailable", 504: "deadline",
}  # fmt: skip
"""By status of HTTP."""
LONGEST = 500  # letters of a message


def shape(failure: Failure) -> dict[str, Any]:
    """A failure as the body of an answer."""
    values = failure.to_json()
    return {"error": {**values, "message": values["message"][:LONGEST]}}


def describe_refusal(refusal: Refusal) -> dict[str, Any]:
    """A refusal of the guard in the same shape."""
    return shape(Failure(CODES.get(refusal.status, "error"), refusal.message))


def respond(failure: Failure, status: int, headers: Mapping[str, str] | None = None) -> "Response":
    """A failure as an answer."""
    from fastapi import Response

    content = json.dumps(shape(failure))  # ASCII, as what somebody sent may be no text
    return Response(content, status, media_type="application/json", headers=dict(headers or {}))

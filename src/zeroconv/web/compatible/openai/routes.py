"""The routes of `/v1`, in the shapes of OpenAI's API, errors too."""

import time
from typing import TYPE_CHECKING, Any

from zeroconv.errors import InputError
from zeroconv.generation import GenerationRequest
from zeroconv.service import Failure, Service
from zeroconv.web.compatible.jobs import finish
from zeroconv.web.compatible.openai.bodies import find_base, in_their_words, read_request
from zeroconv.web.compatible.openai.edits import read_edit
from zeroconv.web.compatible.route import route_class

if TYPE_CHECKING:
    from fastapi import APIRouter, Request

__all__ = ["EDITS", "openai_router"]

EDITS = "/v1/images/edits"
OBJECT: dict[str, Any] = {"schema": {"type": "object"}}
JSON_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"application/json": OBJECT}}}
FORM_BODY: dict[str, Any] = {"requestBody": {"required": True, "content": {"multipart/form-data": OBJECT}}}
TYPES = {404: "invalid_request_error", 429: "rate_limit_error"}
CODES = {"missing": "model_not_found", "busy": "rate_limit_exceeded", "input": "invalid_value"}


def shape(failure: Failure, status: int) -> tuple[int, dict[str, Any]]:
    """An error as OpenAI answers it; what cannot be used is a 400 there."""
    status = 400 if status == 422 else status
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    said = failure.message if failure.hint is None else f"{failure.message}: {failure.hint}"
    code = CODES.get(failure.code, failure.code)
    return status, {"error": {"message": said, "type": kind, "param": failure.field, "code": code}}


def openai_router(service: Service) -> "APIRouter":
    """The routes, for any FastAPI application.

    Args:
        service: that does what they ask for.
    """
    from fastapi import APIRouter, Request

    router = APIRouter(prefix="/v1", route_class=route_class(shape))

    @router.get("/models", summary="Bases")
    async def models() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"object": "list", "data": [describe(base.name) for base in service.known().bases]}

    @router.get("/models/{model:path}", summary="A base")
    async def model(model: str) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return describe(find_base(model, service.known()).name)

    @router.post("/images/generations", openapi_extra=JSON_BODY, summary="Pictures from text and controls")
    async def generate(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        values = await read_json(request)
        return await make(read_request(values, service.known()), service, request)

    @router.post("/images/edits", openapi_extra=FORM_BODY, summary="A picture painted anew where a mask is transparent")
    async def edit(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        values, start = await read_edit(request, service.settings.limits.longest_side)
        return await make(read_request(values, service.known(), start), service, request)

    return router


async def read_json(request: "Request") -> dict[str, Any]:
    """The object that was sent.

    Raises:
        InputError: it is none.
    """
    try:
        values = await request.json()
    except (ValueError, RecursionError) as error:
        raise InputError("the request is not JSON") from error
    if not isinstance(values, dict):
        raise InputError("the request is no JSON object")
    return values


async def make(request: GenerationRequest, service: Service, http: "Request") -> dict[str, Any]:
    """The pictures of a request.

    Raises:
        InputError: it asks for what is not there, or for too much.
        ServiceError: there is no place, it failed, or the service stops.
    """
    try:
        made = await finish(service, request, http)
    except InputError as error:
        raise in_their_words(error) from error
    pairs = zip(made.encoded(), made.results, strict=True)
    data = [{"b64_json": text, "seed": one["seed"], "controls": one["controls"]} for text, one in pairs]
    width, height = request.size or (0, 0)
    return {"created": int(time.time()), "data": data, "output_format": "png", "size": f"{width}x{height}"}


def describe(name: str) -> dict[str, Any]:
    """A base as a model."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "zeroconv"}

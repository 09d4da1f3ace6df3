"""Pictures in, pictures out; maps of them, and requests that they carry."""

import json
from typing import TYPE_CHECKING, Annotated, Any

from zeroconv import conditions
from zeroconv.errors import under_field
from zeroconv.service import Service
from zeroconv.service.catalogue import Catalogue
from zeroconv.service.pictures import PICTURE
from zeroconv.service.requests import check_parameters, store_picture
from zeroconv.web.api.bodies import CheckBody, ExtractBody, PictureAnswer
from zeroconv.web.api.decoding import in_turn
from zeroconv.web.api.options import options
from zeroconv.web.api.waiting import client_of, wait_for

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["KEPT", "add_picture_routes"]

KEPT = {"Cache-Control": "private, max-age=31536000, immutable"}
"""A picture never changes under its name."""
UPLOAD: dict[str, Any] = {
    "requestBody": {"required": True, "content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}}
}


def add_picture_routes(router: "APIRouter", service: Service) -> None:
    """Add them to a router."""
    from fastapi import Query, Request, Response
    from fastapi.concurrency import run_in_threadpool

    described: dict[Catalogue, bytes] = {}  # once: it takes longer than any other answer
    seconds = service.settings.limits.reading_seconds + 1

    @router.get("/options", response_model=dict[str, Any], summary="What there is")
    def show_options() -> Response:  # pyright: ignore[reportUnusedFunction]
        known = service.known()
        if known not in described:
            described.clear()
            described[known] = json.dumps(options(service)).encode()
        return Response(described[known], media_type="application/json")

    @router.post("/pictures", status_code=201, openapi_extra=UPLOAD, summary="Keep a picture")
    async def keep_picture(request: Request) -> PictureAnswer:  # pyright: ignore[reportUnusedFunction]
        content = await request.body()
        with under_field("image"):
            stored = await run_in_threadpool(service.pictures.add, content)
        return PictureAnswer(**vars(stored))

    @router.get("/pictures/{picture}", response_class=Response, summary="A picture")
    async def show_picture(  # pyright: ignore[reportUnusedFunction]
        request: Request, picture: str, width: Annotated[int | None, Query(ge=16, le=2048)] = None
    ) -> Response:
        if width is None:
            content = await in_turn(request, service.pictures.read_png, picture)
            return Response(content, media_type="image/png", headers=KEPT)
        content = await in_turn(request, service.pictures.read_preview, picture, width)
        return Response(content, media_type="image/webp", headers=KEPT)

    @router.post("/extract", summary="The map of a picture")
    async def extract(body: ExtractBody, request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        known = conditions.get(body.condition)
        check_parameters(known.name, body.parameters, "parameters")
        image = await run_in_threadpool(store_picture, body.image, "image", service.pictures)
        values = {**body.model_dump(exclude={"image"}), "condition": known.name, "image": image.removeprefix(PICTURE)}
        return await wait_for(service.read("extract", values, client_of(request)), request, seconds)

    @router.post("/check", summary="What looks wrong about a map")
    async def check(body: CheckBody, request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        known = conditions.get(body.condition)
        image = await run_in_threadpool(store_picture, body.map, "map", service.pictures)
        values = {"condition": known.name, "map": image.removeprefix(PICTURE)}
        return await wait_for(service.read("check", values, client_of(request)), request, seconds)

    @router.post("/recall", openapi_extra=UPLOAD, summary="The request that a saved picture carries")
    async def recall(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        content = await request.body()
        stored = await run_in_threadpool(service.pictures.add, content)
        return await wait_for(service.read("recall", {"picture": stored.id}, client_of(request)), request, seconds)

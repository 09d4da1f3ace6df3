"""The routes of `/sdapi/v1`, in the shapes of AUTOMATIC1111's API, errors too."""

from typing import TYPE_CHECKING, Annotated, Any

from zeroconv.service import Failure, Service
from zeroconv.web.compatible.automatic1111.bodies import ImageToImageBody, OptionsBody, PictureBody, TextToImageBody
from zeroconv.web.compatible.automatic1111.clients import Clients
from zeroconv.web.compatible.automatic1111.extension import controlnet_router
from zeroconv.web.compatible.automatic1111.generation import find_base, make_pictures
from zeroconv.web.compatible.automatic1111.inpainting import picture_text
from zeroconv.web.compatible.automatic1111.pictures import read_picture
from zeroconv.web.compatible.automatic1111.progress import describe_progress
from zeroconv.web.compatible.automatic1111.refusals import IDLE_OPTIONS, KNOWN_OPTIONS, check_idle, ignored
from zeroconv.web.compatible.automatic1111.samplers import list_samplers, list_schedulers
from zeroconv.web.compatible.route import route_class

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["automatic1111_routers"]

SCRIPTS = {"txt2img": ["controlnet"], "img2img": ["controlnet"]}
EMPTY_LISTS = (
    "upscalers", "loras", "sd-vae", "hypernetworks", "face-restorers", "realesrgan-models", "prompt-styles", "script-info",
    "extensions", "latent-upscale-modes", "sd-modules",
)  # fmt: skip
"""Lists that clients ask for at their start, of what is not here."""


def shape(failure: Failure, status: int) -> tuple[int, dict[str, Any]]:
    """An error as the web UI answers it."""
    said = failure.message if failure.hint is None else f"{failure.message}: {failure.hint}"
    return status, {"error": failure.code, "detail": said, "body": failure.field or "", "errors": said}


def automatic1111_routers(service: Service) -> "tuple[APIRouter, APIRouter]":
    """The routes of the web UI and of its extension, for any FastAPI application.

    Args:
        service: that does what they ask for.
    """
    from fastapi import APIRouter

    route = route_class(shape)
    router = APIRouter(prefix="/sdapi/v1", route_class=route)
    clients = Clients()
    add_generation_routes(router, service, clients)
    add_option_routes(router, service, clients)
    add_lists(router, service)
    return router, controlnet_router(service, APIRouter(prefix="/controlnet", route_class=route))


def add_generation_routes(router: "APIRouter", service: Service, clients: Clients) -> None:
    """What makes pictures, and what goes with that."""
    from fastapi import Query, Request, Response
    from fastapi.concurrency import run_in_threadpool

    @router.post("/txt2img", summary="Pictures from text and ControlNet units")
    async def from_text(body: TextToImageBody, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(await make_pictures(body, service, clients, request), media_type="application/json")

    @router.post("/img2img", summary="Pictures from a picture, text and ControlNet units")
    async def from_picture(body: ImageToImageBody, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(await make_pictures(body, service, clients, request), media_type="application/json")

    @router.get("/progress", summary="How far the job of this client is")
    async def show_progress(  # pyright: ignore[reportUnusedFunction]
        request: Request, skip_current_image: Annotated[bool, Query()] = False
    ) -> dict[str, Any]:
        return await run_in_threadpool(describe_progress, clients.of(request), service, skip_current_image)

    @router.post("/interrupt", summary="End the jobs of this client")
    async def interrupt(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        for job in list(clients.of(request).jobs):
            await run_in_threadpool(service.board.cancel, job.id)
        return {}

    @router.post("/png-info", summary="What a saved picture says about itself")
    def show_text(body: PictureBody) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        texts = picture_text(read_picture(body.image, "image"), "image")
        return {"info": texts.get("parameters", ""), "items": texts, "parameters": {}}


def add_option_routes(router: "APIRouter", service: Service, clients: Clients) -> None:
    """Options, which each client has for itself."""
    from fastapi import Request

    @router.get("/options", summary="Options")
    async def show_options(request: Request) -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        base = find_base(clients.of(request).base, service.known(), "sd_model_checkpoint")
        fixed = {name: idle[0] for name, idle in IDLE_OPTIONS.items()}
        return {"sd_model_checkpoint": base.name, "samples_format": "png", **fixed}

    @router.post("/options", summary="Set options for this client")
    async def set_options(body: OptionsBody, request: Request) -> dict[str, Any] | None:  # pyright: ignore[reportUnusedFunction]
        options = body.model_extra or {}
        check_idle(options, IDLE_OPTIONS)
        if (name := options.get("sd_model_checkpoint")) is not None:
            clients.of(request).base = find_base(name, service.known(), "sd_model_checkpoint").name
        left = ignored(options, KNOWN_OPTIONS)
        return {"ignored": left} if left else None


def add_lists(router: "APIRouter", service: Service) -> None:
    """What there is, and what there is not."""

    @router.get("/sd-models", summary="Bases")
    async def list_bases() -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]
        more: dict[str, Any] = {"hash": None, "sha256": None, "config": None}
        return [{"title": base.name, "model_name": base.name, "filename": base.name, **more} for base in service.known().bases]

    @router.get("/samplers", summary="Samplers")
    async def samplers() -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]
        return list_samplers()

    @router.get("/schedulers", summary="Schedulers")
    async def schedulers() -> list[dict[str, Any]]:  # pyright: ignore[reportUnusedFunction]
        return list_schedulers()

    @router.get("/scripts", summary="Scripts")
    async def scripts() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return SCRIPTS

    @router.get("/embeddings", summary="Embeddings")
    async def embeddings() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"loaded": {}, "skipped": {}}

    @router.get("/cmd-flags", summary="Flags")
    async def flags() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"api": True}

    @router.get("/memory", summary="Memory")
    async def memory() -> dict[str, Any]:  # pyright: ignore[reportUnusedFunction]
        return {"ram": {"error": "not told"}, "cuda": {"error": "not told"}}

    async def nothing() -> list[Any]:
        return []

    for name in EMPTY_LISTS:
        router.add_api_route(f"/{name}", nothing, methods=["GET"], summary="None here", name=name)
    for name in ("refresh-checkpoints", "refresh-loras", "refresh-vae"):
        router.add_api_route(f"/{name}", nothing, methods=["POST"], summary="Nothing to do", name=name)

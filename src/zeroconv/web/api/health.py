"""What machines ask: is it alive, is it ready, how is it doing."""

from typing import TYPE_CHECKING

from zeroconv.service import Service

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["OPEN", "health_router"]

OPEN = ("/health", "/ready")
"""Addresses that need no token: they say nothing about anybody."""
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def health_router(service: Service) -> "APIRouter":
    """The routes, for any FastAPI application."""
    from fastapi import APIRouter, Response
    from fastapi.responses import JSONResponse

    router = APIRouter()

    @router.get("/health", summary="It is alive")
    async def show_health() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        return {"status": "alive"}

    @router.get("/ready", summary="Its workers listen")
    async def show_readiness() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        ready = service.is_ready
        headers = {} if ready else {"Retry-After": "2"}
        return JSONResponse({"status": "ready" if ready else "starting"}, 200 if ready else 503, headers)

    @router.get("/metrics", summary="Numbers for Prometheus")
    async def show_metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        return Response(service.metrics_text(), media_type=PROMETHEUS)

    return router

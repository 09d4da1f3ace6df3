"""All routes of `/api/v1`, each of its file."""

from typing import TYPE_CHECKING

from zeroconv.service import Service
from zeroconv.web.api.bodies import ErrorAnswer
from zeroconv.web.api.gallery import add_gallery_routes
from zeroconv.web.api.generations import add_generation_routes
from zeroconv.web.api.pictures import add_picture_routes
from zeroconv.web.api.runs import add_run_routes
from zeroconv.web.api.scenes import add_scene_routes
from zeroconv.web.guard import Body

if TYPE_CHECKING:
    from fastapi import APIRouter

__all__ = ["API", "api_router", "body_of"]

API = "/api/v1"
ERRORS = (400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 503, 504)
PICTURE_ROUTES = (f"{API}/pictures", f"{API}/recall")


def api_router(service: Service) -> "APIRouter":
    """The routes, for any FastAPI application.

    Args:
        service: that does what they ask for.
    """
    from fastapi import APIRouter

    router = APIRouter(prefix=API, responses={status: {"model": ErrorAnswer} for status in ERRORS})
    add_picture_routes(router, service)
    add_generation_routes(router, service)
    add_gallery_routes(router, service)
    add_run_routes(router, service)
    add_scene_routes(router, service)
    return router


def body_of(method: str, path: str, longest: int) -> Body:
    """What may be sent to a route.

    Args:
        method: of HTTP.
        path: of the route.
        longest: bytes, where pictures are sent.
    """
    if method == "POST" and path in PICTURE_ROUTES:
        return Body(longest, ("image/",))
    if method == "POST" and path.startswith(f"{API}/"):
        return Body(longest, is_optional=path.startswith(f"{API}/runs/"))
    return Body(is_optional=method == "DELETE")

"""The surfaces as parts of an application: their routes, and what may be sent to them."""

from typing import TYPE_CHECKING

from zeroconv.service import Service
from zeroconv.web.compatible.automatic1111 import automatic1111_routers
from zeroconv.web.compatible.openai import EDITS, openai_router
from zeroconv.web.guard import Body

if TYPE_CHECKING:
    from fastapi import FastAPI

__all__ = ["SURFACES", "add_compatible_routes", "compatible_body"]

SURFACES = ("/sdapi/", "/controlnet/", "/v1/")
"""Where their routes begin."""


def add_compatible_routes(app: "FastAPI", service: Service) -> None:
    """Add all surfaces to an application.

    Args:
        app: it.
        service: that does what they ask for.
    """
    for router in (*automatic1111_routers(service), openai_router(service)):
        app.include_router(router)


def compatible_body(method: str, path: str, longest: int) -> Body | None:
    """What may be sent to a route of a surface; None for the routes of others.

    Args:
        method: of HTTP.
        path: of the route.
        longest: bytes, where pictures are sent.
    """
    if method != "POST" or not path.startswith(SURFACES):
        return None
    if path == EDITS:
        return Body(longest, ("multipart/form-data",))
    return Body(longest, is_optional=True)  # clients interrupt with nothing

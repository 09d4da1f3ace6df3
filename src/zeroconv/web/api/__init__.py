"""The routes of `/api/v1`: what a service does, over HTTP."""

from zeroconv.web.api.router import api_router

__all__ = ["api_router"]

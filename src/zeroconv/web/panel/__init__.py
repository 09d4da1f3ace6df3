"""The page of the service: plain files that a browser runs as they are."""

from zeroconv.web.panel.routes import panel_router

__all__ = ["panel_router"]

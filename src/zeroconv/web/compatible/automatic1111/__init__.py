"""AUTOMATIC1111's API (`/sdapi/v1`) with that of its ControlNet extension (`/controlnet`), as far as clients ask for it."""

from zeroconv.web.compatible.automatic1111.routes import automatic1111_routers

__all__ = ["automatic1111_routers"]

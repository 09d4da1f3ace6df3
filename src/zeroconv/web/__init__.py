"""A page that follows a training run, on this machine."""

from zeroconv.service.run_view import RunView
from zeroconv.web.server import WatchServer

__all__ = ["RunView", "WatchServer"]

"""A client in Python for a server that `zeroconv serve` started, here or elsewhere."""

from zeroconv.client.client import Client, Page, Picture
from zeroconv.client.connection import ServerError

__all__ = ["Client", "Page", "Picture", "ServerError"]

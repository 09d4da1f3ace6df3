"""Messages between the service and its workers: JSON in one direction and the other, never objects."""

import json
from multiprocessing.connection import Connection
from typing import Any

__all__ = ["receive", "send"]

Message = dict[str, Any]


def send(connection: "Connection[Any, Any]", message: Message) -> None:
    """Send a message.

    Raises:
        OSError: nobody is at the other end any more.
    """
    connection.send_bytes(json.dumps(message, allow_nan=False).encode())


def receive(connection: "Connection[Any, Any]") -> Message:
    """Wait for a message.

    Raises:
        EOFError: or `OSError`, nobody is at the other end any more.
    """
    return json.loads(connection.recv_bytes())

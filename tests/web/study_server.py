"""A study's server as a process of its own, which can be killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Served", "call"]


@dataclass
class Served:
    """`zeroconv study serve`, on a port that stays the same when it is started again."""

    path: Path
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None)

    def __enter__(self) -> "Served":
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.returncode is None:
            self.kill()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it serves."""
        command = [sys.executable, "-m", "zeroconv", "study", "serve", str(self.path), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        assert line.startswith("Serving"), line

    def kill(self, how: int = signal.SIGKILL) -> int:
        """End it; its exit code."""
        assert self.process is not None and self.process.stderr is not None
        os.kill(self.process.pid, how)
        code = self.process.wait(30)
        self.process.stderr.close()
        return code


def call(url: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    """Status, content (JSON where it is some) and headers of an answer; a POST when there is a body."""
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"Content-Type": "application/json"} if data is not None else {}
    request = urllib.request.Request(url, data, {**named, **{name.replace("_", "-"): value for name, value in headers.items()}})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, content, said = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            status, content, said = error.code, error.read(), error.headers
    is_json = said.get("Content-Type", "").startswith("application/json")
    return status, json.loads(content) if is_json else content, said

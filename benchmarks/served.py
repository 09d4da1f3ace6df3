"""`zeroconv serve` as a process of its own, looked at from outside: its memory, its open files, its worker."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Served", "call", "events", "load", "percentile"]

HOST = "127.0.0.1"
JSON = "application/json"


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    Attributes:
        status: of HTTP; 0 where the connection was closed without an answer.
        content: the body.
        seconds: from connecting to the last byte.
        headers: names in lower case.
    """

    status: int
    content: bytes
    seconds: float
    headers: dict[str, str]

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.content)


def head(method: str, path: str, kind: str, length: int, client: str) -> bytes:
    """The head of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", f"X-Client: {client}"]
    lines += [f"Content-Type: {kind}", f"Content-Length: {length}"] if method == "POST" else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def call(
    port: int,
    method: str,
    path: str,
    body: Any = None,
    kind: str = JSON,
    client: str = "one",
    leave: int = 0,
    limit: float = 120,
) -> Answer:
    """One request on a connection of its own.

    Args:
        port: of the server.
        method: of HTTP.
        path: with its query.
        body: bytes, or values for JSON.
        kind: content type of the body.
        client: whose turn it takes.
        leave: bytes of the answer after which the client is gone; 0 reads all.
        limit: seconds.
    """
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    begun, got = time.perf_counter(), b""
    async with asyncio.timeout(limit):
        reader, writer = await asyncio.open_connection(HOST, port)
        try:
            writer.write(head(method, path, kind, len(content), client) + content)
            while part := await reader.read(65536):
                got += part
                if leave and len(got) >= leave:
                    break
        except ConnectionError:  # the server closed before it had read all
            pass
        finally:
            writer.close()
    return parse(got, time.perf_counter() - begun)


def parse(got: bytes, seconds: float) -> Answer:
    """An answer from its bytes."""
    start, _, content = got.partition(b"\r\n\r\n")
    first, *lines = start.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        content = unchunked(content)
    return Answer(int(first.split()[1]) if first else 0, content, seconds, headers)


def unchunked(content: bytes) -> bytes:
    """The body of chunks, as far as they came."""
    parts: list[bytes] = []
    while content:
        size, _, content = content.partition(b"\r\n")
        length = int(size or b"0", 16)
        parts.append(content[:length])
        content = content[length + 2 :]
    return b"".join(parts)


def events(answer: Answer) -> list[tuple[str, Any]]:
    """The server-sent events of an answer."""
    blocks = [block.splitlines() for block in answer.content.decode("utf-8", "replace").split("\n\n")]
    found = [dict(line.split(": ", 1) for line in lines if ": " in line and line[0] != ":") for lines in blocks]
    return [(one["event"], json.loads(one["data"])) for one in found if "event" in one and one.get("data", "").endswith("}")]


def percentile(values: list[float], share: float) -> float:
    """The value below which a share of all lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def load() -> str:
    """How busy the machine was in the last minute."""
    return f"{os.getloadavg()[0]:.1f}"


class Served:
    """A server on the tiny base, in a folder.

    Args:
        folder: of its state.
    """

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "zeroconv", "serve", "--port", "0", "--folder", str(folder), "--device", "cpu"]
        self.folder, self.log = folder, folder.parent / f"{folder.name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        while " at http://" not in (said := self.log.read_text("utf-8")):
            if self.process.poll() is not None:
                raise RuntimeError(said)
            time.sleep(0.05)
        self.port = int(said.split(" at http://", 1)[1].split()[0].rpartition(":")[2])
        while len(found := self.forked()) < 2:
            time.sleep(0.05)
        self.reader = found[1]

    def forked(self) -> list[int]:
        """Its worker and the process that reads pictures, the oldest first."""
        found: list[int] = []
        for server in children(self.process.pid):
            found += children(server)
        return sorted(found, key=started)

    @property
    def worker(self) -> int | None:
        """The process that makes pictures; None while there is none."""
        return next((one for one in reversed(self.forked()) if one != self.reader), None)

    def kill_worker(self) -> int:
        """Kill the worker; its process id."""
        found = self.worker
        assert found is not None
        os.kill(found, signal.SIGKILL)
        return found

    def memory(self) -> dict[str, int]:
        """Bytes of memory of server and worker that are theirs alone, and of all processes together."""
        worker, alone = self.worker, ("Private_Clean", "Private_Dirty")
        everybody = [self.process.pid, *children(self.process.pid), *self.forked()]
        found = {"server": held(self.process.pid, *alone), "all": sum(held(one, "Pss") for one in everybody)}
        return found | ({} if worker is None else {"worker": held(worker, *alone)})

    def files(self) -> Counter[str]:
        """Open files of the server by their kind: connections are "socket"."""
        found = Counter[str]()
        for one in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                target = str(one.readlink())
                found[target.partition(":")[0] if ":" in target else Path(target).name] += 1
        return found

    def half_written(self) -> list[str]:
        """Files of the store that are not whole: their name is not the SHA-256 of their bytes."""
        import hashlib

        paths = [path for path in (self.folder / "pictures").glob("??/*") if path.is_file()]
        return [path.name for path in paths if hashlib.sha256(path.read_bytes()).hexdigest() != path.name]

    def stop(self) -> int:
        """End it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()


def children(process: int) -> list[int]:
    """The processes that a process has started."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [int(one) for task in tasks for one in (task / "children").read_text("utf-8").split()]
    except OSError:
        return []


def started(process: int) -> int:
    """When a process started, in ticks since the machine did."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[19])
    except OSError:
        return 0


def held(process: int, *kinds: str) -> int:
    """Bytes of memory of a process by the kinds of Linux: what is its alone, or with its part of what several share (Pss)."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8").splitlines()
    except OSError:
        return 0
    rows = [line.split() for line in lines]
    return sum(int(row[1]) * 1024 for row in rows if row[0].removesuffix(":") in kinds)

"""A crowd of clients that do everything at once, while somebody asks every now and then whether the server lives."""

import asyncio
import base64
import io
import multiprocessing
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from served import Served, call, percentile

__all__ = ["crowd"]

API = "/api/v1"
PROBES = 20  # in a second
EXPECTED = {200, 201, 202, 429, 503}
WEIGHTS = {"health": 20, "options": 5, "keep": 10, "picture": 20, "gallery": 15, "extract": 5, "make": 15, "leave": 5, "big": 5}


def probe(port: int, seconds: float, connection: "Connection[Any, Any]") -> None:
    """In a process of its own: how long `/health` takes."""

    async def ask() -> list[tuple[int, float]]:
        found: list[tuple[int, float]] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = await call(port, "GET", "/health", limit=60)
            found.append((answer.status, answer.seconds))
            await asyncio.sleep(1 / PROBES)
        return found

    connection.send(asyncio.run(ask()))


class Client:
    """One of the crowd.

    Args:
        server: that it asks.
        number: its own.
        seen: how often each status came, for all clients.
    """

    def __init__(self, server: Served, number: int, seen: Counter[str]) -> None:
        self.server, self.name, self.seen = server, f"client-{number}", seen
        self.random = random.Random(number)
        self.picture, self.end = "", time.monotonic() + 3600

    async def live(self, end: float, pause: float) -> None:
        """Ask for one thing after the other."""
        self.end = end
        await asyncio.sleep(self.random.random() * pause)
        while time.monotonic() < end:
            (what,) = self.random.choices(list(WEIGHTS), list(WEIGHTS.values()))
            try:
                await self.do(what)
            except (OSError, TimeoutError) as error:
                self.seen[type(error).__name__] += 1
            await asyncio.sleep(min(self.random.expovariate(1 / pause), max(0.0, end - time.monotonic())))

    async def ask(self, method: str, path: str, body: Any = None, **rest: Any) -> Any:
        """Ask, and note the status."""
        answer = await call(self.server.port, method, path, body, client=self.name, **rest)
        self.seen[str(answer.status)] += 1
        return answer

    async def do(self, what: str) -> None:
        """One thing."""
        if what == "health":
            await self.ask("GET", self.random.choice(["/health", "/ready", "/metrics"]))
        elif what == "options":
            await self.ask("GET", f"{API}/options")
        elif what == "keep" or not self.picture:
            answer = await self.ask("POST", f"{API}/pictures", drawing(self.random), kind="image/png")
            self.picture = answer.json()["id"] if answer.status == 201 else ""
        elif what == "picture":
            width = self.random.choice(["", "?width=64"])
            await self.ask("GET", f"{API}/pictures/{self.picture}{width}")
        elif what == "gallery":
            await self.ask("GET", f"{API}/gallery?query=house&limit=10")
        elif what == "extract":
            await self.ask("POST", f"{API}/extract", {"condition": "canny", "image": f"picture:{self.picture}"})
        elif what == "big":
            await self.ask("POST", f"{API}/check", {"condition": "canny", "map": uri(drawing(self.random, 1024))})
        else:
            await self.make(is_leaving=what == "leave")

    async def make(self, is_leaving: bool) -> None:
        """A picture of a few steps, followed to its end, or left."""
        control = {"network": "tiny-canny", "image": f"picture:{self.picture}"}
        values = {
            "prompt": "a red house",
            "seed": self.random.randrange(2**32),
            "num_inference_steps": 2,
            "controls": [control],
        }
        answer = await self.ask("POST", f"{API}/generations", values)
        if answer.status == 202:
            place = f"{API}/generations/{answer.json()['id']}"
            left = max(1.0, self.end - time.monotonic())
            with suppress(TimeoutError):  # the job is still waiting when the crowd goes home
                await self.ask("GET", f"{place}/events", leave=1 if is_leaving else 0, limit=left)
            if is_leaving or time.monotonic() > self.end:
                await self.ask("DELETE", place)


def drawing(source: random.Random, side: int = 64) -> bytes:
    """A PNG of random pixels, nine times as large as its side at least."""
    from PIL import Image

    small = Image.frombytes("RGB", (8, 8), source.randbytes(192))
    buffer = io.BytesIO()
    small.resize((side, side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def uri(content: bytes) -> str:
    """A PNG in a `data:` URI."""
    return "data:image/png;base64," + base64.b64encode(content).decode()


async def crowd(server: Served, show: Callable[..., None], clients: int, seconds: float, pause: float) -> None:
    """So many clients for so long; what memory, open files and `/health` do meanwhile."""
    first = Client(server, -1, Counter())
    for _ in range(8):  # everything is loaded once before memory is looked at
        for what in WEIGHTS:
            await first.do(what)
    files, seen = server.files(), Counter[str]()
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    prober = multiprocessing.get_context("spawn").Process(target=probe, args=(server.port, seconds, theirs))
    prober.start()
    begun = time.monotonic()
    living = [asyncio.create_task(Client(server, i, seen).live(begun + seconds, pause)) for i in range(clients)]
    samples: list[dict[str, int]] = []
    most = files.total()
    while time.monotonic() < begun + seconds:
        await asyncio.sleep(seconds / 60)
        samples.append(server.memory())
        most = max(most, server.files().total())
    probes = await asyncio.to_thread(ours.recv)
    await asyncio.to_thread(prober.join)
    await asyncio.gather(*living)
    await asyncio.sleep(8)
    times = [1000 * took for _, took in probes]
    total = sum(seen.values())
    statuses = ", ".join(f"{count} × {status}" for status, count in sorted(seen.items()))
    show(
        f"{clients} clients for {seconds:.0f} s, a pause of {pause:g} s: answers",
        f"{total} ({statuses})",
        "no 500",
        "500" not in seen,
    )
    show(
        "answers of another kind",
        str(sum(n for s, n in seen.items() if s not in map(str, EXPECTED))),
        "0",
        set(seen) <= set(map(str, EXPECTED)),
    )
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    show(
        f"/health, {len(times)} times: p50, p99, slowest", f"{p50:.0f}, {p99:.0f}, {max(times):.0f} ms", "p99 < 50 ms", p99 < 50
    )
    for name, what in (("all", "memory of all its processes"), ("server", "of the server"), ("worker", "of the worker")):
        row = [one[name] / 2**20 for one in samples if name in one]
        early, late = statistics.median(row[15:25]), statistics.median(row[-10:])
        drift = late / early - 1
        show(what, f"{early:.1f} → {late:.1f} MiB, {100 * drift:+.1f} %", "< 2 %", drift < 0.02)
    after = server.files()
    text = f"{files.total()}, {most}, {after.total()}; sockets {files['socket']} → {after['socket']}"
    show("open files before, at most, after", text, "no more sockets", after["socket"] <= files["socket"])
    print(f"more than before: {dict(after - files)}", file=sys.stderr)

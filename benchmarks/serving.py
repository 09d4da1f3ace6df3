"""`zeroconv serve` on the tiny base: under a thousand clients, slow ones, greedy ones, and with its worker killed.

    python benchmarks/serving.py
    python benchmarks/serving.py --parts load --seconds 120 --clients 1000
    python benchmarks/serving.py --parts slow,fair,kills,same,cancel,preview
    python benchmarks/serving.py --parts schema

Each part starts a real server and prints a line for each promise: what was measured, what it should be, and the load of the
machine in the last minute. Clients pause for `--pause` seconds between two requests, on average. "schema" needs the program
schemathesis (PyPI) and is left out where it is not installed. Ends with 1 if a promise is not kept.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from served import Served, call, load
from serving_crowd import crowd
from serving_laws import cancels, fairness, kills, previews, same_picture, schema

SLOW = 500  # clients that send a byte now and then
__all__: list[str] = []


async def slow_uploads(server: Served, show: Callable[..., None]) -> None:
    """Clients that send a byte a second, and one that sends all at once."""

    async def send_slowly() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        start = "POST /api/v1/pictures HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"
        got = b""
        try:
            writer.write(start.encode())
            for _ in range(60):
                writer.write(b"x")
                with suppress(TimeoutError):
                    got = await asyncio.wait_for(reader.read(20), 1)
                    break
        except ConnectionError:
            pass
        finally:
            writer.close()
        return int(got.split()[1]) if got else 0

    senders = [asyncio.create_task(send_slowly()) for _ in range(SLOW)]
    await asyncio.sleep(3)
    waits = [(await call(server.port, "GET", "/api/v1/gallery")).seconds for _ in range(50)]
    status = await asyncio.gather(*senders)
    show("slowest normal request beside 500 slow uploads", f"{1000 * max(waits):.0f} ms", "< 1000 ms", max(waits) < 1)
    refused = sum(one == 408 for one in status)
    show("slow uploads that were told so (408)", f"{refused} of {SLOW}", "all", refused == SLOW)


PARTS: dict[str, Callable[[Served, Callable[..., None]], Coroutine[Any, Any, None]]] = {
    "slow": slow_uploads, "fair": fairness, "kills": kills, "same": same_picture, "cancel": cancels, "preview": previews,
    "schema": schema,
}  # fmt: skip


def main() -> int:
    """Run the parts that were asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(["load", *PARTS]))
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--pause", type=float, default=10)
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the server is ended, too
    broken = 0

    def show(what: str, measured: str, wanted: str, kept: bool | None = None) -> None:
        nonlocal broken
        broken += kept is False
        word = {True: "yes", False: "**no**", None: ""}[kept]
        print(f"| {what} | {measured} | {wanted} | {word} | {load()} |", flush=True)

    print("| what | measured | promised | kept | load |\n|---|---|---|---|---|", flush=True)
    for part in asked.parts.split(","):
        with tempfile.TemporaryDirectory() as folder:
            server = Served(Path(folder) / "state")
            try:
                if part == "load":
                    asyncio.run(crowd(server, show, asked.clients, asked.seconds, asked.pause))
                else:
                    asyncio.run(PARTS[part](server, show))
                log = server.log.read_text("utf-8")
                show(f"{part}: tracebacks in the server's log", str(log.count("Traceback")), "0", "Traceback" not in log)
                if "Traceback" in log:
                    print(log[-3000:], file=sys.stderr)
            finally:
                begun = time.monotonic()
                code = server.stop()
            show(f"{part}: the server ends when told", f"{time.monotonic() - begun:.1f} s, code {code}", "code 0", code == 0)
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())

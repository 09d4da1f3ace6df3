"""What a server promises whatever happens: turns, the same picture, another worker, an end when it is told."""

import asyncio
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from served import Served, call

__all__ = ["cancels", "fairness", "kills", "previews", "same_picture", "schema"]

API = "/api/v1"
KILLS = 10
OUT_OF_MEMORY = 100
RUNS = 20
Show = Callable[..., None]


def asked(**values: Any) -> dict[str, Any]:
    """A request."""
    return {"prompt": "a red house", "guidance_scale": 4, "num_inference_steps": 4, "seed": 5, **values}


async def begin(server: Served, client: str = "one", **values: Any) -> str:
    """Ask for a generation; its name."""
    answer = await call(server.port, "POST", f"{API}/generations", asked(**values), client=client)
    assert answer.status == 202, answer
    return answer.json()["id"]


async def end(server: Served, name: str) -> Any:
    """A generation once it has ended."""
    await call(server.port, "GET", f"{API}/generations/{name}/events", limit=600)
    return (await call(server.port, "GET", f"{API}/generations/{name}")).json()


async def until_step(server: Served, name: str) -> None:
    """Wait until a generation has done a step."""
    while not (await call(server.port, "GET", f"{API}/generations/{name}")).json()["step"]:
        await asyncio.sleep(0.02)


async def fairness(server: Served, show: Show) -> None:
    """How many jobs of a client with a hundred are done before another's first."""
    names = [await begin(server, "greedy", seed=i) for i in range(100)]
    late = await begin(server, "modest", seed=1000)
    await end(server, late)
    stands = [(await call(server.port, "GET", f"{API}/generations/{name}")).json() for name in [*names, late]]
    import sqlite3

    with sqlite3.connect(server.folder / "service.sqlite") as rows:
        ended = dict(rows.execute("SELECT id, ended FROM job").fetchall())
        created = dict(rows.execute("SELECT id, created FROM job").fetchall())
    between = sum(created[late] < (ended[name] or 1e20) <= ended[late] for name in names)
    done = sum(one["state"] == "done" for one in stands)
    show("jobs of a client with 100 between the first of another and its end", f"{between} ({done} done)", "≤ 1", between <= 1)
    for name in names:
        await call(server.port, "DELETE", f"{API}/generations/{name}")


async def kills(server: Served, show: Show) -> None:
    """`kill -9` of the worker while a job runs, early and late."""
    wanted = (await end(server, await begin(server, num_inference_steps=20)))["results"]
    took: list[float] = []
    states = Counter[str]()
    equal = 0
    for index in range(KILLS):
        name = await begin(server, num_inference_steps=20)
        await until_step(server, name)
        await asyncio.sleep(index * 0.03)
        killed, begun = server.kill_worker(), time.monotonic()
        while (await call(server.port, "GET", "/ready")).status == 200 and server.worker in (None, killed):
            await asyncio.sleep(0.01)
        while (await call(server.port, "GET", "/ready")).status != 200 or server.worker in (None, killed):
            await asyncio.sleep(0.01)
        took.append(time.monotonic() - begun)
        found = await end(server, name)
        states[found["state"]] += 1
        equal += found["results"] == wanted
    text = f"{statistics.median(took):.2f} s, {max(took):.2f} s"
    show(f"`kill -9` of the worker, {KILLS} times: another is ready after (median, slowest)", text, "< 5 s", max(took) < 5)
    show(
        "jobs that were begun once more, and their end",
        ", ".join(f"{n} {s}" for s, n in states.items()),
        "all done",
        states["done"] == KILLS,
    )
    show("of these with the same picture", str(equal), "all", equal == KILLS)
    half = server.half_written()
    show("files of the store that are not whole", str(len(half)), "0", not half)
    name = await begin(server, num_inference_steps=150)
    for _ in range(2):
        await until_step(server, name)
        server.kill_worker()
        await asyncio.sleep(0.3)
    found = await end(server, name)
    code = (found["error"] or {}).get("code")
    show("a job over which two workers die", f"{found['state']}, {code}", "failed, worker-died", code == "worker-died")


def run_out() -> None:
    """In a worker: memory runs out at every first attempt of a picture."""
    from zeroconv.service.pictures import PictureStore

    adopt, calls = PictureStore.adopt, [0]

    def adopt_second(store: PictureStore, part: Path, name: str | None = None) -> str:
        calls[0] += 1
        if name is None and calls[0] % 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return adopt(store, part, name)

    PictureStore.adopt = adopt_second  # type: ignore[method-assign]


def after_memory_ran_out(folder: Path) -> Counter[str]:
    """The pictures of a service whose memory runs out at every first attempt, by their SHA-256."""
    from zeroconv.generation import GenerationRequest
    from zeroconv.service import Service, ServiceSettings

    service = Service(ServiceSettings(folder, devices=("cpu",)))
    process = service.runners[0].process
    process.arguments = (*process.arguments[:4], run_out, process.arguments[5])
    service.start()
    found = Counter[str]()
    try:
        for _ in range(OUT_OF_MEMORY):
            job = service.submit(GenerationRequest.model_validate(asked()), "a").id
            while (now := service.board.describe(job))["state"] in ("queued", "running"):
                time.sleep(0.01)
            found[now["results"][0]["picture"] if now["results"] else str(now["error"])] += 1
    finally:
        service.stop(grace=0)
    return found


def by_library(folder: Path) -> str:
    """The SHA-256 of the same picture's file by the library alone."""
    from zeroconv.generation import BaseRequest, GenerationRequest, generate, open_base, save_images

    base = open_base(BaseRequest(name="tiny", device="cpu"))
    saved = save_images(*generate(GenerationRequest.model_validate(asked()), base), folder, base)
    return hashlib.sha256(saved.pictures[0].read_bytes()).hexdigest()


async def same_picture(server: Served, show: Show) -> None:
    """One request: by the library, alone, among others, and where memory runs out."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = await asyncio.to_thread(by_library, Path(folder) / "library")
        alone = (await end(server, await begin(server)))["results"][0]["picture"]
        others = [await begin(server, f"c{i % 5}", seed=i, num_inference_steps=2 + i % 3) for i in range(20)]
        among = [(await end(server, await begin(server, f"d{i}")))["results"][0]["picture"] for i in range(5)]
        for name in others:
            await end(server, name)
        short = await asyncio.to_thread(after_memory_ran_out, Path(folder) / "short")
    show(
        "the library's file alone; among 20 others, 5 times",
        f"{alone == wanted}; {among.count(wanted)} equal",
        "5",
        among == [wanted] * 5 and alone == wanted,
    )
    show(
        f"equal to it after {OUT_OF_MEMORY} forced out-of-memory errors",
        str(short[wanted]),
        str(OUT_OF_MEMORY),
        short[wanted] == OUT_OF_MEMORY,
    )


async def cancels(server: Served, show: Show) -> None:
    """How long a job goes on that is not wanted any more."""
    answered, stopped = list[float](), list[float]()
    for _ in range(RUNS):
        name = await begin(server, num_inference_steps=150, num_images=4)
        await until_step(server, name)
        begun = time.perf_counter()
        await call(server.port, "DELETE", f"{API}/generations/{name}")
        answered.append(1000 * (time.perf_counter() - begun))
        while b"zeroconv_running_jobs 0" not in (await call(server.port, "GET", "/metrics")).content:
            await asyncio.sleep(0.002)
        stopped.append(1000 * (time.perf_counter() - begun))
    middle = statistics.median(stopped)
    text = f"{statistics.median(answered):.0f}, {max(answered):.0f} ms"
    show(f"cancelling, {RUNS} times: answered after (median, slowest)", text, "≤ 200 ms", max(answered) <= 200)
    show(
        "cancelling: the worker is free after (median, slowest)",
        f"{middle:.0f}, {max(stopped):.0f} ms",
        "≤ 200 ms",
        max(stopped) <= 200,
    )


def bare_library(values: dict[str, Any]) -> Callable[[int], float]:
    """What makes a picture of a seed by the library in this process, warm, and says after how many ms it had a preview."""
    from zeroconv.generation import BaseRequest, ControlPipeline, GenerationRequest, generate, open_base
    from zeroconv.service.making import draw
    from zeroconv.service.models import WarmBase
    from zeroconv.service.previews import LatentColours, WatchedDenoiser

    base = open_base(BaseRequest(name="tiny", device="cpu"))
    warm = WarmBase(ControlPipeline(base), LatentColours(base))

    def make(seed: int) -> float:
        watched, first, begun = list[WatchedDenoiser](), list[float](), time.perf_counter()

        def watch(denoiser: Any) -> WatchedDenoiser:
            watched[:] = [WatchedDenoiser(denoiser)]
            return watched[0]

        def on_step(step: int, steps: int) -> None:
            if not first and (last := watched[0].last) is not None:
                draw(warm, last)
                first.append(1000 * (time.perf_counter() - begun))

        warm.pipeline.watch = watch
        generate(GenerationRequest.model_validate(asked(seed=seed, **values)), warm.pipeline, on_step=on_step)
        return first[0]

    return make


async def first_preview(server: Served, seed: int, values: dict[str, Any]) -> float:
    """Milliseconds from asking until the first preview came."""
    begun = time.perf_counter()
    name = await begin(server, seed=seed, **values)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {API}/generations/{name}/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    got = b""
    while b"event: preview" not in got:
        part = await reader.read(65536)
        assert part, got
        got += part
    took = 1000 * (time.perf_counter() - begun)
    await reader.read()
    writer.close()
    return took


async def previews(server: Served, show: Show) -> None:
    """What queue, process and HTTP add to the first preview; server and library take turns."""
    for side in (128, 512):
        values = {"num_inference_steps": 2, "size": [side, side]}
        make = await asyncio.to_thread(bare_library, values)
        both = [(await first_preview(server, seed, values), await asyncio.to_thread(make, seed)) for seed in range(RUNS + 2)]
        served, bare = (statistics.median(times[2:]) for times in zip(*both, strict=True))
        text = f"{served:.0f} ms against {bare:.0f} ms: {served - bare:+.0f} ms, {100 * (served / bare - 1):+.0f} %"
        show(f"from asking to the first preview at {side} px (median of {RUNS})", text, "≤ 5 %", served <= 1.05 * bare)


async def schema(server: Served, show: Show) -> None:
    """Requests that schemathesis makes up of the OpenAPI document."""
    program = shutil.which("schemathesis")
    if program is None:
        print("schemathesis is not installed: pip install schemathesis", file=sys.stderr)
        return
    command = [program, "run", f"http://127.0.0.1:{server.port}/openapi.json", "--checks", "not_a_server_error"]
    command += ["--max-examples", "50", "--seed", "1", "--continue-on-failure", "--no-color", "--max-time", "180"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=dict(os.environ))
    metrics = (await call(server.port, "GET", "/metrics")).content.decode()
    counts = [line.partition("status=")[2] for line in metrics.splitlines() if line.startswith("zeroconv_requests_total{")]
    statuses = ", ".join(line.replace('"', "").replace("} ", ": ") for line in counts)
    is_clean = done.returncode == 0
    if not is_clean:
        print(done.stdout[-6000:], file=sys.stderr)
    show("schemathesis over /openapi.json: answers by status", statuses, "no 500", is_clean and "500:" not in statuses)

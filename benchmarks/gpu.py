"""A controlled step of SD 1.5's size on one GPU, in one call of under eight minutes: diffusers as it is best used, and ours.

    python benchmarks/gpu.py --out RESULTS                              256 and 512 pixels, bf16, one and four pictures
    python benchmarks/gpu.py --out RESULTS --device cpu --small         the same code without a GPU: proves that it runs

Random weights; guidance doubles the rows. Diffusers: eager, channels-last with fused QKV, compiled. Ours: the networks as they
are, channels-last, compiled, and recorded as a CUDA graph, in which no call is issued from Python; the locked encoder and the
control on two streams. Every contestant's result is compared with diffusers' in float32; then they take turns. Rows are
written as they are found (`rows.jsonl`), so that a call that runs out of time leaves what it has; `--minutes` is kept by
leaving out what is left. One that fails is written down, and the others go on. The share of the limit is of the best matrix
product measured beside them.
"""

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from generation import Step, diffusers_step, inputs, networks, our_network
from torch import Tensor

from zeroconv.control import ActiveControl
from zeroconv.control.controlled_unet import add_residuals
from zeroconv.runtime.choice import run_unet
from zeroconv.stable_diffusion.unet import decode, encode

FLOP = {256: 486e9, 512: 2173e9}
"""Of a guided step of one picture at SD 1.5's size, both networks."""
Run = Callable[[], Tensor]


def wait(device: torch.device) -> None:
    """Until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(run: Run, device: torch.device, turns: int) -> float:
    """Milliseconds of a step, over some in a row."""
    wait(device)
    before = time.perf_counter()
    for _ in range(turns):
        run()
    wait(device)
    return 1000 * (time.perf_counter() - before) / turns


def best_product(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """FLOP/s of a large matrix product."""
    a = torch.randn(side, side, device=device).to(dtype)
    timed(lambda: a @ a, device, 3)
    return 2 * side**3 / (timed(lambda: a @ a, device, 10) / 1000)


def as_graph(run: Run, device: torch.device) -> Run:
    """A step recorded once and replayed: its inputs keep their places in memory."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = run()

    def replay() -> Tensor:
        graph.replay()
        return result

    return replay


def on_two_streams(unet: Any, network: Any, given: Step, device: torch.device) -> Run:
    """Our step with the control beside the locked encoder; on a CPU one after the other."""
    features, t = network.encode_condition(given.condition), torch.tensor(500, device=device)
    control = ActiveControl(network, torch.cat([features] * len(given.z_t)))
    other = torch.cuda.Stream(device) if device.type == "cuda" else None

    def run() -> Tensor:
        if other is None:
            residuals = control.residuals(given.z_t, t, given.text)
            encoded = encode(unet, given.z_t, t, given.text)
        else:
            main = torch.cuda.current_stream(device)
            other.wait_stream(main)
            with torch.cuda.stream(other):
                residuals = control.residuals(given.z_t, t, given.text)
            encoded = encode(unet, given.z_t, t, given.text)
            main.wait_stream(other)
        assert residuals is not None
        return decode(unet, add_residuals(encoded, residuals), given.text)

    return run


def fused(network: Any) -> Any:
    """A copy of diffusers' network in the channels-last layout with one matrix for queries, keys and values."""
    found = copy.deepcopy(network).to(memory_format=torch.channels_last)
    for part in found.modules():
        if hasattr(part, "fuse_projections"):
            part.fuse_projections()
    return found


def contestants(unet: Any, control: Any, given: Step, device: torch.device, compiles: bool) -> dict[str, Callable[[], Run]]:
    """Who takes part, each made ready when it is called."""
    network = our_network(control, unet).to(device, given.z_t.dtype)
    laid = Step(given.z_t.contiguous(memory_format=torch.channels_last), given.text, given.condition)
    last: list[Any] = [copy.deepcopy(one) for one in (unet, network)]
    for one in last:
        one.to(memory_format=torch.channels_last)
    mode: dict[str, Any] = {"mode": "reduce-overhead" if device.type == "cuda" else "default"}
    ours = {
        "zeroconv": lambda: our_step(unet, network, given),
        "zeroconv, channels-last": lambda: our_step(last[0], last[1], laid),
        "zeroconv, two streams": lambda: on_two_streams(unet, network, given, device),
    }
    found: dict[str, Callable[[], Run]] = {
        "diffusers": lambda: diffusers_step(unet, control, given),
        "diffusers, channels-last, fused QKV": lambda: diffusers_step(fused(unet), fused(control), given),
    }
    if compiles:
        compiled: Any = [torch.compile(one, **mode) for one in (unet, control)]
        found["diffusers, compiled"] = lambda: copied(diffusers_step(compiled[0], compiled[1], given))
    found |= ours
    if device.type == "cuda":
        found |= {f"{name}, CUDA graph": lambda make=make: as_graph(make(), device) for name, make in ours.items()}
    if compiles:
        whole = torch.compile(our_step(last[0], last[1], laid), mode="max-autotune-no-cudagraphs")
        found["zeroconv, channels-last, compiled"] = lambda: as_graph(whole, device) if device.type == "cuda" else whole
    return found


def our_step(unet: Any, network: Any, given: Step) -> Run:
    """The step as our pipeline computes it; its number lies on the device, as a recorded graph asks for."""
    controlled, features = run_unet(unet, "torch"), network.encode_condition(given.condition)
    controls, t = [ActiveControl(network, torch.cat([features] * len(given.z_t)))], torch.tensor(500, device=given.z_t.device)
    return lambda: controlled(given.z_t, t, given.text, controls)


def copied(run: Run) -> Run:
    """A step whose result is not in memory that the next one uses."""

    def call() -> Tensor:
        torch.compiler.cudagraph_mark_step_begin()
        return run().clone()

    return call


def measure(args: argparse.Namespace, side: int, batch: int, end: float) -> None:
    """All contestants at one size, rows written as they come."""
    device, dtype = torch.device(args.device), torch.bfloat16 if args.device == "cuda" else torch.float32
    made: tuple[Any, Any] = networks("tiny" if args.small else "sd15")
    unet, control = made
    given = inputs(unet, side)
    given = Step(torch.cat([given.z_t] * batch), given.text.repeat_interleave(batch, 0), given.condition)
    unet, control = unet.to(device), control.to(device)
    given = Step(*(one.to(device) for one in (given.z_t, given.text, given.condition)))
    exact = diffusers_step(unet, control, given)()
    if dtype != torch.float32:
        unet, control, given = unet.to(dtype), control.to(dtype), given.to(dtype)
    limit, runs, errors = best_product(device, dtype, 512 if args.small else 8192), dict[str, Run](), dict[str, float]()
    for name, make in contestants(unet, control, given, device, args.compile).items():
        before = time.perf_counter()
        if time.monotonic() > end:
            break
        try:
            run = make()
            error = float((run().float() - exact).norm() / exact.norm())
        except (RuntimeError, ValueError, TypeError, AttributeError) as failed:  # one contestant less, and said
            said = f"{type(failed).__name__}: {failed}"[:600]
            save(args.out, {"side": side, "batch": batch, "name": name, "failed": said})
            continue
        timed(run, device, 2)
        runs[name], errors[name] = run, error
        save(args.out, {"side": side, "batch": batch, "name": name, "prepared_s": time.perf_counter() - before, "error": error})
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.rounds):
        for name, run in runs.items():
            taken[name].append(timed(run, device, args.turns))
    for name, times in taken.items():
        ratios = [a / b for a, b in zip(taken["diffusers"], times, strict=True)]
        row: dict[str, Any] = {"side": side, "batch": batch, "name": name, "ms": statistics.median(times)}
        row |= {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios), "error": errors[name]}
        if side in FLOP and not args.small:
            row["share"] = FLOP[side] * batch / (row["ms"] / 1000) / limit
        save(args.out, row)
        print(f"| {side} | {batch} | {name} | {row['ms']:.2f} | {row['ratio']:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
              f"| {errors[name]:.1e} | {row.get('share', 0):.0%} |", flush=True)  # fmt: skip


def save(folder: Path, row: dict[str, Any]) -> None:
    """One more line of rows.jsonl."""
    with (folder / "rows.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def main() -> None:
    """Measure by the clock and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--small", action="store_true", help="the tiny base in place of SD 1.5's size")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="leave torch.compile out")
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=10, help="steps in a row in each round")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    name = torch.cuda.get_device_name() if args.device == "cuda" else torch.backends.cpu.get_cpu_capability()
    print(f"{name}, torch {torch.__version__}\n")
    print("| pixels | pictures | | a step, ms | times diffusers | error | of the limit |\n" + "|---" * 7 + "|", flush=True)
    cases = [(128, 1)] if args.small else [(512, 1), (256, 1), (512, 4)]
    with torch.no_grad():
        for done, (side, batch) in enumerate(cases, start=1):
            measure(args, side, batch, begun + 60 * args.minutes * done / len(cases) * 0.85)


if __name__ == "__main__":
    main()

"""A controlled denoising step: diffusers' networks, ours as they are, by plans and by OpenVINO, side by side in one process.

    python benchmarks/generation.py                                    the tiny base, one minute
    python benchmarks/generation.py --size sd15 --side 256             SD 1.5's sizes, random weights: 11 GB
    python benchmarks/generation.py --size sd15 --side 512 --dtype bf16
    python benchmarks/generation.py --size sd15 --ways torch,openvino  without the memory that plans take
    MALLOC_MMAP_THRESHOLD_=4294967296 MALLOC_TRIM_THRESHOLD_=40000000000 \
    python benchmarks/generation.py --size sd15 --ways plan --again    prepared once more, in memory that the process has

One step is what guidance asks for one picture: a batch of two rows with the same latents and map, and two texts. Every
contestant computes the same step in turn; the ratio is the median over the rounds of diffusers' time and the
contestant's in the same round. Seconds are the clock's, and the processor's (of all threads) beside them: on a busy machine
they are what counts. The error is relative to diffusers in float32. The share of the limit is what diffusers' step needs in
multiplications and additions, divided by the time and by the most that this processor was seen to do in a second: in packed
products and convolutions, by as many threads. Winograd's algorithm needs fewer of them, and may pass 100 %. Preparation
(packing, compiling, proving) is the first step's time beyond an ordinary one, and the memory that the process has more after
it. OpenVINO computes in the type that is asked for, and reads nothing that an earlier process compiled.
"""

import argparse
import copy
import gc
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers.models.controlnets.controlnet import ControlNetModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from zeroconv import ControlNet, StableDiffusion
from zeroconv.control import ActiveControl
from zeroconv.runtime.choice import UNetRunner, run_unet
from zeroconv.runtime.layers import PackedConvolution, PackedLinear
from zeroconv.runtime.openvino.library import is_installed
from zeroconv.runtime.openvino.store import CompiledStore
from zeroconv.runtime.openvino.unet import OpenVINOUNet

SD15: dict[str, Any] = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
KINDS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass
class Contestant:
    """One way to compute the step, and how long it took each time; `make` returns the step, not prepared."""

    name: str
    make: Callable[[], Callable[[], Tensor]]
    error: float = 0.0
    preparation: tuple[float, float] = (0.0, 0.0)
    memory: int = 0
    seconds: list[tuple[float, float]] | None = None


@dataclass(frozen=True)
class Step:
    """What every contestant is given."""

    z_t: Tensor
    text: Tensor
    condition: Tensor

    def to(self, dtype: torch.dtype) -> "Step":
        """The same in another type."""
        return Step(self.z_t.to(dtype), self.text.to(dtype), self.condition.to(dtype))


def networks(size: str) -> tuple[Any, ControlNetModel]:
    """The U-Net and a diffusers ControlNet whose connections are not zero."""
    torch.manual_seed(0)
    unet = StableDiffusion.from_pretrained("tiny").unet if size == "tiny" else UNet2DConditionModel(**SD15)
    widths = (8, 16, 32, 64) if size == "tiny" else (16, 32, 96, 256)
    control = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=widths)
    for layer in (*control.controlnet_down_blocks, control.controlnet_mid_block):
        nn.init.normal_(next(layer.parameters()), std=0.02)
    nn.init.normal_(next(control.controlnet_cond_embedding.conv_out.parameters()), std=0.02)
    return unet.eval(), control.eval()


def inputs(unet: Any, side: int) -> Step:
    """Both guidance halves of one picture of `side` pixels."""
    drawn = torch.Generator().manual_seed(1)
    cells, tokens = side // 8, 77
    z_t = torch.randn(1, unet.config.in_channels, cells, cells, generator=drawn)
    text = torch.randn(2, tokens, unet.config.cross_attention_dim, generator=drawn)
    return Step(torch.cat([z_t, z_t]), 0.3 * text, torch.rand(1, 3, side, side, generator=drawn))


def diffusers_step(unet: Any, control: Any, given: Step) -> Callable[[], Tensor]:
    """The step as diffusers' pipeline computes it, the condition's features anew in each."""
    pair = torch.cat([given.condition, given.condition])

    def run() -> Tensor:
        down, middle = control(given.z_t, 500, encoder_hidden_states=given.text, controlnet_cond=pair, return_dict=False)
        states = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return unet(given.z_t, 500, encoder_hidden_states=given.text, **states, return_dict=False)[0]

    return run


def our_step(controlled: UNetRunner, network: ControlNet, given: Step) -> Callable[[], Tensor]:
    """The step as our pipeline computes it."""
    features = network.encode_condition(given.condition)
    controls = [ActiveControl(network, torch.cat([features, features]))]
    return lambda: controlled(given.z_t, 500, given.text, controls)


def our_network(control: ControlNetModel, unet: Any) -> ControlNet:
    """The same ControlNet in our class."""
    widths = tuple(control.config["conditioning_embedding_out_channels"])
    network = ControlNet.from_unet(unet, conditioning_embedding_out_channels=widths).eval().requires_grad_(False)
    network.load_state_dict(control.state_dict(), assign=True)  # the same memory
    return network


def contestants(size: str, side: int, dtype: torch.dtype, ways: Sequence[str]) -> tuple[list[Contestant], Tensor]:
    """Who takes part, diffusers first, and its step in float32."""
    unet, control = networks(size)
    given = inputs(unet, side)
    exact = diffusers_step(unet, control, given)()
    if dtype != torch.float32:
        unet, control = (cast(Any, copy.deepcopy(one)).to(dtype) for one in (unet, control))
    given, network = given.to(dtype), our_network(control, unet).to(dtype)
    runners: dict[str, Callable[[], UNetRunner]] = {
        "torch": lambda: run_unet(unet, "torch"),
        "plan": lambda: run_unet(unet, "plan"),
        "openvino": lambda: OpenVINOUNet(unet, CompiledStore(Path(tempfile.mkdtemp()))),
    }
    found = [Contestant("diffusers", lambda: diffusers_step(unet, control, given))]
    for way in ways:
        if way != "openvino" or is_installed():
            found.append(Contestant(f"zeroconv, {way}", lambda way=way: our_step(runners[way](), network, given)))
    return found, exact


def clock() -> tuple[float, float]:
    """The clock's seconds, and the processor's."""
    return time.perf_counter(), time.process_time()


def resident() -> int:
    """Bytes of memory that the process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def timed(step: Callable[[], Tensor]) -> tuple[tuple[float, float], Tensor]:
    """How long a step took, and its result."""
    before = clock()
    result = step()
    after = clock()
    return (after[0] - before[0], after[1] - before[1]), result


def prepare(one: Contestant, exact: Tensor) -> Callable[[], Tensor]:
    """Make the step and take it three times; the step."""
    before, step = resident(), one.make()
    (first, result), *further = [timed(step) for _ in range(3)]
    one.error = float((result.float() - exact).norm() / exact.norm())
    one.preparation = first[0] - min(times[0] for times, _ in further), first[1] - min(times[1] for times, _ in further)
    one.memory = resident() - before
    return step


def measure(found: list[Contestant], exact: Tensor, rounds: int, again: bool) -> None:
    """First step, second step, and then in turn."""
    steps: list[Callable[[], Tensor]] = []
    for one in found:
        if again:
            prepare(one, exact)
            gc.collect()
        steps.append(prepare(one, exact))
        one.seconds = []
    for _ in range(rounds):
        for one, step in zip(found, steps, strict=True):
            assert one.seconds is not None
            one.seconds.append(timed(step)[0])


def attention(q: torch.Size, k: torch.Size, *_: Any, **__: Any) -> int:
    """Multiplications and additions of attention, from the shapes (B, heads, S, d) of queries and (B, heads, L, d) of keys."""
    return 4 * math.prod(q) * k[-2]


def operations(step: Callable[[], Tensor]) -> float:
    """Multiplications and additions of a step, in 1e9."""
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # which the counter does not know
    with FlopCounterMode(display=False, custom_mapping={fused: attention}) as counter:
        step()
    return counter.get_total_flops() / 1e9


def limit(dtype: torch.dtype) -> float:
    """The most multiplications and additions that were seen in a second, in 1e9: of large products and of convolutions."""
    x, features = torch.randn(2048, 2048, dtype=dtype), torch.randn(2, 640, 32, 32, dtype=dtype)
    features = features.contiguous(memory_format=torch.channels_last)
    product = PackedLinear(torch.randn(2048, 2048, dtype=dtype), None)
    convolution = PackedConvolution(nn.Conv2d(640, 640, 3, padding=1, dtype=dtype))
    ways: list[Callable[[], Tensor]] = [lambda: x @ x, lambda: product(x), lambda: convolution.plain(features, None)]
    found: list[float] = []
    for way in ways:
        needed = 2e-9 * (2048**3 if way is not ways[2] else 2 * 32 * 32 * 9 * 640 * 640)
        found.append(needed / min(timed(way)[0][0] for _ in range(8)))
    return max(found)


def main() -> None:
    """Measure and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "sd15"), default="tiny")
    parser.add_argument("--side", type=int, help="of the picture in pixels; 128 for tiny, 256 for sd15")
    parser.add_argument("--dtype", choices=KINDS, default="fp32")
    parser.add_argument("--ways", default="torch,plan,openvino", help="of ours, with commas")
    parser.add_argument("--again", action="store_true", help="prepare twice, and say how long it took the second time")
    parser.add_argument("--rounds", type=int, help="30 for tiny, 5 for sd15")
    args = parser.parse_args()
    side, rounds = args.side or {"tiny": 128, "sd15": 256}[args.size], args.rounds or {"tiny": 30, "sd15": 5}[args.size]
    with torch.no_grad():
        found, exact = contestants(args.size, side, KINDS[args.dtype], args.ways.split(","))
        needed, most = operations(found[0].make()), limit(KINDS[args.dtype])
        measure(found, exact, rounds, args.again)
    print(f"{args.size}, {side} x {side} pixels, {args.dtype}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
          f"{torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}; "
          f"a step needs {needed:.0f}e9 operations, the limit is {most:.0f}e9 a second")  # fmt: skip
    print("\n| | a step, ms (processor) | times diffusers, clock (lowest to highest round) | the same, processor "
          "| of the limit | error | preparation, s (processor) | memory, GB |\n" + 8 * "|---" + "|")  # fmt: skip
    first = found[0].seconds or []
    for one in found:
        seconds, (wall, own) = one.seconds or [], one.preparation
        spreads: list[str] = []
        for kind in range(2):
            ratios = [a[kind] / b[kind] for a, b in zip(first, seconds, strict=True)]
            spreads.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
        step, busy = (1000 * statistics.median(times[kind] for times in seconds) for kind in range(2))
        share = 1000 * needed / most / step
        print(f"| {one.name} | {step:.1f} ({busy:.1f}) | {spreads[0]} | {spreads[1]} | {share:.0%} | {one.error:.1e} | "
              f"{wall:.1f} ({own:.1f}) | {one.memory / 1e9:.2f} |")  # fmt: skip


if __name__ == "__main__":
    main()

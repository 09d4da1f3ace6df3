"""Stable Diffusion's autoencoder on a CPU in float32: diffusers' as it is and by a plan, side by side in one process.

    python benchmarks/autoencoder.py                        256 pixels a side
    python benchmarks/autoencoder.py --side 512 --rounds 3

Random weights of the sizes of SD 1.5, one picture. Both decode and encode in turn; a ratio is the median over the rounds of
diffusers' time and the plan's in the same round, lowest and highest in brackets. The plan's first call makes what stands for
the weights: what it takes beyond an ordinary one is its preparation. The error is relative to diffusers' result.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from zeroconv.runtime.autoencoder import PictureDecoderPlan, PictureEncoderPlan

LEVELS: dict[str, Any] = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
LEVELS["block_out_channels"] = (128, 256, 512, 512)
COLUMNS = ("", "diffusers, s", "plan, s", "times as fast", "preparation, s", "the processor's", "error")


def took(compute: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, float, float]:
    """What comes out, seconds by the clock and the processor's."""
    clock, processor = time.perf_counter(), time.process_time()
    found = compute(x)
    return found, time.perf_counter() - clock, time.process_time() - processor


def measure(name: str, plain: Callable[[Tensor], Tensor], plan: Callable[[Tensor], Tensor], x: Tensor, rounds: int) -> str:
    """A line of the table."""
    _, first, first_processor = took(plan, x)
    found, expected, times = x, x, list[tuple[float, float, float]]()
    for _ in range(rounds):
        expected, ours_before, _ = took(plain, x)
        found, ours, processor = took(plan, x)
        times.append((ours_before, ours, processor))
    before, after, processors = (statistics.median(column) for column in zip(*times, strict=True))
    ratios = sorted(one / other for one, other, _ in times)
    error = float((found - expected).norm() / expected.norm())
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    preparation = f"{first - after:.1f} | {first_processor - processors:.1f}"
    return f"| {name} | {before:.2f} | {after:.2f} | {ratio} | {preparation} | {error:.1e} |"


@torch.no_grad()
def main() -> None:
    """Measure both directions, a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    vae: Any = AutoencoderKL(layers_per_block=2, **LEVELS).eval()
    print(f"{args.side} pixels, {args.threads} threads, torch {torch.__version__}, "
          f"{torch.backends.cpu.get_cpu_capability()}, load {os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
    latents, picture = torch.randn(1, 4, args.side // 8, args.side // 8), torch.rand(1, 3, args.side, args.side) * 2 - 1
    decode, encode = PictureDecoderPlan(vae), PictureEncoderPlan(vae)
    print(measure("decode", lambda z: vae.decode(z).sample, decode, latents, args.rounds), flush=True)
    print(measure("encode", lambda x: vae.encode(x).latent_dist.parameters, encode, picture, args.rounds))


if __name__ == "__main__":
    main()

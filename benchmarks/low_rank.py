"""Full against low-rank ControlNets: parameters, file size, memory and time of a training step, as ratios.

    python benchmarks/low_rank.py                 the tiny base and SD 1.5 at a quarter of its widths, 1 minute on one core
    python benchmarks/low_rank.py --base sd15     SD 1.5 at its full widths, random weights: 10 GB, 6 minutes

Both variants are trained on the same random batch for a few steps each, in turn, in one process. Memory is counted in bytes
of tensors, so it is the same on every machine: weights, gradients and moments of AdamW of the network's own parameters,
and what the backward pass keeps of the forward pass (`torch.autograd.graph.saved_tensors_hooks`, each storage once,
weights left out). The locked base, which both need alike, is not in it. Time is the median step.
"""

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from zeroconv import ControlNet, StableDiffusion
from zeroconv.control import ActiveControl, ControlledUNet

ADAM = 4  # numbers per parameter: weight, gradient, two moments


@dataclass(frozen=True)
class Setting:
    """A U-Net and the picture it is trained on."""

    title: str
    unet: Any
    side: int
    batch: int
    encoder_widths: tuple[int, ...] | None


@dataclass
class Contestant:
    """One variant in training."""

    network: ControlNet
    optimizer: torch.optim.Optimizer
    seconds: list[float]
    kept: int = 0


def setting_of(name: str) -> Setting:
    """The tiny base, or SD 1.5 with random weights and widths divided by 4 ("sd15-quarter") or not ("sd15")."""
    if name == "tiny":
        return Setting("tiny", StableDiffusion.from_pretrained("tiny").unet, 16, 8, (8, 16, 32, 64))
    share = {"sd15": 1, "sd15-quarter": 4}[name]
    widths = tuple(width // share for width in (320, 640, 1280, 1280))
    groups = 32 // share
    unet = UNet2DConditionModel(block_out_channels=widths, cross_attention_dim=768, norm_num_groups=groups, sample_size=64)
    return Setting(name, unet, 32, 1, None)


def step(controlled: ControlledUNet, one: Contestant, batch: tuple[Tensor, ...], count: bool = False) -> None:
    """One training step; with `count`, what the graph keeps is counted and the time is not."""
    z_t, t, text, condition, wanted = batch
    storages: dict[int, int] = {}
    weights = {p.untyped_storage().data_ptr() for p in (*one.network.parameters(), *controlled.parameters())}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    def loss() -> Tensor:
        control = ActiveControl(one.network, one.network.encode_condition(condition))
        return (controlled(z_t, t, text, [control]) - wanted).square().mean()

    started = time.perf_counter()
    if count:
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            value = loss()
        one.kept = sum(storages.values())
    else:
        value = loss()
    value.backward()
    one.optimizer.step()
    one.optimizer.zero_grad(set_to_none=True)
    if not count:
        one.seconds.append(time.perf_counter() - started)


def compare(setting: Setting, rank: int, steps: int) -> None:
    """Train both in turn and print the table."""
    controlled, unet = ControlledUNet(setting.unet), setting.unet
    drawn = torch.Generator().manual_seed(0)
    shape = (setting.batch, unet.config.in_channels, setting.side, setting.side)
    batch = (
        torch.randn(shape, generator=drawn),
        torch.randint(0, 1000, (setting.batch,), generator=drawn),
        torch.randn(setting.batch, 77, unet.config.cross_attention_dim, generator=drawn),
        torch.rand(setting.batch, 3, 8 * setting.side, 8 * setting.side, generator=drawn),
        torch.randn(shape, generator=drawn),
    )
    contestants: dict[str, Contestant] = {}
    for variant in ("full", "lora"):
        widths = setting.encoder_widths
        network = ControlNet.from_unet(unet, variant=variant, rank=rank, conditioning_embedding_out_channels=widths)
        contestants[variant] = Contestant(network, torch.optim.AdamW(network.parameters(), lr=1e-4), [])
    for turn in range(steps + 3):  # three to wake everything up: connections, `up`, `down`
        for one in contestants.values():
            step(controlled, one, batch, count=turn < 3)
    side = 8 * setting.side
    print(f"\n{setting.title}, rank {rank}, batch {setting.batch} of {side}x{side} pixels, {steps} steps each")
    print(f"{'':32}{'full':>12}{'low rank':>12}{'ratio':>8}")
    full, low = (numbers_of(one) for one in contestants.values())
    for name, value in full.items():
        digits = 2 if value < 100 else 0
        print(f"{name:32}{value:>12.{digits}f}{low[name]:>12.{digits}f}{low[name] / value:>8.2f}")


def numbers_of(one: Contestant) -> dict[str, float]:
    """The rows of the table."""
    parameters = sum(p.numel() for p in one.network.parameters())
    own = {p.untyped_storage().data_ptr() for p in one.network.parameters()}
    assert len(own) == len(list(one.network.parameters())), "every parameter has memory of its own"
    state = sum(t.nbytes for moments in one.optimizer.state.values() for t in moments.values()) + 2 * 4 * parameters
    assert abs(state - ADAM * 4 * parameters) <= 4 * len(own), "weight, gradient and two moments"
    with tempfile.TemporaryDirectory() as folder:
        one.network.save_pretrained(folder, torch.float16)
        file = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
    return {
        "parameters (thousands)": parameters / 1e3,
        "file in half precision (MB)": file / 1e6,
        "weights, gradients, Adam (MB)": state / 1e6,
        "kept for the backward pass (MB)": one.kept / 1e6,
        "together (MB)": (state + one.kept) / 1e6,
        "training step (ms)": statistics.median(one.seconds) * 1e3,
    }


def main() -> None:
    """Parse and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", nargs="+", default=["tiny", "sd15-quarter"], choices=["tiny", "sd15-quarter", "sd15"])
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--steps", type=int, default=6)
    args = parser.parse_args()
    for name in args.base:
        compare(setting_of(name), args.rank, args.steps)


if __name__ == "__main__":
    main()

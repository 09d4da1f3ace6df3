"""Equation 2 on a toy MLP: a locked block, its trainable copy, and the order in which gradients wake up.

    python examples/zero_convolution_mlp.py [--steps 400]

Hardware: one CPU core. Time: a few seconds. Expected: "equal at initialisation: True"; at step 0 the output zero convolution
alone receives a gradient, from step 1 on the copy and the input zero convolution too; the loss falls tenfold or more.
"""

import argparse

import torch
from torch import nn

from zeroconv.control import ControlledBlock

PARTS = ("zero_out", "copy", "zero_in", "block")


def main() -> None:
    """Birth, wake-up, learning."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    steps = parser.parse_args().steps
    torch.manual_seed(0)

    block = nn.Sequential(nn.Linear(8, 64), nn.SiLU(), nn.Linear(64, 8))  # stands for anything already trained
    controlled = ControlledBlock(block, channels=8, condition_channels=2)
    x, c = torch.randn(512, 8), torch.randn(512, 2)
    print("equal at initialisation:", torch.equal(controlled(x, c), block(x)))  # equation 3: exactly

    # What the control shall learn: the block's answer, its first half shifted by the condition.
    with torch.no_grad():
        wanted = block(x) + torch.cat([c.repeat(1, 2), torch.zeros(512, 4)], dim=1)
    optimizer = torch.optim.Adam((p for p in controlled.parameters() if p.requires_grad), lr=1e-2)
    first = last = 0.0
    for step in range(steps):
        loss = (controlled(x, c) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if step < 3:
            awake = [name for name in PARTS if has_gradient(controlled.get_submodule(name))]
            print(f"step {step}: gradient in {', '.join(awake)}")
        first, last = (loss.item() if step == 0 else first), loss.item()
        optimizer.step()
    print(f"loss: {first:.4f} at initialisation, {last:.4f} after {steps} steps")


def has_gradient(part: nn.Module) -> bool:
    """Whether any parameter of it received a gradient other than zero."""
    return any(p.grad is not None and bool(p.grad.any()) for p in part.parameters())


if __name__ == "__main__":
    main()

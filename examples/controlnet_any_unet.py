"""A ControlNet around any U-Net: equation 2 around each encoder block of a small network written here.

    python examples/controlnet_any_unet.py [--base-steps 150 --steps 250]

Hardware: one CPU core. Time: under a minute. The base learns to remove heavy noise from pictures of discs; then it is
locked, and a control learns to use the discs' outlines. Expected: "equal at initialisation: True", and an error clearly below
the base's own, while the base is unchanged bit by bit.
"""

import argparse

import torch
from torch import Tensor, nn
from torch.nn import functional

from zeroconv.control import ControlledBlock


class SmallUNet(nn.Module):
    """Three encoder blocks, three decoder blocks, skips between: nothing of it knows about control."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([block(1, 16), block(16, 32, stride=2), block(32, 32, stride=2)])
        self.up = nn.ModuleList([block(32, 32), block(64, 16), nn.Conv2d(32, 1, 3, padding=1)])

    def forward(self, x: Tensor, conditions: tuple[Tensor, ...] = ()) -> Tensor:
        """Clean pictures (B, 1, H, W) of noisy ones; `conditions`, one per encoder block, reach controlled blocks."""
        skips: list[Tensor] = []
        for i, down in enumerate(self.down):
            x = down(x, conditions[i]) if conditions else down(x)
            skips.append(x)
        h = self.up[0](skips.pop())
        for up in self.up[1:]:
            h = functional.interpolate(h, scale_factor=2)
            h = up(torch.cat([h, skips.pop()], dim=1))
        return h


def block(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """Convolution, norm, activation."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, stride, padding=1), nn.GroupNorm(4, out_channels), nn.SiLU())


def discs(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noisy pictures, clean pictures and outlines, each (count, 1, 32, 32)."""
    x, y, radius = (torch.rand(3, count, 1, 1, generator=generator) * torch.tensor([16, 16, 6]).view(3, 1, 1, 1)).unbind()
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    distance = ((columns - 8 - x) ** 2 + (rows - 8 - y) ** 2).sqrt() - 4 - radius
    clean, outline = (distance < 0).float()[:, None], (distance.abs() < 1).float()[:, None]
    return clean + 2 * torch.randn(clean.shape, generator=generator), clean, outline


def fit(network: SmallUNet, steps: int, controlled: bool, generator: torch.Generator) -> float:
    """Train what is not locked; the mean error of the last 20 steps."""
    optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-3)
    errors: list[float] = []
    for _ in range(steps):
        noisy, clean, outline = discs(16, generator)
        error = (network(noisy, levels(outline) if controlled else ()) - clean).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    return sum(errors[-20:]) / len(errors[-20:])


def levels(outline: Tensor) -> tuple[Tensor, ...]:
    """The condition at the input size of each encoder block."""
    return outline, outline, functional.avg_pool2d(outline, 2)


def main() -> None:
    """Train the base, lock it, control it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-steps", type=int, default=150)
    parser.add_argument("--steps", type=int, default=250)
    args = parser.parse_args()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)

    unet = SmallUNet()
    error = fit(unet, args.base_steps, controlled=False, generator=generator)
    unet.requires_grad_(False)
    noisy, _, outline = discs(8, generator)
    before = unet(noisy)

    channels = [(1, 16), (16, 32), (32, 32)]
    plain = list(unet.down)
    unet.down = nn.ModuleList(
        ControlledBlock(b, inside, condition_channels=1, out_channels=out)
        for b, (inside, out) in zip(plain, channels, strict=True)
    )
    print("equal at initialisation:", torch.equal(unet(noisy, levels(outline)), before))
    with_control = fit(unet, args.steps, controlled=True, generator=generator)
    unet.down = nn.ModuleList(plain)
    print("base unchanged:", torch.equal(unet(noisy), before))
    print(f"error: {error:.4f} of the base, {with_control:.4f} under control")


if __name__ == "__main__":
    main()

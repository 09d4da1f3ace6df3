"""A ControlNet in a hundred lines, with nothing of this package: torch, and the U-Net of diffusers.

    python examples/teaching_controlnet.py [--steps 60]

Hardware: one CPU core. Time: a few seconds. A random U-Net is locked; its ControlNet learns to add what the condition shows.
Expected: "equal before training: True", then an error ten times smaller. Tests hold the package's own ControlNet to it.
"""

import argparse
import copy
from itertools import pairwise
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Section 3.1: weight and bias begin at zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]
    return layer


def condition_encoder(out: int, widths: tuple[int, ...]) -> nn.Sequential:
    """E of section 3.2: (B, 3, 8h, 8w) in [0, 1] to (B, out, h, w); eight 3 x 3 convolutions, the last one zero."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, padding=1), nn.SiLU()]
    for a, b in pairwise(widths):
        layers += [nn.Conv2d(a, a, 3, padding=1), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1, stride=2), nn.SiLU()]
    return nn.Sequential(*layers, zero(nn.Conv2d(widths[-1], out, 3, padding=1)))


def encode(net: Any, z: Tensor, t: Tensor, text: Tensor, extra: Tensor | float = 0.0) -> tuple[list[Tensor], Tensor, Tensor]:
    """Figure 3, left half: the skips, the middle, and the embedding of the step; `extra` is added to the first map."""
    time = net.time_embedding(net.time_proj(t.expand(len(z))).to(z.dtype))
    h = net.conv_in(z) + extra
    skips = [h]
    for block in net.down_blocks:
        attends = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
        h, new = block(hidden_states=h, temb=time, **attends)
        skips += new
    return skips, net.mid_block(h, time, encoder_hidden_states=text), time


def decode(unet: Any, skips: list[Tensor], h: Tensor, time: Tensor, text: Tensor) -> Tensor:
    """Figure 3, right half: each decoder block takes its skips from the end."""
    for block in unet.up_blocks:
        count = len(block.resnets)
        skips, taken = skips[:-count], tuple(skips[-count:])
        attends = {"encoder_hidden_states": text} if getattr(block, "has_cross_attention", False) else {}
        h = block(hidden_states=h, res_hidden_states_tuple=taken, temb=time, **attends)
    return unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))


class TeachingControlNet(nn.Module):
    """Section 3.2: a trainable copy of the encoder and the middle, E before it, a zero convolution after every part."""

    def __init__(self, unet: Any, widths: tuple[int, ...] = (16, 32, 96, 256)) -> None:
        super().__init__()
        for name in ("conv_in", "time_proj", "time_embedding", "down_blocks", "mid_block"):
            setattr(self, name, copy.deepcopy(getattr(unet, name)).requires_grad_(True))
        first = unet.conv_in.out_channels
        self.condition_encoder = condition_encoder(first, widths)
        channels = [first]
        for block in unet.down_blocks:
            channels += [block.resnets[0].out_channels] * (len(block.resnets) + (block.downsamplers is not None))
        self.zero = nn.ModuleList(zero(nn.Conv2d(c, c, 1)) for c in channels)
        self.zero_middle = zero(nn.Conv2d(channels[-1], channels[-1], 1))

    def forward(self, z: Tensor, t: Tensor, text: Tensor, condition: Tensor) -> tuple[list[Tensor], Tensor]:
        """What is added to the skips and to the middle."""
        skips, middle, _ = encode(self, z, t, text, extra=self.condition_encoder(condition))
        return [layer(skip) for layer, skip in zip(self.zero, skips, strict=True)], self.zero_middle(middle)


def controlled(unet: Any, net: TeachingControlNet, z: Tensor, t: Tensor, text: Tensor, condition: Tensor) -> Tensor:
    """The sum of figure 3: the locked encoder, plus the residuals, into the locked decoder."""
    added, added_middle = net(z, t, text, condition)
    skips, middle, time = encode(unet, z, t, text)
    return decode(unet, [a + b for a, b in zip(skips, added, strict=True)], middle + added_middle, time, text)


def main() -> None:
    """Equal before training; then it learns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    steps = parser.parse_args().steps
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(32, 32), layers_per_block=1, cross_attention_dim=16, attention_head_dim=4, norm_num_groups=8,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    ).requires_grad_(False)  # fmt: skip
    net = TeachingControlNet(unet, widths=(8, 8, 16, 16))
    z, t, text, squares = torch.randn(4, 4, 8, 8), torch.tensor(500), torch.randn(4, 5, 16), torch.rand(4, 3, 8, 8).round()
    condition = nn.functional.interpolate(squares, scale_factor=8.0)
    before = unet(z, t, text).sample
    print("equal before training:", torch.equal(controlled(unet, net, z, t, text, condition), before))
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    errors: list[float] = []
    for _ in range(steps):
        error = nn.functional.mse_loss(controlled(unet, net, z, t, text, condition), before + squares[:, :1])
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    print(f"error: {errors[0]:.3f} before training, {errors[-1]:.3f} after {steps} steps")


if __name__ == "__main__":
    main()

"""E, the small network from the condition image to the latent size: c_f = E(c_i) (section 3.2)."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from zeroconv.checkpoints.formats.controlnet_config import PAPER_CHANNELS, RELEASED_CHANNELS, Connection

__all__ = ["ConditionEncoder", "PaperConditionEncoder", "build_condition_encoder"]


class ConditionEncoder(nn.Module):
    """The released form: eight 3x3 convolutions, three of them with stride 2, SiLU between, the last one zero.

    Published weights have this form, under these names. For 3 input and 320 output channels it has 1,086,480
    parameters. Its last layer is the first zero convolution of figure 3: at initialisation the copy sees the latents alone.

    Args:
        out_channels: channels of the U-Net's first level (320 for Stable Diffusion).
        conditioning_channels: channels of the condition image.
        channels: width of the stages; each after the first halves the size.
        connection: "gaussian" leaves the last layer at PyTorch's default initialisation (the ablation of figure 8 b).
    """

    def __init__(
        self,
        out_channels: int,
        conditioning_channels: int = 3,
        channels: Sequence[int] = RELEASED_CHANNELS,
        connection: Connection = "zero",
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(conditioning_channels, channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(channels):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        for convolution in (self.conv_in, *self.blocks):
            start_gaussian(convolution)
        self.conv_out = nn.Conv2d(channels[-1], out_channels, 3, padding=1)
        if connection == "zero":
            for parameter in self.conv_out.parameters():
                nn.init.zeros_(parameter)

    def forward(self, condition: Tensor) -> Tensor:
        """Condition features (B, C, H/8, W/8) of a condition image (B, 3, H, W) in [0, 1]."""
        h = functional.silu(self.conv_in(condition))
        for convolution in self.blocks:
            h = functional.silu(convolution(h))
        return self.conv_out(h)


class PaperConditionEncoder(nn.Module):
    """The form of the text: four convolutions with 4x4 kernels, ReLU, 16/32/64/128 channels, Gaussian start.

    Four strides of 2 would give 1/16 where the text says 512 -> 64; the last one therefore has stride 1, so that
    the output meets the latents. A zero convolution follows it, which the text asks for at every connection.

    Args:
        out_channels: channels of the U-Net's first level.
        conditioning_channels: channels of the condition image.
        channels: width of the four convolutions.
        connection: "gaussian" leaves the zero convolution at an ordinary start.
    """

    def __init__(
        self,
        out_channels: int,
        conditioning_channels: int = 3,
        channels: Sequence[int] = PAPER_CHANNELS,
        connection: Connection = "zero",
    ) -> None:
        super().__init__()
        widths = (conditioning_channels, *channels)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 4, stride=2 if i < 3 else 1, padding=1 if i < 3 else 0) for i, (a, b) in enumerate(pairwise(widths))
        )
        for convolution in self.convolutions:
            start_gaussian(convolution)
        self.conv_out = nn.Conv2d(channels[-1], out_channels, 1)
        if connection == "zero":
            for parameter in self.conv_out.parameters():
                nn.init.zeros_(parameter)

    def forward(self, condition: Tensor) -> Tensor:
        """Condition features (B, C, H/8, W/8) of a condition image (B, 3, H, W) in [0, 1]."""
        h = condition
        for convolution in self.convolutions[:-1]:
            h = functional.relu(convolution(h))
        h = functional.pad(h, (1, 2, 1, 2))  # an even kernel has no centre: one row before, two after
        return self.conv_out(functional.relu(self.convolutions[-1](h)))


def start_gaussian(convolution: nn.Module) -> None:
    """Gaussian weights that keep the signal's size (He et al., 2015, arXiv 1502.01852), as the text asks for.

    With the uniform default of PyTorch, which the released code uses, seven layers shrink the difference between two
    edge maps a thousandfold, and the control takes hold late.
    """
    assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    nn.init.zeros_(convolution.bias)


def build_condition_encoder(
    form: str, out_channels: int, conditioning_channels: int, channels: Sequence[int], connection: Connection
) -> nn.Module:
    """The encoder of the named form: "released" or "paper".

    Raises:
        ValueError: for another name, or fewer than one conditioning channel.
    """
    if conditioning_channels < 1:
        raise ValueError(f"conditioning_channels is {conditioning_channels}; expected 1 or more (3 for RGB maps)")
    forms: dict[str, type[nn.Module]] = {"released": ConditionEncoder, "paper": PaperConditionEncoder}
    if form not in forms:
        raise ValueError(f"condition encoder form is {form!r}; expected 'released' or 'paper'")
    return forms[form](out_channels, conditioning_channels, channels, connection)

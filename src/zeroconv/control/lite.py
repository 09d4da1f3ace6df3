"""ControlNet-lite (figure 8 c): each block's copy replaced by one convolution, started from Gaussian weights."""

from typing import Any

from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LiteDownBlock", "LiteMiddle", "lite_blocks"]


class LiteDownBlock(nn.Module):
    """One level of the encoder, one 3x3 convolution per block, stride 2 where the block downsamples.

    Args:
        in_channels: channels that come in.
        channels: channels of the level.
        blocks: how many blocks the level has.
        downsamples: whether a downsampling block ends it.
    """

    def __init__(self, in_channels: int, channels: int, blocks: int, downsamples: bool) -> None:
        super().__init__()
        self.resnets = nn.ModuleList(
            nn.Conv2d(in_channels if i == 0 else channels, channels, 3, padding=1) for i in range(blocks)
        )
        self.downsamplers = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1, stride=2)]) if downsamples else None

    def forward(self, hidden_states: Tensor, temb: Tensor, **_: object) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The level's last features, and the features after each of its blocks."""
        h, made = hidden_states, ()
        for convolution in (*self.resnets, *(self.downsamplers or ())):
            h = functional.silu(convolution(h))
            made += (h,)
        return h, made


class LiteMiddle(nn.Module):
    """The middle block's copy, one 3x3 convolution.

    Args:
        channels: channels of the deepest level.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor, temb: Tensor, **_: object) -> Tensor:
        """Features like `h`."""
        return functional.silu(self.convolution(h))


def lite_blocks(unet: UNet2DConditionModel) -> nn.ModuleList:
    """One `LiteDownBlock` for each level of the U-Net's encoder."""
    widths, levels = list[int](unet.config["block_out_channels"]), list[Any](unet.down_blocks)
    return nn.ModuleList(
        LiteDownBlock(before, width, len(block.resnets), block.downsamplers is not None)
        for block, before, width in zip(levels, [widths[0], *widths[:-1]], widths, strict=True)
    )

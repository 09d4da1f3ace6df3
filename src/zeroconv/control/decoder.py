"""The base's decoder, unlocked: a copy that learns together with the control (the authors' `sd_locked = False`).

The authors' training guide, https://github.com/lllyasviel/ControlNet/blob/main/docs/train.md: for problems that are far from
natural pictures; it makes the base itself another one, and asks for a lower learning rate.
"""

import copy
from dataclasses import replace
from typing import Any, Self

from torch import nn

from zeroconv.checkpoints.formats.controlnet_config import ControlNetConfig

__all__ = ["Decoder", "DecoderMethods"]


class Decoder(nn.Module):
    """A copy of a U-Net's decoder and output layers, for `decode` to run in place of the U-Net's own.

    Args:
        unet: a diffusers `UNet2DConditionModel`, which stays as it is.
    """

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.num_upsamplers: int = unet.num_upsamplers
        parts = (unet.up_blocks, unet.conv_norm_out, unet.conv_act, unet.conv_out)
        self.up_blocks, self.conv_norm_out, self.conv_act, self.conv_out = map(copy.deepcopy, parts)


class DecoderMethods:
    """What a `ControlNet` has for the base's decoder.

    Attributes:
        config: see there.
        decoder: the base's decoder as it is learnt with this control, in place of the base's own; None where that is locked.
    """

    config: ControlNetConfig
    decoder: Decoder | None

    def unlock_decoder(self, unet: Any) -> Self:
        """Give it a copy of the base's decoder to learn.

        Args:
            unet: of the base, which stays as it is.

        Raises:
            InputError: for a form that has no place for it.
        """
        self.config = replace(self.config, unlocked_decoder=True)
        self.decoder = Decoder(unet).requires_grad_(True)
        return self

"""A LoRA of the base on the same pairs: it never sees the map. What style and data alone do for the numbers.

Hu et al., *LoRA: Low-Rank Adaptation of Large Language Models*, 2021, arXiv 2106.09685.
"""

from typing import Any

from experiments.baselines.concatenation import RANK
from experiments.baselines.denoising import DenoisingMethod, DenoisingModel
from torch import Tensor

from zeroconv import StableDiffusion
from zeroconv.control.low_rank import wrap_with_lora

__all__ = ["BaseLora", "TunedUNet"]


class TunedUNet(DenoisingModel):
    """A U-Net some or all of which learns, and which no map reaches."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, z_t: Tensor, t: Tensor, text: Tensor, features: Any) -> Tensor:
        """The prediction."""
        return self.unet(z_t, t, text).sample


class BaseLora(DenoisingMethod):
    """Updates of every layer; time steps uniform, as LoRAs are trained."""

    name, title, reads, timesteps, rate = "lora", "LoRA of the base (map not seen)", "nothing", "uniform", 1e-4

    def build(self, base: StableDiffusion) -> TunedUNet:
        """Borrowed layers with updates that begin at zero."""
        return TunedUNet(wrap_with_lora(base.unet, RANK))

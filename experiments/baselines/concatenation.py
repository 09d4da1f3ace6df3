"""Maps that are concatenated to the latents: into the trained base whole, by low rank, and into a base from scratch.

The map goes through the autoencoder, and its latents stand beside z_t as further channels of the input convolution.

- *SDv2-style*: Stable Diffusion 2's depth model was made so (Stability AI, 2022,
  https://huggingface.co/stabilityai/stable-diffusion-2-depth): the new channels of the input convolution begin at zero, and
  the whole base learns. There the map is one channel, reduced to the size of the latents.
- *Control-LoRA by concatenation*: the same with the base locked and low-rank updates in every layer, as FLUX.1's are
  (Black Forest Labs, 2024), and as single people train them.
- *LDM(seg)*: the architecture of the base, maps concatenated from the first step on, random weights (Rombach et al.,
  *High-Resolution Image Synthesis with Latent Diffusion Models*, 2022, arXiv 2112.10752, section 4.3.2). Text encoder and
  autoencoder are the base's.
"""

import copy
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from experiments.baselines.denoising import DenoisingMethod, DenoisingModel
from torch import Tensor, nn

from zeroconv import StableDiffusion
from zeroconv.control.low_rank import wrap_with_lora

__all__ = ["RANK", "ConcatenationLora", "LatentDiffusion", "WholeBase"]

RANK = 16  # zeroconv's default for variant "lora"


class WidenedInput(nn.Module):
    """An input convolution with further channels, whose half begins at zero: W z + 0 c.

    The two halves are two convolutions, so that at initialisation the sum is that of `first` to the bit.
    """

    def __init__(self, first: nn.Module, channels: int, width: int) -> None:
        super().__init__()
        self.first, self.channels = first, channels
        self.added = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.added.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Features of (B, C + channels, h, w), the map's latents behind."""
        return self.first(x[:, : -self.channels]) + self.added(x[:, -self.channels :])


class ConcatenationModel(DenoisingModel):
    """A U-Net that sees the map's latents behind z_t."""

    def __init__(self, unet: Any) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, z_t: Tensor, t: Tensor, text: Tensor, features: Tensor) -> Tensor:
        """The prediction."""
        return self.unet(torch.cat([z_t, features], dim=1), t, text).sample


def widen(unet: Any) -> Any:
    """Give a U-Net an input as wide again, which does nothing yet."""
    config = unet.config
    unet.conv_in = WidenedInput(unet.conv_in, config.in_channels, config.block_out_channels[0])
    return unet


class WholeBase(DenoisingMethod):
    """Every weight of the base learns."""

    name, title, reads, rate = "concatenation-base", "Concatenated, whole base tuned (SDv2-style)", "latents", 5e-4

    def build(self, base: StableDiffusion) -> ConcatenationModel:
        """A copy of the base with a wider input."""
        return ConcatenationModel(widen(copy.deepcopy(base.unet)).requires_grad_(True))


class ConcatenationLora(DenoisingMethod):
    """Low-rank updates of every layer, and the new half of the input."""

    name, title, reads = "concatenation-lora", "Control-LoRA by concatenation", "latents"

    def build(self, base: StableDiffusion) -> ConcatenationModel:
        """Borrowed layers with updates that begin at zero."""
        return ConcatenationModel(widen(wrap_with_lora(base.unet, RANK)))


class LatentDiffusion(DenoisingMethod):
    """Nothing of the U-Net was trained before; the time steps are uniform, for none of them is known."""

    name, title, reads, timesteps = "ldm", "LDM, from scratch", "latents", "uniform"

    def build(self, base: StableDiffusion) -> ConcatenationModel:
        """A random U-Net of the base's shape."""
        config = dict(base.unet.config)
        unet = UNet2DConditionModel.from_config(config | {"in_channels": 2 * config["in_channels"]})
        return ConcatenationModel(unet.train())

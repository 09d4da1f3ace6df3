"""T2I-Adapter: a small network beside the base reads the map once, and its features are added to the encoder's.

C. Mou et al., *T2I-Adapter: Learning Adapters to Dig out More Controllable Ability for Text-to-Image Diffusion Models*, 2023,
arXiv 2302.08453. The network is diffusers' `T2IAdapter` in the layout of the paper (pixel unshuffle by 8, four scales of two
residual blocks) at the widths of the tiny base, joined to the U-Net as diffusers' pipeline joins it. Time steps are drawn as in
its section 3.4, cubic, high ones more often. Nothing of it is zero at first.
"""

from typing import Any

from diffusers.models.adapter import T2IAdapter
from experiments.baselines.denoising import DenoisingMethod, DenoisingModel
from torch import Tensor

from zeroconv import StableDiffusion

__all__ = ["Adapter"]

BLOCKS = 2  # residual blocks of a scale, as published


class AdaptedModel(DenoisingModel):
    """The locked base with an adapter's features in its encoder."""

    def __init__(self, base: StableDiffusion, adapter: T2IAdapter) -> None:
        super().__init__()
        self.adapter = adapter
        vars(self)["unet"] = base.unet

    def read(self, maps: Tensor) -> list[Tensor]:
        """Features of four scales, (B, C_i, h_i, w_i)."""
        return self.adapter(maps)

    def forward(self, z_t: Tensor, t: Tensor, text: Tensor, features: Any) -> Tensor:
        """The prediction with the features added after each level of the encoder."""
        added = [feature.clone() for feature in features]  # the U-Net takes them off the list
        return self.unet(z_t, t, text, down_intrablock_additional_residuals=added).sample


class Adapter(DenoisingMethod):
    """The network, and how it is trained."""

    name, title, timesteps = "t2i-adapter", "T2I-Adapter", "cubic"

    def build(self, base: StableDiffusion) -> AdaptedModel:
        """An adapter of the base's widths."""
        channels = list(base.unet.config.block_out_channels)
        adapter = T2IAdapter(
            in_channels=3, channels=channels, num_res_blocks=BLOCKS, downscale_factor=base.vae_scale_factor,
            adapter_type="full_adapter",
        )  # fmt: skip
        return AdaptedModel(base, adapter)

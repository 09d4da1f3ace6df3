"""ControlNet, and the two ablations of figure 8: Gaussian connections (b) and ControlNet-lite (c).

Zhang, Rao and Agrawala, *Adding Conditional Control to Text-to-Image Diffusion Models*, 2023, arXiv 2302.05543. Networks and
their controlled base are the library's; optimizer (Muon, 1e-3), batch (8) and time steps are its defaults for narrow bases.
"""

from typing import Any, ClassVar

from experiments.baselines.denoising import DenoisingMethod, DenoisingModel
from torch import Tensor

from zeroconv import StableDiffusion
from zeroconv.checkpoints.formats.controlnet_config import Connection, Variant
from zeroconv.control import ActiveControl, ControlledUNet, ControlNet
from zeroconv.training.config.defaults import default_channels

__all__ = ["ControlNetGaussian", "ControlNetLite", "ControlNetZero"]


class ControlledModel(DenoisingModel):
    """The locked base under a ControlNet."""

    def __init__(self, base: StableDiffusion, network: ControlNet) -> None:
        super().__init__()
        self.network = network
        vars(self)["controlled"] = ControlledUNet(base.unet)

    def read(self, maps: Tensor) -> Any:
        """The condition encoder's features."""
        return self.network.encode_condition(maps)

    def forward(self, z_t: Tensor, t: Tensor, text: Tensor, features: Any) -> Tensor:
        """The controlled prediction."""
        return self.controlled(z_t, t, text, [ActiveControl(self.network, features)])


class ControlNetZero(DenoisingMethod):
    """A copy of the encoder behind zero convolutions: the paper."""

    name, title = "controlnet", "ControlNet"
    variant: ClassVar[Variant] = "full"
    connection: ClassVar[Connection] = "zero"

    def build(self, base: StableDiffusion) -> ControlledModel:
        """A ControlNet at initialisation."""
        network = ControlNet.from_unet(
            base.unet,
            variant=self.variant,
            connection=self.connection,
            conditioning_embedding_out_channels=default_channels(base),
        )
        return ControlledModel(base, network)


class ControlNetLite(ControlNetZero):
    """One convolution in place of each block's copy."""

    name, title, variant = "controlnet-lite", "ControlNet-lite", "lite"


class ControlNetGaussian(ControlNetZero):
    """Ordinary convolutions in place of the zero convolutions: what is added to the base is noise at first."""

    name, title, connection = "controlnet-gaussian", "ControlNet, Gaussian connections", "gaussian"

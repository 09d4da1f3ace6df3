"""Stable Diffusion without control: what the base makes of the prompt alone. Nothing is trained."""

from pathlib import Path
from typing import Any

from experiments.baselines.common import Budget, Pairs
from experiments.baselines.denoising import DenoisingMethod, DenoisingModel
from torch import Tensor

from zeroconv import StableDiffusion

__all__ = ["NoControl"]


class BaseAlone(DenoisingModel):
    """The base, which no map reaches."""

    def __init__(self, base: StableDiffusion) -> None:
        super().__init__()
        vars(self)["unet"] = base.unet

    def forward(self, z_t: Tensor, t: Tensor, text: Tensor, features: Any) -> Tensor:
        """The base's prediction."""
        return self.unet(z_t, t, text).sample


class NoControl(DenoisingMethod):
    """The lower end of the gap that a control can close."""

    name, title, reads = "no-control", "Stable Diffusion, no control", "nothing"

    def build(self, base: StableDiffusion) -> DenoisingModel:
        """The base."""
        return BaseAlone(base)

    def train(self, folder: Path, data: Pairs, budget: Budget) -> None:
        """Nothing learns."""

    def load(self, folder: Path, model: DenoisingModel) -> None:
        """Nothing was learnt."""
